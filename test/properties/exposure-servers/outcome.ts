import type { Gateway } from "../../../lib/api";
import { findCondition } from "../../../lib/domain/conditions";
import { decideLoadBalancing } from "../../../lib/domain/load-balancing";
import { serverKeyOf } from "../../../capabilities/exposure/servers/own-index";
import { isOwnRoute, routedHosts } from "../../../capabilities/exposure/servers/routes";
import {
  GATEWAYS,
  newPod,
  ofKind,
  routeOf,
  SERVERS,
  TENANT,
  tick,
  type ServerName,
  type World,
} from "./world";

/** What can be seen of a HostedAPIServer from outside. */
interface Outcome {
  /** `<namespace>: <TLS mode>` of each Gateway. */
  readonly gateways: readonly string[];
  readonly virtualServices: number;
  readonly destinationRules: number;
  /** Whether new Pods are led to the gateway by a ConfigMap of fairlead's; undefined where it is somebody else's. */
  readonly routed: boolean | undefined;
  readonly kubeconfigs: "L7" | "L4";
  readonly programmed: string | undefined;
  readonly loadBalancing: "L7" | "L4" | undefined;
}

/** How it came out for a HostedAPIServer. */
export function outcomeOf(world: World, name: ServerName): Outcome {
  const isOwn = (object: Parameters<typeof serverKeyOf>[0]): boolean =>
    serverKeyOf(object) === `${TENANT}/${name}`;
  const server = world.servers.get(name);
  const route = routeOf(world);
  const hosts = server?.spec.hosts ?? [`${name}.example.com`, `${name}-2.example.com`];
  return {
    gateways: ofKind<Gateway>(world, "Gateway")
      .filter(isOwn)
      .map(
        ({ metadata, spec }) => `${metadata.namespace ?? ""}: ${spec.servers[0]?.tls.mode ?? ""}`,
      ),
    virtualServices: ofKind(world, "VirtualService").filter(isOwn).length,
    destinationRules: ofKind(world, "DestinationRule").filter(isOwn).length,
    routed:
      route === undefined || isOwnRoute(route)
        ? hosts.some((host) => routedHosts(route).includes(host))
        : undefined,
    kubeconfigs: world.surroundings[name].kubeconfigs.mode,
    programmed: findCondition(server?.status?.conditions, "Programmed")?.status,
    loadBalancing: server?.status?.loadBalancing,
  };
}

const GONE = { gateways: [], virtualServices: 0, destinationRules: 0 };

/** How it has to come out where nothing stands in the way. */
export function expectedOutcome(world: World, name: ServerName): Partial<Outcome> | undefined {
  const server = world.servers.get(name);
  const route = routeOf(world);
  const isForeign = route !== undefined && !isOwnRoute(route);
  const unrouted = isForeign ? undefined : false;
  if (server === undefined) return { ...GONE, routed: unrouted };
  const { consent, gateway } = world.surroundings[name];
  if (consent === "withdrawn") return { ...GONE, routed: unrouted, programmed: "False" };
  const wish = decideLoadBalancing(server, world.namespace.metadata);
  if (consent === "in doubt" || wish.kind === "refused") return undefined;
  const hasKubeconfigs = (server.spec.clients?.kubeconfigSecrets ?? []).length > 0;
  const withClients = server.spec.certificates?.clientCA !== undefined;
  const kubeconfigs = hasKubeconfigs && !isForeign ? { kubeconfigs: wish.kind } : {};
  const tls = wish.kind === "L4" ? "PASSTHROUGH" : withClients ? "OPTIONAL_MUTUAL" : "SIMPLE";
  return {
    gateways: [`${gateway}: ${tls}`],
    virtualServices: 1,
    destinationRules: 1,
    routed: isForeign ? undefined : wish.kind === "L7",
    ...kubeconfigs,
    programmed: "True",
    loadBalancing: wish.kind,
  };
}

/** Takes away all that stands in the way; what its owners want stays as it is. */
export function mend(world: World): void {
  for (const name of GATEWAYS) {
    const state = world.gateways[name];
    if (state.pods.length === 0) state.pods.push(newPod(`10.244.0.${tick(world)}`));
    state.filter = "in line";
    for (const address of state.addresses) address.answers = true;
    for (const pod of state.pods) pod.answers = true;
    const [accepted] = state.object.status?.conditions ?? [];
    if (accepted !== undefined) {
      const conditions = [{ ...accepted, status: "True" as const }];
      state.object = { ...state.object, status: { conditions } };
    }
  }
  for (const name of SERVERS) {
    world.surroundings[name].apiServers = "cover the hosts";
    world.surroundings[name].kubeconfigs.obstacle = undefined;
  }
  world.routedPods.splice(0);
}
