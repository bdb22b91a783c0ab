import type { Condition } from "../api";
import { findCondition } from "./conditions";

/** What an Event says of a condition: `reason` in CamelCase for programs, `message` for people. */
export interface ConditionNews {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** What passes by itself within moments, or is said by another condition or object: no news for a user. */
const silent: ReadonlySet<string> = new Set(["Pending", "Invalid", "L4Active", "Terminating"]);
/** What was asked for and takes its time. */
const underWay: ReadonlySet<string> = new Set(["Switching", "Deleting"]);

/** The conditions whose status or reason is another than before; a sentence that changes alone is none. */
export function changedConditions(
  before: readonly Condition[] | undefined,
  after: readonly Condition[],
): readonly Condition[] {
  return after.filter(({ type, status, reason }) => {
    const old = findCondition(before, type);
    return old?.status !== status || old.reason !== reason;
  });
}

/** What is to be told to users of a condition that has changed; undefined: nothing. */
export function newsOf({ status, reason, message }: Condition): ConditionNews | undefined {
  if (status === "Unknown" || silent.has(reason)) return undefined;
  const type = status === "True" || underWay.has(reason) ? "Normal" : "Warning";
  return { type, reason, message };
}
