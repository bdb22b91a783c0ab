import type { HostedAPIServer } from "../../lib/api";
import type { DecidedCondition } from "../../lib/domain/conditions";
import { ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import type { PodCount, Staleness } from "./count";
import type { Route } from "./observed";
import type { LeftAlone } from "./owners";
import type { Left, Restart } from "./plan";

/** What of a HostedAPIServer's status is told. */
export interface StalePodsStatus {
  /** Undefined: nobody knows. */
  readonly pods: { readonly routed: number; readonly stale: number } | undefined;
  readonly condition: DecidedCondition;
}

const TYPE = "PodsUpToDate";
const MAX_NAMED = 5;

const staleness: Readonly<Record<Staleness, string>> = {
  NoAlias: "older than the route",
  OtherAddress: "aliased to another address",
  LeftOver: "routed, which the namespace is not any more",
};

const leftAlone: Readonly<Record<LeftAlone, string>> = {
  BarePod: "has no owner that would make it anew; delete it",
  Job: "is a Job's, which runs to its end",
  OtherOwner: "has an owner of a kind that fairlead does not restart; restart it yourself",
  Paused: "is paused; resume it",
  OnDelete: "has update strategy OnDelete; delete its Pods",
  Partitioned: "is updated down to a partition only; remove the partition, or delete its Pods",
  OwnAlias: "aliases a host to another address in its own template; remove that alias",
  StillStale:
    "was restarted, and its new Pods are stale again; see whether fairlead's webhook is called, and who else sets their hostAliases",
  BeingDeleted: "is being deleted",
};

const no = (reason: string, message: string): DecidedCondition => ({
  type: TYPE,
  status: "False",
  reason,
  message,
});

/** The first few of a list, and how many more there are. */
function shorten(texts: readonly string[], separator: string): string {
  const more = texts.length > MAX_NAMED ? [`and ${texts.length - MAX_NAMED} more`] : [];
  return [...texts.slice(0, MAX_NAMED), ...more].join(separator);
}

function describeStale({ stale }: PodCount): string {
  const byReason = new Map<Staleness, string[]>();
  for (const { pod, reason } of stale) {
    byReason.set(reason, [...(byReason.get(reason) ?? []), pod.metadata.name]);
  }
  const groups = [...byReason].map(
    ([reason, names]) => `${staleness[reason]}: ${shorten(names, ", ")}`,
  );
  const head =
    stale.length === 1 ? "1 running Pod is stale" : `${stale.length} running Pods are stale`;
  return `${head} (${groups.join("; ")}).`;
}

/** Who is left alone, and what to do. */
export function describeLeft(left: readonly Left[]): string {
  const sentences = left.map(({ what, reason }) => `${what} ${leftAlone[reason]}.`);
  const more = sentences.length - MAX_NAMED;
  return [
    ...sentences.slice(0, MAX_NAMED),
    ...(more > 0 ? [`${more} more are left alone.`] : []),
  ].join(" ");
}

function restarting(restart: Restart, facts: string): DecidedCondition {
  switch (restart.kind) {
    case "look":
    case "settle":
      return no("Restarting", `${facts} Their owners are restarted, one at a time.`);
    case "roll": {
      const { kind, metadata } = restart.owner;
      return no("Restarting", `${facts} ${kind} ${metadata.name} is being rolled out.`);
    }
    case "wait": {
      const [first] = restart.awaited;
      const reason = first?.reason === "AwaitingBudget" ? "AwaitingBudget" : "Restarting";
      const waits = restart.awaited.map(({ what, why }) => `${what} ${why}.`);
      const parts = [facts, shorten(waits, " "), describeLeft(restart.left)];
      return no(reason, parts.filter((part) => part !== "").join(" "));
    }
    case "rest":
      return no("LeftAlone", `${facts} ${describeLeft(restart.left)}`);
  }
}

function conditionOf(server: HostedAPIServer, { route, count, restart }: Judged): DecidedCondition {
  if (count === undefined) {
    const problem = route.kind === "invalid" ? route.problem : "can't be followed.";
    const message = `ConfigMap ${ROUTE_CONFIG_MAP} ${problem}`;
    return { type: TYPE, status: "Unknown", reason: "RouteInvalid", message };
  }
  if (count.stale.length === 0) {
    const led = count.routed === 1 ? "1 running Pod leads" : `${count.routed} running Pods lead`;
    const message = `${led} to the gateway, and none is stale.`;
    return { type: TYPE, status: "True", reason: "UpToDate", message };
  }
  const facts = describeStale(count);
  if (server.spec.clients?.restartStalePods === true) return restarting(restart, facts);
  return no("StalePods", `${facts} Restart their owners, or set clients.restartStalePods.`);
}

/** What a plan says about one HostedAPIServer. */
export interface Judged {
  readonly route: Route;
  readonly count: PodCount | undefined;
  readonly restart: Restart;
}

/** The status of one HostedAPIServer. */
export function statusOf(server: HostedAPIServer, judged: Judged): StalePodsStatus {
  const { count } = judged;
  return {
    pods: count === undefined ? undefined : { routed: count.routed, stale: count.stale.length },
    condition: conditionOf(server, judged),
  };
}

/** How many are stale, by reason: for a metric. */
export function countsByReason(count: PodCount | undefined): Readonly<Record<string, number>> {
  const counts: Record<string, number> = {};
  for (const { reason } of count?.stale ?? []) counts[reason] = (counts[reason] ?? 0) + 1;
  return counts;
}
