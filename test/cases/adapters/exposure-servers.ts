import type { ClientsState } from "../../../capabilities/exposure/clients";
import type { KnownFacts } from "../../../capabilities/exposure/gateways/facts";
import type { Write } from "../../../capabilities/exposure/objects";
import {
  credentialsOf,
  destinationRuleOf,
  gatewayOf,
  tunnelObjectsOf,
  tunnelPortsOf,
  virtualServiceOf,
  type Exposure,
} from "../../../capabilities/exposure/resources";
import type {
  ObservedServer,
  ObservedTunnel,
  OwnObjects,
} from "../../../capabilities/exposure/servers/observed";
import { planServer, type Need } from "../../../capabilities/exposure/servers/plan";
import { directLookOf } from "../../../capabilities/exposure/servers/checks";
import type {
  DestinationRule,
  Gateway,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  NetworkPolicy,
  ServiceEntry,
  TunnelGateway,
  VirtualService,
} from "../../../lib/api";
import type { ServiceObject } from "../../../lib/cluster";
import type { Certificate } from "../../../lib/domain/certificates";
import { keyOf } from "../../../lib/domain/keys";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { CaseAdapter, Given } from "../runner";

const DEFAULT_NOW = "2026-11-21T12:00:00Z";
const ROUTE_SECRET = "0123456789abcdef0123456789abcdef";

/** What the World of a case may say. */
interface World {
  readonly now?: string;
  /**
   * Ready Pods and cluster IPs of the gateway; absent: not everything of it is there; `unseen`: nobody has looked since
   * the start.
   */
  readonly gateway?:
    | "unseen"
    | {
        readonly pods: readonly string[];
        readonly addresses: readonly string[];
        /** Whether the shared filter is there; true by default. */
        readonly filterInLine?: boolean;
      };
  readonly filterVerified?: boolean;
  /** fairlead's own Istio objects, as they were made for a mode, in the namespace of the gateway of that name. */
  readonly made?: readonly {
    readonly mode: "L7" | "L4";
    readonly trusted?: boolean;
    readonly gateway?: string;
  }[];
  /** What was seen of the present check: `good`, or what is wrong. */
  readonly seen?: Readonly<Record<string, string>>;
  readonly failingForSeconds?: number;
  /** What the API servers were seen to serve at their Service. */
  readonly direct?: { readonly uncovered?: readonly string[]; readonly problem?: string };
  readonly clients?: { readonly mode: "L7" | "L4" } & ClientsState;
  readonly routedPods?: number;
  /** Names and addresses that the certificate is for that was seen on the public hosts. */
  readonly shown?: readonly string[];
  readonly tunnel?: {
    /** The tunnel's objects as they were made, ending at this address. */
    readonly madeAt?: string;
    /** Where tunnels of others end, older ones first; this one's is made at noon of the first day. */
    readonly others?: readonly { readonly address: string; readonly createdAt: string }[];
    /** What was seen of the present check of the tunnel: `good`, or what is wrong. */
    readonly seen?: Readonly<Record<string, string>>;
  };
}

// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters -- a YAML document is what its kind says
const of = <T extends KubernetesObject>({ objects }: Given, kind: string): readonly T[] =>
  objects.filter((object) => object.kind === kind) as unknown as readonly T[];

function exposureFor(given: Given, server: HostedAPIServer, made: NonNullable<World["made"]>[0]) {
  const gateways = of<InternalGateway>(given, "InternalGateway");
  const gateway = gateways.find((found) => keyOf(found) === (made.gateway ?? keyOf(found)));
  const namespace = of(given, "Namespace").find(
    ({ metadata }) => metadata.name === server.metadata.namespace,
  );
  const credentials = credentialsOf(server);
  if (gateway === undefined) throw new Error("given.yaml: the InternalGateway is missing.");
  if (made.mode === "L7" && credentials === undefined) {
    throw new Error("when.yaml: what was made for L7 needs status.credentials.");
  }
  return {
    server,
    gateway,
    namespaceUid: namespace?.metadata.uid ?? "",
    mode: { kind: made.mode, credentials } as Exposure["mode"],
    trusted: made.trusted === true,
    routeSecret: ROUTE_SECRET,
    clusterDomain: "cluster.local",
  } satisfies Exposure;
}

function ownOf(given: Given, server: HostedAPIServer, world: World): OwnObjects {
  const exposures = (world.made ?? []).map((made) => exposureFor(given, server, made));
  const gateways: Gateway[] = exposures.map(gatewayOf);
  const virtualServices: VirtualService[] = exposures.map(virtualServiceOf);
  const destinationRules: DestinationRule[] = exposures.map(destinationRuleOf);
  const networkPolicies = of<NetworkPolicy>(given, "NetworkPolicy").filter(
    ({ metadata }) => metadata.labels?.["app.kubernetes.io/managed-by"] === "fairlead",
  );
  return { gateways, virtualServices, destinationRules, networkPolicies };
}

