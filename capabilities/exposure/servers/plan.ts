import type {
  Gateway,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  NetworkPolicy,
} from "../../../lib/api";
import { findCondition, isTrue, type DecidedCondition } from "../../../lib/domain/conditions";
import { decideLoadBalancing } from "../../../lib/domain/load-balancing";
import { FINALIZER_EXPOSURE } from "../../../lib/domain/names";
import { planWrite, planWrites, type Write } from "../objects";
import {
  credentialsOf,
  destinationRuleOf,
  gatewayOf,
  kubeconfigServerOf,
  networkPoliciesOf,
  ROUTE_HEADER,
  virtualServiceOf,
  type Exposure,
} from "../resources";
import type { ClientsTarget } from "../clients";
import {
  directLookOf,
  gatewayCheckOf,
  type DirectLook,
  type GatewayCheck,
  type GatewayTarget,
} from "./checks";
import { decideGoal, programmed, type Goal } from "./goal";
import type { ObservedServer } from "./observed";
import {
  clientsCondition,
  passthroughCondition,
  servingCondition,
  unverifiedMode,
  type ExposureStatus,
} from "./report";
import { isOwnRoute, planRoute, routedHosts } from "./routes";
import { planTunnel, tunnelParts, type TunnelNeed } from "./tunnel";
import {
  isMomentary,
  problemsOf,
  SIGHTING_MAX_AGE_MS,
  targetsOf,
  verdictOf,
  type Verdict,
} from "./verdict";

/** Something to find out before the plan can go on. */
export type Need =
  | {
      readonly kind: "gateway";
      readonly check: GatewayCheck;
      readonly targets: readonly GatewayTarget[];
    }
  | TunnelNeed
  | { readonly kind: "direct"; readonly look: DirectLook }
  | { readonly kind: "clients"; readonly mode: "L7" | "L4"; readonly target: ClientsTarget }
  | { readonly kind: "routed-pods"; readonly gateway: InternalGateway };

/** What to do for one HostedAPIServer: the finalizer, then the writes in their order, then what is to be found out. */
export interface ServerPlan {
  readonly finalizer: "add" | "remove" | undefined;
  readonly writes: readonly Write[];
  readonly needs: readonly Need[];
  /** Undefined: what it says now stays. */
  readonly status: ExposureStatus | undefined;
  /** True: something is not as it should be yet, and nothing will say when it is; look again, with a growing wait. */
  readonly retry: boolean;
}

type Serving = Extract<Goal, { kind: "serve" }>;

/** What was looked for in vain, too. */
const PROBLEM_MAX_AGE_MS = 10_000;

const NOTHING: ServerPlan = {
  finalizer: undefined,
  writes: [],
  needs: [],
  status: undefined,
  retry: false,
};

const hasFinalizer = ({ metadata }: HostedAPIServer): boolean =>
  metadata.finalizers?.includes(FINALIZER_EXPOSURE) ?? false;

/** How a Gateway of fairlead's serves; undefined where there is none. */
function modeOfGateway(gateway: Gateway | undefined): "L7" | "L4" | undefined {
  if (gateway === undefined) return undefined;
  return gateway.spec.servers[0]?.tls.mode === "PASSTHROUGH" ? "L4" : "L7";
}

function isIn<T extends KubernetesObject>(objects: readonly T[], namespace: string): readonly T[] {
  return objects.filter(({ metadata }) => metadata.namespace === namespace);
}

const isElsewhere = (objects: readonly KubernetesObject[], namespace: string) =>
  objects.filter(({ metadata }) => metadata.namespace !== namespace);

function allOwn({ own, tunnel }: ObservedServer): readonly KubernetesObject[] {
  // In the order in which they go: first what takes connections, last what those need.
  return [
    ...tunnelParts(tunnel?.own),
    ...own.gateways,
    ...own.virtualServices,
    ...own.destinationRules,
    ...own.networkPolicies,
  ];
}

/** Whether there is a trusted route with this route secret already: it stays, since nobody else knows the secret. */
function isTrustedAlready({ own }: ObservedServer, { gateway, facts }: Serving): boolean {
  return isIn(own.virtualServices, gateway.metadata.namespace ?? "").some(({ spec }) =>
    (spec.http ?? []).some(
      (route) =>
        "route" in route &&
        (route.match ?? []).some(
          ({ headers }) => headers[ROUTE_HEADER]?.exact === facts.routeSecret,
        ),
    ),
  );
}

