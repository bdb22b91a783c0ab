import type {
  Gateway,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  VirtualService,
} from "../../../lib/api";
import type { ServiceObject } from "../../../lib/cluster";
import type { Certificate } from "../../../lib/domain/certificates";
import {
  FINALIZER_CREDENTIALS,
  FINALIZER_EXPOSURE,
  ROUTE_CONFIG_MAP,
} from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";

/** The control-plane namespace; both HostedAPIServers are in it. */
export const TENANT = "tenant-a";
export const SERVERS = ["one", "two"] as const;
export const GATEWAYS = ["istio-a", "istio-b"] as const;
export const START_MS = Date.parse("2026-11-21T12:00:00Z");

/** The name of a HostedAPIServer; `one` is the older. */
export type ServerName = (typeof SERVERS)[number];
/** The namespace of an InternalGateway. */
export type GatewayName = (typeof GATEWAYS)[number];

/** What a gateway's Pod was last told: objects of its namespace, and what its Secrets held. */
export interface Configuration {
  readonly gateways: readonly Gateway[];
  readonly virtualServices: readonly VirtualService[];
  /** credentialName → SHA-256 of the certificate. */
  readonly certificates: ReadonlyMap<string, string>;
  readonly filterSecret: string | undefined;
}

/** A ready Pod of a gateway. */
export interface GatewayPod {
  readonly address: string;
  answers: boolean;
  /** When it last changed by anything else than what it was told. */
  disturbedAt: number;
  configuration: Configuration;
}

/** An InternalGateway with all that its own controller keeps in line. */
export interface GatewayState {
  object: InternalGateway;
  routeSecret: string;
  /** One that is out of line works all the same, somehow. */
  filter: "in line" | "out of line" | "gone";
  pods: GatewayPod[];
  readonly addresses: { readonly address: string; answers: boolean }[];
}

/** What surrounds a HostedAPIServer: its owner, its credentials, its API servers, its kubeconfigs. */
export interface Surroundings {
  consent: "given" | "in doubt" | "withdrawn";
  gateway: GatewayName;
  /** Counted up with each renaming of its Secrets. */
  credentials: number;
  /** Counted up with each renewal in place. */
  certificate: number;
  apiServers: "cover the hosts" | "do not cover the hosts" | "do not answer" | "have no address";
  kubeconfigs: {
    mode: "L7" | "L4";
    /** Why they can't be written now, or never. */
    obstacle: undefined | "for now" | "for good";
  };
}

/** A cluster in memory, which others change by commands, and fairlead by writes. */
export interface World {
  nowMs: number;
  /** Counts writes and commands; each version is of one moment. */
  moment: number;
  namespace: KubernetesObject;
  readonly servers: Map<ServerName, HostedAPIServer>;
  readonly surroundings: Readonly<Record<ServerName, Surroundings>>;
  readonly gateways: Readonly<Record<GatewayName, GatewayState>>;
  /** credentialName → SHA-256 of the certificate; what nobody refers to any more stays. */
  readonly certificates: Map<string, string>;
  /** fairlead's objects and the route ConfigMap, by place. */
  readonly objects: Map<string, KubernetesObject>;
  /** Routed Pods that run, by the hosts that they are aliased to. */
  readonly routedPods: { readonly hosts: readonly string[] }[];
}

/** The next moment. */
export function tick(world: World): number {
  world.moment += 1;
  return world.moment;
}

/** An object and all in it, which nobody can change any more. */
export function frozen<T>(value: T): T {
  if (typeof value === "object" && value !== null && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const each of Object.values(value)) frozen(each);
  }
  return value;
}