const TUNNEL_MADE_AT = "2026-11-21T12:00:00Z";

function serviceEntryAt(address: string, createdAt: string): ServiceEntry {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: {
      name: `other-${address}`,
      namespace: "istio-ingress",
      creationTimestamp: createdAt,
    },
    spec: {
      exportTo: ["."],
      hosts: ["other.tunnel.fairlead.invalid"],
      location: "MESH_EXTERNAL",
      resolution: "STATIC",
      ports: [{ name: "tls-tunnel", number: 9444, protocol: "TCP" }],
      endpoints: [{ address }],
    },
  };
}

function tunnelOf(given: Given, server: HostedAPIServer, world: World): ObservedTunnel {
  const { madeAt, others = [] } = world.tunnel ?? {};
  const own = { gateways: [], virtualServices: [], serviceEntries: [] };
  const state: ObservedTunnel = {
    own,
    others: others.map(({ address, createdAt }) => serviceEntryAt(address, createdAt)),
    sightings: undefined,
  };
  const [made] = world.made ?? [];
  if (madeAt === undefined || made === undefined) return state;
  const exposure = exposureFor(given, server, made);
  // What was made stays where it was, whatever the InternalGateway says now.
  const ports = tunnelPortsOf(exposure.gateway) ?? { port: 8132, loopbackPort: 9444 };
  const { serviceEntry, virtualService, gateway } = tunnelObjectsOf({
    exposure,
    ports,
    address: madeAt,
  });
  const metadata = { ...serviceEntry.metadata, creationTimestamp: TUNNEL_MADE_AT };
  return {
    ...state,
    own: {
      gateways: [gateway],
      virtualServices: [virtualService],
      serviceEntries: [{ ...serviceEntry, metadata }],
    },
  };
}

function factsOf(world: World): KnownFacts {
  if (world.gateway === undefined || world.gateway === "unseen") return world.gateway;
  return {
    routeSecret: ROUTE_SECRET,
    filterInLine: world.gateway.filterInLine ?? true,
    podAddresses: world.gateway.pods,
    serviceAddresses: world.gateway.addresses,
  };
}

function observe(given: Given, server: HostedAPIServer): ObservedServer {
  const world = given.world as World;
  const nowMs = Date.parse(world.now ?? DEFAULT_NOW);
  const ref = server.status?.gatewayRef;
  const service = of<ServiceObject>(given, "Service").find(
    ({ metadata }) => metadata.namespace === server.metadata.namespace,
  );
  const look = directLookOf(server, service);
  return {
    server,
    namespace: of(given, "Namespace").find(
      ({ metadata }) => metadata.name === server.metadata.namespace,
    ),
    gateway: of<InternalGateway>(given, "InternalGateway").find(
      ({ metadata }) => metadata.namespace === ref?.namespace && metadata.name === ref?.name,
    ),
    facts: factsOf(world),
    filterVerified: world.filterVerified === true,
    own: ownOf(given, server, world),
    tunnel: tunnelOf(given, server, world),
    service,
    policies: of<NetworkPolicy>(given, "NetworkPolicy"),
    routeConfigMap: of<ConfigMap>(given, "ConfigMap")[0],
    neighbours: [server, ...of<HostedAPIServer>(given, "HostedAPIServer")],
    sightings: undefined,
    direct:
      world.direct === undefined || look === undefined
        ? undefined
        : {
            look: look.id,
            seenAtMs: nowMs,
            uncoveredHosts:
              world.direct.problem === undefined ? (world.direct.uncovered ?? []) : undefined,
            chain: [],
            problem: world.direct.problem,
          },
    clients:
      world.clients === undefined ? undefined : { mode: world.clients.mode, state: world.clients },
    routedPods: world.routedPods,
    clusterDomain: "cluster.local",
    nowMs,
  };
}

/** The same, with what the World says was seen of the check that would be made now. */
function withSightings(observed: ObservedServer, world: World): ObservedServer {
  if (world.seen === undefined) return observed;
  const need = planServer(observed).needs.find(({ kind }) => kind === "gateway");
  if (need?.kind !== "gateway")
    throw new Error("given.yaml: nothing is looked at, so seen is wrong.");
  const verdicts = Object.entries(world.seen).map(
    ([target, verdict]) => [target, verdict === "good" ? undefined : verdict] as const,
  );
  const failing = verdicts.some(([, verdict]) => verdict !== undefined);
  const sinceMs = observed.nowMs - 1_000 * (world.failingForSeconds ?? 0);
  return {
    ...observed,
    sightings: {
      check: need.check.id,
      verdicts: new Map(verdicts),
      completeAtMs: observed.nowMs,
      chain: world.shown === undefined ? [] : [certificateFor(world.shown)],
      failingSinceMs: failing ? sinceMs : undefined,
    },
  };
}