function exposureOf(observed: ObservedServer, goal: Serving): Exposure {
  const { server, filterVerified, clusterDomain } = observed;
  const { gateway, facts, namespaceUid, mode } = goal;
  return {
    server,
    gateway,
    namespaceUid,
    mode,
    trusted: filterVerified || isTrustedAlready(observed, goal),
    routeSecret: facts.routeSecret,
    clusterDomain,
  };
}

function policiesOf(observed: ObservedServer, gateway: InternalGateway): readonly NetworkPolicy[] {
  const { server, service, policies } = observed;
  const planned = networkPoliciesOf({ server, gateway, service, policies });
  return planned.kind === "policies" ? planned.policies : [];
}

/** The writes of Istio's objects. A switch that has to wait leaves them as they are. */
function configurationWrites(
  { own }: ObservedServer,
  exposure: Exposure,
  switchWaits: boolean,
): readonly Write[] {
  if (switchWaits) return [];
  const { namespace = "" } = exposure.gateway.metadata;
  return planWrites(
    // First what others refer to: a subset, then a route to it, then the listener.
    [destinationRuleOf(exposure), virtualServiceOf(exposure), gatewayOf(exposure)],
    [
      ...isIn(own.destinationRules, namespace),
      ...isIn(own.virtualServices, namespace),
      ...isIn(own.gateways, namespace),
    ],
  );
}

/** The versions of the objects in a gateway's namespace; one that was deleted and made anew is another. */
function versionsIn(
  { gateways, virtualServices, destinationRules }: ObservedServer["own"],
  namespace: string,
): readonly string[] {
  return [gateways, virtualServices, destinationRules]
    .flatMap((objects: readonly KubernetesObject[]) => isIn(objects, namespace))
    .map(({ metadata: { uid = "", generation = 0 } }) => `${uid}/${generation}`);
}

/** Client certificates have a route of their own, or are not asked for. */
const isTrustComplete = ({ mode, trusted }: Exposure): boolean =>
  mode.kind === "L4" || !mode.credentials.clientCertificates || trusted;

const isServed = (check: GatewayCheck, { missing, addresses }: Verdict): boolean =>
  check.pods.length > 0 &&
  addresses.length > 0 &&
  missing.every((target) => check.services.includes(target));

function unverifiedCondition(
  check: GatewayCheck,
  verdict: Verdict,
  exposure: Exposure,
): DecidedCondition {
  if (isServed(check, verdict) && !isTrustComplete(exposure)) {
    const message = "Client certificates wait for the shared filter, which is being mended.";
    return programmed("False", "FilterNotInLine", message);
  }
  if (check.pods.length === 0) {
    return programmed("False", "NoReadyGateway", "The gateway has no ready Pod.");
  }
  const problem = problemsOf(verdict);
  return problem === undefined
    ? programmed("False", "Pending", "The gateway is being looked at.")
    : programmed("False", "NotServed", `The gateway does not serve it yet: ${problem}.`);
}

/** Where the kubeconfigs of a HostedAPIServer are to lead. */
function clientsNeed(
  observed: ObservedServer,
  gateway: InternalGateway | undefined,
  way: { readonly mode: "L7" | "L4"; readonly addresses: readonly string[] },
): readonly Need[] {
  const { server, sightings, direct, nowMs, clients } = observed;
  if ((server.spec.clients?.kubeconfigSecrets ?? []).length === 0) return [];
  if (clients?.mode === way.mode) return [];
  const chain = way.mode === "L7" ? sightings?.chain : direct?.chain;
  const [host = ""] = server.spec.hosts;
  return [
    {
      kind: "clients",
      mode: way.mode,
      target: {
        server,
        target: {
          server: kubeconfigServerOf(server, gateway, way.mode),
          servedChain: chain ?? [],
          nowMs,
        },
        alias: way.mode === "L7" ? { host, addresses: way.addresses } : undefined,
      },
    },
  ];
}

function directNeed({ server, service, direct, nowMs }: ObservedServer): readonly Need[] {
  const look = directLookOf(server, service);
  if (look === undefined) return [];
  if (direct === undefined) return [{ kind: "direct", look }];
  const maxAgeMs = direct.problem === undefined ? SIGHTING_MAX_AGE_MS : PROBLEM_MAX_AGE_MS;
  return nowMs - direct.seenAtMs < maxAgeMs ? [] : [{ kind: "direct", look }];
}

/** Whether kubeconfigs lead to the API servers' Service, or are left alone, or can't: nothing more is waited for. */
function clientsAreBack({ server, clients, direct, service }: ObservedServer): boolean {
  if ((server.spec.clients?.kubeconfigSecrets ?? []).length === 0) return true;
  // There is nothing that they could lead to.
  if (directLookOf(server, service) === undefined || direct?.problem !== undefined) return true;
  return clients?.mode === "L4" && clients.state.settled;
}

