import type {
  Observed,
  Route,
  Workload,
  Workloads,
} from "../../../capabilities/stale-pods/observed";
import { planStalePods, restartMark, type Restart } from "../../../capabilities/stale-pods/plan";
import { countsByReason, statusOf } from "../../../capabilities/stale-pods/report";
import { readRoute, routeHash } from "../../../capabilities/stale-pods/route";
import type { HostedAPIServer, KubernetesObject } from "../../../lib/api";
import type { ServiceObject } from "../../../lib/cluster";
import { ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { ExistingPod } from "../../../lib/domain/stale-pods";
import type { CaseAdapter, Given } from "../runner";

interface World {
  readonly now?: string;
  /** Since when this process knows the route; long ago by default. */
  readonly routeSince?: string;
  /** True: what Pods belong to was not looked at. */
  readonly unseen?: boolean;
  /** Owners (`Deployment main`) that this process has restarted for the route. */
  readonly restarted?: readonly string[];
}

const DEFAULT_NOW = "2026-11-21T12:00:00Z";
/** In annotations: the hash of the route of the case. */
const THIS_ROUTE = "<this route>";
const workloadKinds = ["Deployment", "StatefulSet", "DaemonSet"];

const titleOf = ({ kind, metadata }: KubernetesObject): string => `${kind} ${metadata.name}`;

/** A uid for everything that has none: its title. */
function withUid<T extends KubernetesObject>(object: T): T {
  return { ...object, metadata: { uid: titleOf(object), ...object.metadata } };
}

function withHash<T>(value: T, hash: string): T {
  return JSON.parse(JSON.stringify(value).replaceAll(THIS_ROUTE, hash)) as T;
}

function routeOf(objects: readonly KubernetesObject[]): Route {
  const configMap = objects.find(({ metadata }) => metadata.name === ROUTE_CONFIG_MAP);
  return readRoute(configMap as ConfigMap | undefined, (name, namespace) => {
    const found = objects.find(
      ({ kind, metadata }) =>
        kind === "Service" && metadata.name === name && metadata.namespace === namespace,
    );
    return found as ServiceObject | undefined;
  });
}

function describeRestart(restart: Restart, hash: string): object {
  if (restart.kind === "settle") {
    return { kind: restart.kind, until: new Date(restart.untilMs).toISOString() };
  }
  if (restart.kind !== "roll") return restart;
  const { kind, owner, pods, patch } = restart;
  const text = JSON.stringify(patch).replaceAll(hash, THIS_ROUTE);
  return { kind, owner: titleOf(owner), pods, patch: JSON.parse(text) as object };
}

function run({ world, objects: given }: Given, when: unknown): unknown {
  const { now = DEFAULT_NOW, routeSince, unseen = false, restarted = [] } = world as World;
  const route = routeOf(given);
  const hash = routeHash(route);
  const objects = withHash(given, hash).map(withUid);
  const of = (...kinds: readonly string[]): readonly KubernetesObject[] =>
    objects.filter(({ kind }) => kinds.includes(kind));
  const workloads = {
    owners: of(...workloadKinds) as readonly Workload[],
    replicaSets: of("ReplicaSet"),
    budgets: of("PodDisruptionBudget"),
  } as Workloads;
  const server = when as HostedAPIServer;
  const nowMs = Date.parse(now);
  const observed: Observed = {
    servers: [server, ...(of("HostedAPIServer") as readonly HostedAPIServer[])],
    route,
    pods: of("Pod") as unknown as readonly ExistingPod[],
    workloads: unseen ? undefined : workloads,
    routeSinceMs: routeSince === undefined ? 0 : Date.parse(routeSince),
    restarted: new Set(
      workloads.owners
        .filter((owner) => restarted.includes(titleOf(owner)))
        .map((owner) => restartMark(owner, hash)),
    ),
    nowMs,
  };
  const { counts, restart } = planStalePods(observed);
  const count = counts.get(server.metadata.name);
  return {
    ...statusOf(server, { route, count, restart }),
    stale: countsByReason(count),
    restart: describeRestart(restart, hash),
  };
}

/**
 * `when.yaml` is a HostedAPIServer. Owner references name the uid of what they refer to: where it has none, it is
 * `<kind> <name>`. Annotation `fairlead.dev/restarted-for: <this route>` says that an owner was restarted for the route
 * that the ConfigMap gives.
 */
export const adapter: CaseAdapter = {
  capability: "stale-pods",
  kinds: [
    ...["ConfigMap", "Service", "Pod", "HostedAPIServer", "ReplicaSet", "PodDisruptionBudget"],
    ...workloadKinds,
  ],
  worldKeys: ["now", "routeSince", "unseen", "restarted"],
  run,
};
