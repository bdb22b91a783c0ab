import type { HostedAPIServer } from "../../lib/api";
import { ANNOTATION_RESTARTED_AT, ANNOTATION_RESTARTED_FOR } from "../../lib/domain/names";
import { formatTime } from "../../lib/domain/conditions";
import { isRunning } from "../../lib/domain/stale-pods";
import { countPods, type PodCount, type Stale } from "./count";
import type { Observed, Workload, Workloads } from "./observed";
import {
  findExhaustedBudget,
  isComplete,
  obstacleOf,
  ownershipOf,
  titleOf,
  type LeftAlone,
} from "./owners";
import { routeHash } from "./route";

/** Stale Pods that nobody makes anew, and why. */
export interface Left {
  /** `Deployment main`, or `Pod main-0`. */
  readonly what: string;
  readonly reason: LeftAlone;
}

/** Why an owner is not rolled yet. */
export interface Awaited {
  readonly what: string;
  readonly reason: "AwaitingBudget" | "AwaitingRollout";
  /** The end of a sentence that begins with the owner. */
  readonly why: string;
}

/** What is to be done about the stale Pods of a namespace whose HostedAPIServers want them restarted. */
export type Restart =
  /** Nothing: there are none, or nobody wants it, or all of them are left alone. */
  | { readonly kind: "rest"; readonly left: readonly Left[] }
  /** What they belong to must be looked at first. */
  | { readonly kind: "look" }
  /** Admission gets time to hear of the route. */
  | { readonly kind: "settle"; readonly untilMs: number }
  | { readonly kind: "wait"; readonly awaited: readonly Awaited[]; readonly left: readonly Left[] }
  | {
      readonly kind: "roll";
      readonly owner: Workload;
      /** Names of its stale Pods. */
      readonly pods: readonly string[];
      /** JSON merge patch (RFC 7386), which fails where the owner has changed since. */
      readonly patch: object;
      /** What this process remembers of it; see `Observed.restarted`. */
      readonly mark: string;
    };

/** What a look at a namespace comes to. */
export interface Plan {
  /** By the name of the HostedAPIServer; undefined where nobody knows. */
  readonly counts: ReadonlyMap<string, PodCount | undefined>;
  readonly restart: Restart;
}

/** Admission hears of a route by a watch; what it creates before that would be stale again. */
export const SETTLE_MS = 10_000;

const wantsRestarts = ({ spec }: HostedAPIServer): boolean =>
  spec.clients?.restartStalePods === true;

/** What is remembered of a restart. */
export function restartMark({ metadata }: Workload, hash: string): string {
  return `${metadata.uid ?? ""} ${hash}`;
}

/** Stale Pods of one owner. */
interface Group {
  readonly owner: Workload;
  readonly stale: readonly Stale[];
}

function groupByOwner(
  stale: readonly Stale[],
  workloads: Workloads,
): {
  readonly groups: readonly Group[];
  readonly left: readonly Left[];
  readonly awaited: readonly Awaited[];
} {
  const groups = new Map<string, { owner: Workload; stale: Stale[] }>();
  const left: Left[] = [];
  const awaited: Awaited[] = [];
  for (const each of stale) {
    const ownership = ownershipOf(each.pod, workloads);
    const what = `Pod ${each.pod.metadata.name}`;
    if (ownership.kind === "none") {
      left.push({ what, reason: ownership.reason });
      continue;
    }
    if (ownership.kind === "unknown") {
      awaited.push({ what, reason: "AwaitingRollout", why: "has an owner that was not seen yet" });
      continue;
    }
    const title = titleOf(ownership.owner);
    const group = groups.get(title) ?? { owner: ownership.owner, stale: [] };
    group.stale.push(each);
    groups.set(title, group);
  }
  const sorted = [...groups].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, group]) => group);
  return { groups: sorted, left, awaited };
}

/** Whom fairlead has restarted, for whatever route: until he is complete, nobody else's turn comes. */
function isOurs({ metadata }: Workload, restarted: Observed["restarted"]): boolean {
  if (metadata.annotations?.[ANNOTATION_RESTARTED_FOR] !== undefined) return true;
  return [...restarted].some((mark) => mark.startsWith(`${metadata.uid ?? ""} `));
}

type Verdict =
  | { readonly kind: "roll" }
  | { readonly kind: "left"; readonly reason: LeftAlone }
  | ({ readonly kind: "wait" } & Pick<Awaited, "reason" | "why">);