function isRouted({ server, routeConfigMap }: ObservedServer): boolean {
  if (routeConfigMap === undefined || !isOwnRoute(routeConfigMap)) return false;
  return routedHosts(routeConfigMap).some((host) => server.spec.hosts.includes(host));
}

/** What leads clients away from the gateway, one thing after the other; `over` once nobody new is led there. */
function planRetreat(
  observed: ObservedServer,
  gateway: InternalGateway | undefined,
  leadsBack = true,
): { readonly over: boolean; readonly needs: readonly Need[]; readonly writes: readonly Write[] } {
  const { server, neighbours, namespace, routeConfigMap } = observed;
  const direct = directNeed(observed);
  if (direct.length > 0) return { over: false, needs: direct, writes: [] };
  if (leadsBack && !clientsAreBack(observed)) {
    return {
      over: false,
      needs: clientsNeed(observed, gateway, { mode: "L4", addresses: [] }),
      writes: [],
    };
  }
  const write = planRoute({
    namespace: server.metadata.namespace ?? "",
    name: server.metadata.name,
    hosts: server.spec.hosts,
    neighbours,
    namespaceUid: namespace?.metadata.uid ?? "",
    current: routeConfigMap,
    published: undefined,
  });
  return { over: !isRouted(observed), needs: [], writes: write === undefined ? [] : [write] };
}

const isPassthroughUsable = ({ direct }: ObservedServer): boolean =>
  direct?.uncoveredHosts?.length === 0;

interface Switch {
  readonly waits: boolean;
  readonly needs: readonly Need[];
  readonly writes: readonly Write[];
  readonly condition: DecidedCondition | undefined;
}

const NO_WAIT: Switch = { waits: false, needs: [], writes: [], condition: undefined };

/** From L7 to L4: first nobody new is led to the gateway, and those who are there must accept what they will see. */
function planSwitch(
  observed: ObservedServer,
  goal: Serving,
  current: "L7" | "L4" | undefined,
): Switch {
  if (goal.mode.kind === "L7" || current !== "L7") return NO_WAIT;
  const { over, needs, writes } = planRetreat(observed, goal.gateway);
  const wait = (message: string, more: readonly Need[] = []): Switch => ({
    waits: true,
    needs: [...needs, ...more],
    writes,
    condition: programmed("False", "Switching", message),
  });
  if (!over) return wait("Is to be served in L4: clients are led back to the Service first.");
  if (isPassthroughUsable(observed)) return { ...NO_WAIT, needs, writes };
  const { routedPods } = observed;
  if (routedPods === undefined) {
    return wait("Is to be served in L4.", [{ kind: "routed-pods", gateway: goal.gateway }]);
  }
  if (routedPods === 0) return { ...NO_WAIT, needs, writes };
  return wait(
    `Is to be served in L4, and ${routedPods} routed Pods would not accept the API servers' own certificate (see PassthroughUsable): served in L7 until they are gone.`,
  );
}

function publish(
  observed: ObservedServer,
  goal: Serving,
  addresses: readonly string[],
): { readonly writes: readonly Write[]; readonly needs: readonly Need[] } {
  const { server, neighbours, routeConfigMap } = observed;
  const { gateway, namespaceUid, mode } = goal;
  const isL7 = mode.kind === "L7";
  const write = planRoute({
    namespace: server.metadata.namespace ?? "",
    name: server.metadata.name,
    hosts: server.spec.hosts,
    neighbours,
    namespaceUid,
    current: routeConfigMap,
    published: isL7 ? { gateway, addresses } : undefined,
  });
  const routed = server.spec.hosts.every((host) => routedHosts(routeConfigMap).includes(host));
  // Kubeconfigs follow the aliases: a Pod that is created meanwhile has to find its way.
  const needs = isL7 && routed ? clientsNeed(observed, gateway, { mode: "L7", addresses }) : [];
  return { writes: write === undefined ? [] : [write], needs };
}

