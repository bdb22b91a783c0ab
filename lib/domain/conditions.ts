import type { Condition } from "../api";

/** A condition as it was decided: when it last changed is not the decision's business. */
export type DecidedCondition = Omit<Condition, "lastTransitionTime" | "observedGeneration">;

/** Where and when conditions are set. */
export interface ConditionContext {
  /** The conditions that the object has. */
  readonly current: readonly Condition[] | undefined;
  /** `metadata.generation` of the object that the decision was made for. */
  readonly generation: number | undefined;
  readonly nowMs: number;
}

/** The condition of a type; undefined when there is none. */
export function findCondition(
  conditions: readonly Condition[] | undefined,
  type: string,
): Condition | undefined {
  return conditions?.find((condition) => condition.type === type);
}

/** Whether the condition of a type is True. */
export function isTrue(conditions: readonly Condition[] | undefined, type: string): boolean {
  return findCondition(conditions, type)?.status === "True";
}

/** An RFC 3339 time to the second, as Kubernetes writes it. */
export function formatTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, "Z");
}

/**
 * A decided condition as it is written: `lastTransitionTime` moves only when `status` does.
 * @see https://github.com/kubernetes/community/blob/master/contributors/devel/sig-architecture/api-conventions.md#typical-status-properties
 */
export function stampCondition(decided: DecidedCondition, context: ConditionContext): Condition {
  const previous = findCondition(context.current, decided.type);
  const lastTransitionTime =
    previous?.status === decided.status ? previous.lastTransitionTime : formatTime(context.nowMs);
  return {
    type: decided.type,
    status: decided.status,
    ...(context.generation === undefined ? {} : { observedGeneration: context.generation }),
    lastTransitionTime,
    reason: decided.reason,
    message: decided.message,
  };
}