/** As much of a certificate as is looked at. */
function certificateFor(names: readonly string[]): Certificate {
  return {
    dnsNames: names,
    x509: { checkIP: (address: string) => (names.includes(address) ? address : undefined) },
  } as unknown as Certificate;
}

/** The same, with what the World says was seen of the check of the tunnel. */
function withTunnelSightings(observed: ObservedServer, world: World): ObservedServer {
  const { tunnel } = observed;
  if (world.tunnel?.seen === undefined || tunnel === undefined) return observed;
  const need = planServer(observed).needs.find(({ kind }) => kind === "tunnel");
  if (need?.kind !== "tunnel") {
    throw new Error("given.yaml: no tunnel is looked at, so tunnel.seen is wrong.");
  }
  const verdicts = Object.entries(world.tunnel.seen).map(
    ([target, verdict]) => [target, verdict === "good" ? undefined : verdict] as const,
  );
  const failing = verdicts.some(([, verdict]) => verdict !== undefined);
  return {
    ...observed,
    tunnel: {
      ...tunnel,
      sightings: {
        check: need.check.id,
        verdicts: new Map(verdicts),
        completeAtMs: observed.nowMs,
        chain: [],
        failingSinceMs: failing
          ? observed.nowMs - 1_000 * (world.failingForSeconds ?? 0)
          : undefined,
      },
    },
  };
}

function showWrite({ kind, object }: Write): unknown {
  const name = `${kind} ${object.kind} ${keyOf(object)}`;
  if (kind === "delete") return name;
  switch (object.kind) {
    case "Gateway": {
      const [server] = (object as Gateway | TunnelGateway).spec.servers;
      return `${name} (${server !== undefined && "tls" in server ? server.tls.mode : "tunnel"})`;
    }
    case "ServiceEntry": {
      const { endpoints } = (object as ServiceEntry).spec;
      return `${name} (${endpoints.map(({ address }) => address).join(", ")})`;
    }
    case "VirtualService": {
      const http = (object as VirtualService).spec.http ?? [];
      return `${name} (${http.map((route) => route.name).join(", ")})`;
    }
    case "DestinationRule": {
      const { subsets } = (object as DestinationRule).spec;
      return `${name} (${subsets.map((subset) => subset.name).join(", ")})`;
    }
    case "ConfigMap":
      return { [name]: { labels: object.metadata.labels, data: (object as ConfigMap).data } };
    default:
      return name;
  }
}

function showNeed(need: Need): unknown {
  switch (need.kind) {
    case "tunnel":
      return {
        "look through the tunnel": need.targets.map(({ address, port }) => `${address}:${port}`),
        to: need.check.probe.tunnelTo,
        for: need.check.mode,
      };
    case "gateway":
      return {
        "look at the gateway": need.targets.map(({ address, port }) => `${address}:${port}`),
        for: need.check.mode,
      };
    case "direct":
      return { "look at the API servers": `${need.look.target.address}:${need.look.target.port}` };
    case "clients":
      return { "point kubeconfigs": need.target.target.server };
    case "routed-pods":
      return "count routed Pods";
  }
}

/**
 * `when.yaml` is the HostedAPIServer. The World says what was seen and what was made: see `World` here. The outcome is
 * the plan: objects in short, since `exposure-resources` shows them.
 */
export const adapter: CaseAdapter = {
  capability: "exposure-servers",
  kinds: [
    "InternalGateway",
    "Namespace",
    "Service",
    "ConfigMap",
    "HostedAPIServer",
    "NetworkPolicy",
  ],
  worldKeys: [
    "now",
    "gateway",
    "filterVerified",
    "made",
    "seen",
    "failingForSeconds",
    "direct",
    "clients",
    "routedPods",
    "shown",
    "tunnel",
  ],
  run(given, when) {
    const { kind } = when as KubernetesObject;
    if (kind !== "HostedAPIServer") {
      throw new Error("when.yaml: the subject is a HostedAPIServer.");
    }
    const subject = when as HostedAPIServer;
    const world = given.world as World;
    const observed = withTunnelSightings(withSightings(observe(given, subject), world), world);
    const { finalizer, writes, needs, status, retry } = planServer(observed);
    return {
      finalizer,
      writes: writes.map(showWrite),
      needs: needs.map(showNeed),
      status,
      retry,
    };
  },
};