function statusOfServing(
  observed: ObservedServer,
  goal: Serving,
  seen: {
    readonly verified: boolean;
    /** It is not served otherwise than by a moment's failure, or for not having been looked at. */
    readonly mayFlap: boolean;
    readonly condition: DecidedCondition;
    readonly current: "L7" | "L4" | undefined;
    readonly tunnel: DecidedCondition | undefined;
  },
): ExposureStatus | undefined {
  const { server } = observed;
  const said = findCondition(server.status?.conditions, "Programmed");
  // A gateway takes a moment to balance what was just written: that is as little news as a moment's failure.
  const isNew = goal.mode.kind === "L7" && (said === undefined || said.reason === "Pending");
  const isQuiet = said?.status === "True" || isNew;
  if (!seen.verified && seen.mayFlap && isQuiet && isMomentary(observed)) return undefined;
  return {
    loadBalancing: seen.verified
      ? goal.mode.kind
      : unverifiedMode(server, goal.mode.kind, seen.current),
    conditions: [
      seen.condition,
      passthroughCondition(observed),
      clientsCondition(observed, goal.mode.kind),
      ...(seen.tunnel === undefined ? [] : [seen.tunnel]),
    ],
  };
}

function planServing(observed: ObservedServer, goal: Serving): ServerPlan {
  const { server, own } = observed;
  const { gateway, facts, mode } = goal;
  const { namespace = "" } = gateway.metadata;
  const exposure = exposureOf(observed, goal);
  const current = modeOfGateway(isIn(own.gateways, namespace)[0]);
  const change = planSwitch(observed, goal, current);
  const policyWrites = planWrites(policiesOf(observed, gateway), own.networkPolicies);
  const configuration = configurationWrites(observed, exposure, change.waits);
  const check = gatewayCheckOf(exposure, facts, versionsIn(own, namespace));
  const verdict = verdictOf(observed, check);
  const isWritten = configuration.length === 0 && !change.waits;
  const verified = isWritten && isServed(check, verdict) && isTrustComplete(exposure);
  const published = verified
    ? publish(observed, goal, verdict.addresses)
    : { writes: [], needs: [] };
  const condition = verified
    ? servingCondition(goal)
    : (change.condition ?? unverifiedCondition(check, verdict, exposure));
  const mayFlap = !change.waits && check.pods.length > 0;
  const targets = isWritten ? targetsOf(observed, check, verdict) : [];
  const look: readonly Need[] = targets.length > 0 ? [{ kind: "gateway", check, targets }] : [];
  const l4Clients =
    mode.kind === "L4" && !change.waits
      ? clientsNeed(observed, gateway, { mode: "L4", addresses: [] })
      : [];
  const tunnel = planTunnel(observed, exposure, { verified, facts });
  // What was served from another gateway goes once this one serves.
  const leftovers = verified ? isElsewhere(allOwn(observed), namespace) : [];
  return {
    finalizer: hasFinalizer(server) ? undefined : "add",
    writes: [
      ...policyWrites,
      ...change.writes,
      ...configuration,
      ...published.writes,
      ...tunnel.writes,
      ...leftovers
        .filter(({ kind }) => kind !== "NetworkPolicy")
        .map((object) => planWrite(undefined, object))
        .filter((write) => write !== undefined),
    ],
    needs: [
      ...directNeed(observed).filter(
        ({ kind }) => !change.needs.some((need) => need.kind === kind),
      ),
      ...change.needs,
      ...look,
      ...l4Clients,
      ...published.needs,
      ...tunnel.needs,
    ],
    status: statusOfServing(observed, goal, {
      verified,
      mayFlap,
      condition,
      current,
      tunnel: tunnel.condition,
    }),
    retry: !verified || observed.direct?.problem !== undefined || tunnel.retry,
  };
}

interface Drain {
  readonly over: boolean;
  readonly needs: readonly Need[];
  readonly writes: readonly Write[];
  readonly message: string;
}

/** Routed Pods go on through the gateway: in L4 if they accept that, else as before. */
function planDrain(observed: ObservedServer, drains: boolean): Drain {
  const { own, gateway, routedPods } = observed;
  const over: Drain = { over: true, needs: [], writes: [], message: "" };
  if (!drains || gateway === undefined || own.gateways.length === 0) return over;
  if (routedPods === undefined) {
    return { ...over, over: false, needs: [{ kind: "routed-pods", gateway }] };
  }
  if (routedPods === 0) return over;
  const write = isPassthroughUsable(observed) ? planPassthrough(observed, gateway) : undefined;
  return {
    over: false,
    needs: [],
    writes: write === undefined ? [] : [write],
    message: `Waits for ${routedPods} routed Pods to end; annotation fairlead.dev/force-delete: "true" ends the wait.`,
  };
}

function planPassthrough(
  { own, server, clusterDomain }: ObservedServer,
  gateway: InternalGateway,
): Write | undefined {
  // What is left in the namespace of another gateway is not changed any more.
  const [current] = isIn(own.gateways, gateway.metadata.namespace ?? "");
  if (current === undefined) return undefined;
  const passthrough = gatewayOf({
    server,
    gateway,
    mode: { kind: "L4", credentials: credentialsOf(server) },
    namespaceUid: current.metadata.ownerReferences?.[0]?.uid ?? "",
    trusted: false,
    routeSecret: "",
    clusterDomain,
  });
  return planWrite(passthrough, current);
}

