import type { Gateway, KubernetesObject, VirtualService } from "../../../lib/api";
import { ANNOTATION_FORCE_DELETE } from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import { directLookOf } from "../../../capabilities/exposure/servers/checks";
import { serverKeyOf } from "../../../capabilities/exposure/servers/own-index";
import { isOwnRoute, routedHosts } from "../../../capabilities/exposure/servers/routes";
import type { Step, Watcher } from "./fairlead";
import { podServesL7 } from "./sightings";
import {
  isHeld,
  isTerminating,
  ofKind,
  placeOf,
  routeOf,
  serviceOf,
  TENANT,
  type GatewayName,
  type ServerName,
  type World,
} from "./world";

/** Thrown where fairlead breaks a rule. */
class BrokenRule extends Error {
  override readonly name = "BrokenRule";
}

function rule(holds: boolean, what: string): void {
  if (!holds) throw new BrokenRule(what);
}

const isPassthrough = (object: KubernetesObject | undefined): boolean =>
  (object as Gateway | undefined)?.spec.servers[0]?.tls.mode === "PASSTHROUGH";

/** The hosts that Pods are led to a gateway for by fairlead's own ConfigMap. */
function hostsLedTo(route: ConfigMap | undefined, gateway: string): readonly string[] {
  if (route === undefined || !isOwnRoute(route)) return [];
  return route.data?.["istio-namespace"] === gateway ? routedHosts(route) : [];
}

/** Whether kubeconfigs lead to the Service, or never will. */
function kubeconfigsAreBack(world: World, name: ServerName): boolean {
  const { kubeconfigs, apiServers } = world.surroundings[name];
  const { clients } = world.servers.get(name)?.spec ?? {};
  return (
    (clients?.kubeconfigSecrets ?? []).length === 0 ||
    kubeconfigs.mode === "L4" ||
    kubeconfigs.obstacle === "for good" ||
    apiServers === "do not answer" ||
    apiServers === "have no address"
  );
}

/** The rules that hold for every single write. */
export class Rules implements Watcher {
  readonly #seenAtWork = new Set<string>();

  constructor(private readonly world: World) {}

  beforeWrite(step: Step): void {
    const { object } = step.write;
    if (object.kind === "ConfigMap") {
      this.#checkRoute(step);
      return;
    }
    if (step.write.kind === "create") {
      const server = this.world.servers.get(step.server);
      rule(isHeld(server), `${placeOf(object)} is made before the finalizer is set`);
    }
    if (object.kind === "VirtualService" && step.write.kind !== "delete") this.#checkTrust(step);
    if (step.write.kind === "delete" || this.#isSwitchToL4(step)) this.#checkRetreat(step);
  }

  beforeKubeconfigs(name: ServerName, mode: "L7" | "L4"): void {
    if (mode === "L4") return;
    const hosts = this.world.servers.get(name)?.spec.hosts ?? [];
    const routed = routedHosts(routeOf(this.world));
    rule(
      hosts.every((host) => routed.includes(host)),
      `kubeconfigs of ${name} lead to the gateway before new Pods do`,
    );
  }

  beforeFinalizer(name: ServerName, wish: "add" | "remove"): void {
    if (wish === "add") return;
    const { objects, servers } = this.world;
    const own = [...objects.values()].filter(
      (object) => object.kind !== "ConfigMap" && serverKeyOf(object) === `${TENANT}/${name}`,
    );
    rule(own.length === 0, `the finalizer of ${name} goes before ${own.map(placeOf).join(", ")}`);
    // In a Namespace that is being deleted nothing is waited for.
    if (isTerminating(this.world)) return;
    const route = routeOf(this.world);
    const others = [...servers.values()].filter(({ metadata }) => metadata.name !== name);
    const claimed = others.flatMap(({ spec }) => spec.hosts);
    const left = (servers.get(name)?.spec.hosts ?? []).filter((host) => !claimed.includes(host));
    rule(
      route === undefined ||
        !isOwnRoute(route) ||
        !left.some((host) => routedHosts(route).includes(host)),
      `the finalizer of ${name} goes before its hosts in the ConfigMap`,
    );
  }

  afterVerified(gateway: GatewayName): void {
    const { pods, routeSecret } = this.world.gateways[gateway];
    const work = pods.every(({ configuration }) => configuration.filterSecret !== undefined);
    if (work) this.#seenAtWork.add(routeSecret);
  }

  #isSwitchToL4({ write }: Step): boolean {
    if (write.object.kind !== "Gateway" || write.kind !== "update") return false;
    const current = this.world.objects.get(placeOf(write.object));
    return isPassthrough(write.object) && !isPassthrough(current);
  }

