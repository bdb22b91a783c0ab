import type { HostedAPIServer } from "../../../lib/api";
import { ANNOTATION_FORCE_DELETE, ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import { routedHosts } from "../../../capabilities/exposure/servers/routes";
import {
  isTerminating,
  newPod,
  newServer,
  placeOf,
  routeOf,
  SERVERS,
  store,
  storeServer,
  tell,
  TENANT,
  tick,
  type GatewayName,
  type GatewayPod,
  type ServerName,
  type World,
} from "./world";

/** What a change is about; `choice` says which of several. */
export interface Subject {
  readonly server: ServerName;
  readonly gateway: GatewayName;
  /** From 0 to 11. */
  readonly choice: number;
}

type Change = (world: World, subject: Subject) => void;

function choose<T>(options: readonly [T, ...T[]], choice: number): T {
  return options[choice % options.length] ?? options[0];
}

function edit(world: World, name: ServerName, spec: Partial<HostedAPIServer["spec"]>): void {
  const server = world.servers.get(name);
  if (server === undefined || server.metadata.deletionTimestamp !== undefined) return;
  const generation = (server.metadata.generation ?? 0) + 1;
  storeServer(world, {
    ...server,
    metadata: { ...server.metadata, generation },
    spec: { ...server.spec, ...spec },
  });
}

function amend(
  world: World,
  name: ServerName,
  metadata: Partial<HostedAPIServer["metadata"]>,
): void {
  const server = world.servers.get(name);
  if (server === undefined) return;
  storeServer(world, { ...server, metadata: { ...server.metadata, ...metadata } });
}

function remove(world: World, name: ServerName): void {
  const deletionTimestamp =
    world.servers.get(name)?.metadata.deletionTimestamp ?? new Date(world.nowMs).toISOString();
  amend(world, name, { deletionTimestamp });
}

/** What the owners of HostedAPIServers do. */
const ownersChanges = {
  "choose a mode": (world, { server, choice }) => {
    edit(world, server, { loadBalancing: choose(["Auto", "L4", "L7"], choice) });
  },
  "choose a version": (world, { server, choice }) => {
    edit(world, server, { kubernetesVersion: choose(["1.34.2", "1.30.1"], choice) });
  },
  "choose hosts": (world, { server, choice }) => {
    const [first, second] = [`${server}.example.com`, `${server}-2.example.com`];
    edit(world, server, { hosts: choose([[first], [second], [first, second]], choice) });
  },
  "choose certificates": (world, { server: name, choice }) => {
    const { server, serverCA, ...clients } = newServer(name).spec.certificates ?? {};
    const servers = { server, serverCA } as HostedAPIServer["spec"]["certificates"];
    const certificates = choose([{ ...servers, ...clients }, servers, {}], choice);
    edit(world, name, { certificates } as Partial<HostedAPIServer["spec"]>);
  },
  "name kubeconfigs": (world, { server, choice }) => {
    edit(world, server, { clients: choose([newServer(server).spec.clients, {}], choice) ?? {} });
  },
  delete: (world, { server }) => {
    remove(world, server);
  },
  "force the deletion": (world, { server }) => {
    amend(world, server, { annotations: { [ANNOTATION_FORCE_DELETE]: "true" } });
    remove(world, server);
  },
  "strip finalizers": (world, { server }) => {
    amend(world, server, { finalizers: [] });
    remove(world, server);
  },
  create: (world, { server }) => {
    if (world.servers.has(server) || isTerminating(world)) return;
    storeServer(world, newServer(server));
  },
  "delete the namespace": (world, { choice }) => {
    if (choice !== 0) return;
    const deletionTimestamp = new Date(world.nowMs).toISOString();
    const { metadata } = world.namespace;
    world.namespace = { ...world.namespace, metadata: { ...metadata, deletionTimestamp } };
    for (const name of SERVERS) remove(world, name);
  },
} satisfies Record<string, Change>;

/** What the credentials controller has new reason to write. */
const credentialsChanges = {
  "rename Secrets": (world, { server }) => {
    world.surroundings[server].credentials += 1;
  },
  "renew the certificate": (world, { server }) => {
    world.surroundings[server].certificate += 1;
  },
  "give or withdraw consent": (world, { server, choice }) => {
    const surroundings = world.surroundings[server];
    surroundings.consent = choose(["given", "in doubt", "withdrawn"], choice);
  },
  "move to another gateway": (world, { gateway }) => {
    // All of a namespace use one.
    for (const name of SERVERS) world.surroundings[name].gateway = gateway;
  },
} satisfies Record<string, Change>;

function disturb(world: World, { gateway, choice }: Subject, to: Partial<GatewayPod>): void {
  const { pods } = world.gateways[gateway];
  const pod = pods[choice % Math.max(1, pods.length)];
  if (pod !== undefined) Object.assign(pod, to, { disturbedAt: world.moment });
}

/** What happens to the gateways. */
const gatewayChanges = {
  "add a gateway Pod": (world, { gateway }) => {
    world.gateways[gateway].pods.push(newPod(`10.244.0.${world.moment}`));
  },
  "remove a gateway Pod": (world, { gateway, choice }) => {
    const { pods } = world.gateways[gateway];
    pods.splice(choice % Math.max(1, pods.length), 1);
  },
  "restart a gateway Pod": (world, subject) => {
    disturb(world, subject, { configuration: newPod("").configuration });
  },
  "make a gateway Pod fail": (world, subject) => {
    disturb(world, subject, { answers: false });
  },
  "mend a gateway Pod": (world, subject) => {
    disturb(world, subject, { answers: true });
  },
  "tell a gateway Pod": (world, { gateway, choice }) => {
    const { pods } = world.gateways[gateway];
    const pod = pods[choice % Math.max(1, pods.length)];
    if (pod !== undefined) tell(world, gateway, pod);
  },
  "make an address answer or not": (world, { gateway, choice }) => {
    const { addresses } = world.gateways[gateway];
    const address = addresses[choice % addresses.length];
    if (address !== undefined) address.answers = choice < 6;
  },
  "change the filter": (world, { gateway, choice }) => {
    world.gateways[gateway].filter = choose(["in line", "out of line", "gone"], choice);
  },
  "make another route secret": (world, { gateway }) => {
    world.gateways[gateway].routeSecret = world.moment.toString(16).padStart(32, "0");
  },
  "accept the gateway or not": (world, { gateway, choice }) => {
    const state = world.gateways[gateway];
    const [accepted] = state.object.status?.conditions ?? [];
    if (accepted === undefined) return;
    const status = choice < 6 ? "True" : "False";
    state.object = { ...state.object, status: { conditions: [{ ...accepted, status }] } };
  },
} satisfies Record<string, Change>;

const FOREIGN_ROUTES: readonly [string, ...string[]] = [
  "one.example.com",
  "one.example.com,two.example.com",
  "elsewhere.example.com",
];

/** What happens in the control-plane namespace, and to what fairlead made. */
const otherChanges = {
  "change the API servers": (world, { server, choice }) => {
    world.surroundings[server].apiServers = choose(
      ["cover the hosts", "do not cover the hosts", "do not answer", "have no address"],
      choice,
    );
  },
  "stand in the way of kubeconfigs": (world, { server, choice }) => {
    world.surroundings[server].kubeconfigs.obstacle = choose(
      [undefined, "for now", "for good"],
      choice,
    );
  },
  "start a Pod": (world) => {
    const route = routeOf(world);
    if (route !== undefined) world.routedPods.push({ hosts: routedHosts(route) });
  },
  "end a Pod": (world) => {
    world.routedPods.pop();
  },
  "put up a foreign route": (world, { choice }) => {
    const data = { hosts: choose(FOREIGN_ROUTES, choice), "istio-namespace": "istio-b" };
    const metadata = { name: ROUTE_CONFIG_MAP, namespace: TENANT };
    store(world, { apiVersion: "v1", kind: "ConfigMap", metadata, data } as never);
  },
  "remove the route": (world) => {
    const route = routeOf(world);
    if (route !== undefined) world.objects.delete(placeOf(route));
  },
  "remove an object": (world, { choice }) => {
    const places = [...world.objects.keys()];
    const place = places[choice % Math.max(1, places.length)];
    if (place !== undefined) world.objects.delete(place);
  },
  "let a second pass": (world) => {
    world.nowMs += 1_000;
  },
  "let eleven minutes pass": (world) => {
    world.nowMs += 660_000;
  },
  nothing: () => undefined,
} satisfies Record<string, Change>;

/** All that others do, by what it is. */
export const CHANGES: Readonly<Record<string, Change>> = {
  ...ownersChanges,
  ...credentialsChanges,
  ...gatewayChanges,
  ...otherChanges,
};

/** Carries out a change. */
export function change(world: World, what: string, subject: Subject): void {
  tick(world);
  CHANGES[what]?.(world, subject);
}