function judge(
  { owner }: Group,
  observed: Observed,
  { workloads, hash }: { readonly workloads: Workloads; readonly hash: string },
): Verdict {
  const obstacle = obstacleOf(owner, observed.route);
  if (obstacle !== undefined) return { kind: "left", reason: obstacle };
  const wasRestarted =
    owner.metadata.annotations?.[ANNOTATION_RESTARTED_FOR] === hash ||
    observed.restarted.has(restartMark(owner, hash));
  // Its new Pods are stale again: a second restart would bring the same.
  if (wasRestarted && isComplete(owner)) return { kind: "left", reason: "StillStale" };
  if (!isComplete(owner)) {
    return { kind: "wait", reason: "AwaitingRollout", why: "is being rolled out" };
  }
  const own = observed.pods.filter(isRunning).filter((pod) => {
    const ownership = ownershipOf(pod, workloads);
    return ownership.kind === "owned" && ownership.owner === owner;
  });
  const budget = findExhaustedBudget(owner, own, workloads.budgets);
  if (budget !== undefined) {
    const why = `waits for PodDisruptionBudget ${budget.metadata.name}, which allows no disruption now`;
    return { kind: "wait", reason: "AwaitingBudget", why };
  }
  return { kind: "roll" };
}

function rollOf({ owner, stale }: Group, hash: string, nowMs: number): Restart {
  const { resourceVersion } = owner.metadata;
  return {
    kind: "roll",
    owner,
    pods: stale.map(({ pod }) => pod.metadata.name),
    patch: {
      metadata: {
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
        annotations: { [ANNOTATION_RESTARTED_FOR]: hash },
      },
      spec: {
        template: { metadata: { annotations: { [ANNOTATION_RESTARTED_AT]: formatTime(nowMs) } } },
      },
    },
    mark: restartMark(owner, hash),
  };
}

function planAmong(stale: readonly Stale[], observed: Observed, workloads: Workloads): Restart {
  const hash = routeHash(observed.route);
  const { groups, left, awaited } = groupByOwner(stale, workloads);
  const verdicts = groups.map((group) => ({
    group,
    verdict: judge(group, observed, { workloads, hash }),
  }));
  const allLeft = [
    ...left,
    ...verdicts.flatMap(({ group, verdict }) =>
      verdict.kind === "left" ? [{ what: titleOf(group.owner), reason: verdict.reason }] : [],
    ),
  ];
  const rolling = workloads.owners.find(
    (owner) => isOurs(owner, observed.restarted) && !isComplete(owner),
  );
  if (rolling !== undefined && verdicts.some(({ verdict }) => verdict.kind !== "left")) {
    const why = "is being rolled out";
    const turn = { what: titleOf(rolling), reason: "AwaitingRollout", why } as const;
    return { kind: "wait", awaited: [turn], left: allLeft };
  }
  const next = verdicts.find(({ verdict }) => verdict.kind === "roll");
  if (next !== undefined) return rollOf(next.group, hash, observed.nowMs);
  const allAwaited = [
    ...awaited,
    ...verdicts.flatMap(({ group, verdict }) =>
      verdict.kind === "wait"
        ? [{ what: titleOf(group.owner), reason: verdict.reason, why: verdict.why }]
        : [],
    ),
  ];
  return allAwaited.length === 0
    ? { kind: "rest", left: allLeft }
    : { kind: "wait", awaited: allAwaited, left: allLeft };
}

function planRestart(observed: Observed, counts: Plan["counts"]): Restart {
  const { servers, workloads, routeSinceMs, nowMs } = observed;
  const stale = new Map<string, Stale>();
  for (const server of servers.filter(wantsRestarts)) {
    for (const each of counts.get(server.metadata.name)?.stale ?? []) {
      stale.set(each.pod.metadata.name, each);
    }
  }
  if (stale.size === 0) return { kind: "rest", left: [] };
  if (nowMs < routeSinceMs + SETTLE_MS) {
    return { kind: "settle", untilMs: routeSinceMs + SETTLE_MS };
  }
  if (workloads === undefined) return { kind: "look" };
  return planAmong([...stale.values()], observed, workloads);
}

/**
 * Counts a namespace's stale Pods, and says whose turn it is to be restarted: one owner at a time, as budgets allow, and
 * none twice for the same route. Modifies and throws nothing.
 */
export function planStalePods(observed: Observed): Plan {
  const counts = new Map(
    observed.servers.map((server) => [server.metadata.name, countPods(server, observed)] as const),
  );
  return { counts, restart: planRestart(observed, counts) };
}