function withdrawalStatus(
  { server }: ObservedServer,
  condition: DecidedCondition,
): ExposureStatus | undefined {
  const isDeleting = server.metadata.deletionTimestamp !== undefined;
  // Once nothing holds it, the object is gone with the next write of credentials.
  if (isDeleting && !hasFinalizer(server)) return undefined;
  return { loadBalancing: undefined, conditions: [condition] };
}

/** In reverse order: kubeconfigs, the route ConfigMap, routed Pods, the gateway's configuration, the finalizer. */
function planWithdrawal(
  observed: ObservedServer,
  goal: Extract<Goal, { kind: "withdraw" }>,
): ServerPlan {
  const { server, namespace, gateway } = observed;
  const objects = allOwn(observed);
  const isTerminating =
    namespace === undefined || namespace.metadata.deletionTimestamp !== undefined;
  // The route ConfigMap goes with its Namespace.
  const isThere = objects.length > 0 || (!isTerminating && isRouted(observed));
  const status = withdrawalStatus(observed, goal.programmed);
  if (!isThere) {
    return { ...NOTHING, finalizer: hasFinalizer(server) ? "remove" : undefined, status };
  }
  if (!isTerminating) {
    const retreat = planRetreat(observed, gateway, goal.leadsBack);
    if (!retreat.over) {
      const message = "Being withdrawn: clients are led back to the Service first.";
      const waiting = programmed("False", goal.programmed.reason, message);
      return {
        ...NOTHING,
        writes: retreat.writes,
        needs: retreat.needs,
        status: withdrawalStatus(observed, waiting),
        retry: true,
      };
    }
    const drain = planDrain(observed, goal.drains);
    if (!drain.over) {
      const waiting = programmed("False", goal.programmed.reason, drain.message);
      return {
        ...NOTHING,
        writes: drain.writes,
        needs: drain.needs,
        status: drain.message === "" ? undefined : withdrawalStatus(observed, waiting),
        retry: true,
      };
    }
  }
  return {
    ...NOTHING,
    writes: objects
      .map((object) => planWrite(undefined, object))
      .filter((write) => write !== undefined),
    status,
    retry: true,
  };
}

/**
 * Plans the next step for one HostedAPIServer, level-based: the same plan follows from the same state, and a step that
 * was done is not planned again. Modifies and throws nothing.
 * @param observed The state of the cluster, and what was seen of the gateway.
 */
export function planServer(observed: ObservedServer): ServerPlan {
  return planFor(withoutStale(observed));
}

/** What was seen of other hosts, or at another address, says nothing. */
function withoutStale(observed: ObservedServer): ObservedServer {
  const { server, service, direct } = observed;
  const isCurrent = direct?.look === directLookOf(server, service)?.id;
  return isCurrent ? observed : { ...observed, direct: undefined };
}

function planFor(observed: ObservedServer): ServerPlan {
  const goal = decideGoal(observed);
  switch (goal.kind) {
    case "wait":
      return NOTHING;
    case "hold":
      return { ...NOTHING, status: planHold(observed, goal) };
    case "withdraw":
      return planWithdrawal(observed, goal);
    case "serve":
      return planServing(observed, goal);
  }
}

/** What serves goes on serving, and is said to. */
function planHold(
  { server, own, namespace }: ObservedServer,
  goal: Extract<Goal, { kind: "hold" }>,
): ExposureStatus | undefined {
  const { conditions, loadBalancing } = server.status ?? {};
  const current = findCondition(conditions, "Programmed");
  if (own.gateways.length > 0 && current?.status === "True") {
    return goal.programmed.reason === "Pending"
      ? undefined
      : { loadBalancing, conditions: [current] };
  }
  const wishesL4 = decideLoadBalancing(server, namespace?.metadata).kind === "L4";
  const served = own.gateways.length > 0 ? loadBalancing : undefined;
  return {
    loadBalancing: served ?? (wishesL4 && isTrue(conditions, "Accepted") ? "L4" : undefined),
    conditions: [goal.programmed],
  };
}

/** The hosts of a HostedAPIServer that is gone are nobody's: what is left of it goes at once. */
export function planSweep(own: readonly KubernetesObject[]): readonly Write[] {
  return own.map((object) => planWrite(undefined, object)).filter((write) => write !== undefined);
}