  #checkRoute({ server: name, memory, write }: Step): void {
    const { world } = this;
    const current = routeOf(world);
    rule(current === undefined || isOwnRoute(current), "a foreign ConfigMap is written");
    const next = write.kind === "delete" ? undefined : (write.object as ConfigMap);
    const gateway = (next?.data?.["istio-namespace"] ?? "") as GatewayName;
    const server = world.servers.get(name);
    const others = [...world.servers.values()].filter(({ metadata }) => metadata.name !== name);
    const claimed = others.flatMap(({ spec }) => spec.hosts);
    const moves = next !== undefined && current?.data?.["istio-namespace"] !== gateway;
    const lost = moves
      ? []
      : routedHosts(current).filter((host) => !routedHosts(next).includes(host));
    rule(
      !lost.some((host) => claimed.includes(host)),
      `${name} takes others' hosts: ${lost.join()}`,
    );
    const before = hostsLedTo(current, gateway);
    const added = hostsLedTo(next, gateway).filter((host) => !before.includes(host));
    if (added.length === 0) return;
    rule(
      added.every((host) => server?.spec.hosts.includes(host)),
      `${name} publishes what is not its own: ${added.join()}`,
    );
    rule(server?.metadata.deletionTimestamp === undefined, `${name} is being deleted`);
    const { pods, addresses } = world.gateways[gateway];
    rule(pods.length > 0, `${name} is published without a ready gateway Pod`);
    for (const pod of pods) {
      // Nobody could know of what happened after the last look.
      if (pod.disturbedAt > (memory.seenAt.get(pod.address) ?? 0)) continue;
      rule(
        podServesL7(world, pod, name),
        `${name} is published, and gateway Pod ${pod.address} does not serve it`,
      );
    }
    const published = (next?.data?.addresses ?? "").split(",");
    const known = addresses.map(({ address }) => address);
    rule(
      published.length > 0 && published.every((address) => known.includes(address)),
      `${name} is published at ${published.join()}`,
    );
  }

  #checkTrust({ write }: Step): void {
    const namespace = write.object.metadata.namespace as GatewayName;
    const { routeSecret } = this.world.gateways[namespace];
    const holds = (object: KubernetesObject | undefined): boolean =>
      JSON.stringify((object as VirtualService | undefined)?.spec ?? {}).includes(routeSecret);
    if (!holds(write.object) || holds(this.world.objects.get(placeOf(write.object)))) return;
    rule(
      this.#seenAtWork.has(routeSecret),
      `${placeOf(write.object)} has a trusted route before the filter was seen`,
    );
  }

  /** Something is taken from those who are led to the gateway. */
  #checkRetreat({ server: name, memory, write }: Step): void {
    const { world } = this;
    const server = world.servers.get(name);
    if (server === undefined || isTerminating(world)) return;
    const what = `${write.kind} ${placeOf(write.object)}`;
    const from = write.object.metadata.namespace ?? "";
    const led = hostsLedTo(routeOf(world), from);
    const { hosts } = server.spec;
    rule(!led.some((host) => hosts.includes(host)), `${what} while new Pods are led to it`);
    const ref = server.status?.gatewayRef;
    const isDeleting = server.metadata.deletionTimestamp !== undefined;
    // What another gateway serves now: by its owner's wish, whoever is still there.
    if (!isDeleting && ref !== undefined && ref.namespace !== from) return;
    const isForced =
      isDeleting && server.metadata.annotations?.[ANNOTATION_FORCE_DELETE] === "true";
    rule(isForced || kubeconfigsAreBack(world, name), `${what} while kubeconfigs lead to it`);
    const routed = world.routedPods.some((pod) => pod.hosts.some((host) => hosts.includes(host)));
    // Without a Gateway, nobody is served any more.
    const isServed = ofKind<Gateway>(world, "Gateway").some(
      (object) => serverKeyOf(object) === `${TENANT}/${name}`,
    );
    if (!routed || !isServed) return;
    if (write.kind !== "delete") {
      const look = directLookOf(server, serviceOf(world, name));
      const { direct } = memory;
      rule(
        look !== undefined && direct?.look === look.id && direct.uncoveredHosts?.length === 0,
        `${what}, whose routed Pods would not accept what they see`,
      );
      return;
    }
    rule(ref === undefined || isForced, `${what} while routed Pods run`);
  }
}
