import type { Condition, KubernetesObject } from "../api";
import { changedConditions, newsOf } from "../domain/condition-news";
import { keyOf } from "../domain/keys";
import type { EventRecorder } from "./events";
import type { Logger } from "./logger";
import type { CountedDecision, Metrics } from "./metrics";

/** What decisions are told to. */
export interface DecisionContext {
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
}

/** A decision about one object. */
export interface Decision extends CountedDecision {
  /** The object that it is about, `namespace/name`; in a log only, never in a metric. */
  readonly key: string;
}

/**
 * Tells of a decision of the watch that changes something: one line in the log, with the same four keys for all, and
 * one more in the metrics.
 * @param details Whatever else helps, under keys of its own; nothing that a Secret holds.
 */
export function tellChange(
  { log, metrics }: DecisionContext,
  { capability, key, action, reason }: Decision,
  details: object = {},
): void {
  metrics?.reconcileDecided({ capability, action, reason });
  log.info({ capability, key, action, reason, ...details }, "changed");
}

/** Tells of a decision of the watch to leave an object as it is: that is counted, and logged at debug only. */
export function tellKeep(
  { log, metrics }: DecisionContext,
  { capability, key, reason }: Omit<Decision, "action">,
): void {
  metrics?.reconcileDecided({ capability, action: "keep", reason });
  log.debug({ capability, key, action: "keep", reason }, "kept");
}

/** An object whose conditions were written. */
export interface ReportedObject {
  readonly capability: string;
  /** As it was before. */
  readonly object: KubernetesObject & {
    readonly status?: { readonly conditions?: readonly Condition[] };
  };
  readonly after: readonly Condition[];
}

/**
 * Tells of conditions that have another status or reason than before: in the log, in the metrics, and by Events on the
 * object where `only` says so.
 * @param only The types of the conditions whose changes are worth an Event.
 */
export function tellConditions(
  context: DecisionContext & { readonly events?: EventRecorder | undefined },
  { capability, object, after }: ReportedObject,
  only: readonly string[] = [],
): void {
  for (const condition of changedConditions(object.status?.conditions, after)) {
    const { type, status, reason } = condition;
    const decision = { capability, key: keyOf(object), action: "report", reason };
    tellChange(context, decision, { kind: object.kind, condition: type, status });
    const news = only.includes(type) ? newsOf(condition) : undefined;
    if (news !== undefined) context.events?.event(object, news);
  }
}
