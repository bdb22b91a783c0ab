import type { Condition } from "../../../lib/api";
import { describe } from "../commands";
import { problem, warning, type Finding } from "../finding";
import type { About, Remedies, Remedy } from "./remedies";

/** A reason that is another condition's too: `Ready` takes the reason of the first that is not True. */
const DERIVED = "Ready";

/** The object that conditions belong to. */
export interface Subject<T extends About> {
  readonly text: string;
  /** As kubectl knows it: `hostedapiserver`. */
  readonly resource: string;
  readonly remedies: Remedies<T>;
  readonly about: (condition: Condition) => T;
}

/** What is said of a condition that nobody knows a remedy for: a newer fairlead's, say. */
function unheardOf<T extends About>({ resource }: Subject<T>): Remedy<T> {
  return {
    severity: "problem",
    explanation: "This doctor does not know that reason.",
    commands: ({ namespace, name }) => [describe({ resource, namespace, name })],
  };
}

function judge<T extends About>(condition: Condition, subject: Subject<T>): Finding | undefined {
  const { text, remedies, about } = subject;
  const { type, status, reason } = condition;
  const known = remedies[type]?.[reason];
  // What is True and unknown is news, not trouble.
  if (known === undefined && status === "True") return undefined;
  const { severity, explanation, commands } = known ?? unheardOf(subject);
  if (severity === undefined) return undefined;
  const finding = {
    subject: text,
    reason,
    message: [`${type} is ${status}: ${condition.message}`, explanation]
      .filter((part) => part !== "")
      .join(" "),
    commands: commands(about(condition)),
  };
  return severity === "problem" ? problem(finding) : warning(finding);
}

/** What an object's conditions say, in their order; the same sentence is said once. */
export function judgeConditions<T extends About>(
  conditions: readonly Condition[],
  subject: Subject<T>,
): readonly Finding[] {
  return conditions
    .filter(({ type }) => type !== DERIVED)
    .flatMap((condition) => judge(condition, subject) ?? []);
}

/** Whether an object was not looked at since it was last changed, though there was time for it. */
export function isOverdue(
  object: {
    readonly metadata: { readonly generation?: number; readonly creationTimestamp?: string };
    readonly status?: { readonly conditions?: readonly Condition[] };
  },
  nowMs: number,
): boolean {
  const accepted = object.status?.conditions?.find(({ type }) => type === "Accepted");
  if (accepted !== undefined) {
    return (accepted.observedGeneration ?? 0) < (object.metadata.generation ?? 0);
  }
  const { creationTimestamp } = object.metadata;
  const bornMs = creationTimestamp === undefined ? nowMs : Date.parse(creationTimestamp);
  return nowMs - bornMs > GRACE_MS;
}

/** In this time a new object gets its first status. */
const GRACE_MS = 30_000;