/** Where an object is. */
export function placeOf({ kind, metadata }: KubernetesObject): string {
  return `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;
}

/** Stores an object as the API server does: with a version, a uid, and never changed in place. */
export function store(world: World, object: KubernetesObject): KubernetesObject {
  const resourceVersion = String(tick(world));
  const known = world.objects.get(placeOf(object));
  const uid = known?.metadata.uid ?? `uid-${resourceVersion}`;
  // Its number is another one with each write, which is what counts.
  const generation = world.moment;
  const metadata = { ...object.metadata, uid, resourceVersion, generation };
  const stored = frozen({ ...object, metadata });
  world.objects.set(placeOf(stored), stored);
  return stored;
}

/** Stores a HostedAPIServer; one that is being deleted is gone with its last finalizer. */
export function storeServer(world: World, server: HostedAPIServer): void {
  const { metadata } = server;
  const name = metadata.name as ServerName;
  if (metadata.deletionTimestamp !== undefined && (metadata.finalizers ?? []).length === 0) {
    world.servers.delete(name);
    return;
  }
  const resourceVersion = String(tick(world));
  const uid = world.servers.get(name)?.metadata.uid ?? `uid-${resourceVersion}`;
  world.servers.set(name, frozen({ ...server, metadata: { ...metadata, uid, resourceVersion } }));
}

/** The objects of a kind. */
export function ofKind<T extends KubernetesObject>(world: World, kind: T["kind"]): readonly T[] {
  return [...world.objects.values()].filter((object): object is T => object.kind === kind);
}

/** The route ConfigMap. */
export function routeOf({ objects }: World): ConfigMap | undefined {
  return objects.get(`ConfigMap/${TENANT}/${ROUTE_CONFIG_MAP}`) as ConfigMap | undefined;
}

/** Whether the control-plane namespace is being deleted. */
export const isTerminating = ({ namespace }: World): boolean =>
  namespace.metadata.deletionTimestamp !== undefined;

/** Whether a HostedAPIServer has fairlead's finalizer. */
export const isHeld = (server: HostedAPIServer | undefined): boolean =>
  server?.metadata.finalizers?.includes(FINALIZER_EXPOSURE) ?? false;

/** A certificate of which nothing counts but its fingerprint and its names. */
export function certificate(sha256: string, dnsNames: readonly string[]): Certificate {
  return { sha256, dnsNames } as Certificate;
}

/** The API servers' own Service. */
export function serviceOf({ surroundings }: World, name: ServerName): ServiceObject {
  const address = name === "one" ? "10.96.1.1" : "10.96.1.2";
  const hasAddress = surroundings[name].apiServers !== "have no address";
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: `kube-apiserver-${name}`, namespace: TENANT },
    spec: { clusterIP: hasAddress ? address : "None" },
  };
}

/** What the Pods of a gateway are to be told now. */
export function presentConfiguration(world: World, gateway: GatewayName): Configuration {
  const isHere = ({ metadata }: KubernetesObject): boolean => metadata.namespace === gateway;
  const { filter, routeSecret } = world.gateways[gateway];
  return {
    gateways: ofKind<Gateway>(world, "Gateway").filter(isHere),
    virtualServices: ofKind<VirtualService>(world, "VirtualService").filter(isHere),
    certificates: new Map(world.certificates),
    filterSecret: filter === "gone" ? undefined : routeSecret,
  };
}

/** The fingerprint of the certificate that is to be served for a HostedAPIServer. */
export function sha256Of({ surroundings }: World, name: ServerName): string {
  return `${name}-${surroundings[name].certificate}`;
}

/** Tells a gateway's Pod what there is now. */
export function tell(world: World, gateway: GatewayName, pod: GatewayPod): void {
  pod.configuration = presentConfiguration(world, gateway);
}

/** A HostedAPIServer as its owner makes it. */
export function newServer(name: ServerName): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: {
      namespace: TENANT,
      name,
      generation: 1,
      creationTimestamp: name === "one" ? "2026-11-21T10:00:00Z" : "2026-11-21T11:00:00Z",
      finalizers: [FINALIZER_CREDENTIALS],
    },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: [`${name}.example.com`],
      service: { name: `kube-apiserver-${name}` },
      loadBalancing: "Auto",
      certificates: {
        server: { secretName: "server" },
        serverCA: { secretName: "ca" },
        clientCA: { secretName: "ca-client" },
        proxyClient: { certificate: { secretName: "front-proxy" } },
      },
      clients: { kubeconfigSecrets: ["generic-token-kubeconfig"] },
    },
  };
}

function newGateway(name: GatewayName): GatewayState {
  const net = name === "istio-a" ? "1" : "2";
  const state: GatewayState = {
    object: {
      apiVersion: "fairlead.dev/v1alpha1",
      kind: "InternalGateway",
      metadata: { namespace: name, name: "default", uid: `uid-${name}` },
      spec: { selector: { istio: "ingressgateway" } },
      status: {
        conditions: [
          {
            type: "Accepted",
            status: "True",
            reason: "Accepted",
            message: "",
            lastTransitionTime: "2026-11-21T10:00:00Z",
          },
        ],
      },
    },
    routeSecret: net.repeat(32),
    filter: "in line",
    pods: [],
    addresses: [
      { address: `10.96.0.${net}`, answers: true },
      { address: `fd00::${net}`, answers: true },
    ],
  };
  return state;
}

/** A Pod that was told nothing yet. */
export function newPod(address: string): GatewayPod {
  return {
    address,
    answers: true,
    disturbedAt: 0,
    configuration: {
      gateways: [],
      virtualServices: [],
      certificates: new Map(),
      filterSecret: undefined,
    },
  };
}

const newSurroundings = (): Surroundings => ({
  consent: "given",
  gateway: "istio-a",
  credentials: 1,
  certificate: 1,
  apiServers: "cover the hosts",
  kubeconfigs: { mode: "L4", obstacle: undefined },
});

/** A cluster with one HostedAPIServer that was just made, and two gateways of two Pods each. */
export function newWorld(): World {
  const gateways = { "istio-a": newGateway("istio-a"), "istio-b": newGateway("istio-b") };
  gateways["istio-a"].pods = [newPod("10.244.1.1"), newPod("10.244.1.2")];
  gateways["istio-b"].pods = [newPod("10.244.2.1"), newPod("10.244.2.2")];
  const world: World = {
    nowMs: START_MS,
    moment: 0,
    namespace: { apiVersion: "v1", kind: "Namespace", metadata: { name: TENANT, uid: "uid-ns" } },
    servers: new Map(),
    surroundings: { one: newSurroundings(), two: newSurroundings() },
    gateways,
    certificates: new Map(),
    objects: new Map(),
    routedPods: [],
  };
  storeServer(world, newServer("one"));
  return world;
}
