import type { Condition } from "../../lib/api";
import { wrap } from "./render";

interface WithConditions {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** The condition of a type. */
export function findCondition(
  object: WithConditions | undefined,
  type: string,
): Condition | undefined {
  return object?.status?.conditions?.find((condition) => condition.type === type);
}

/** The status of a condition: True, False or Unknown; undefined: it is not there. */
export function findStatus(
  object: WithConditions | undefined,
  type: string,
): Condition["status"] | undefined {
  return findCondition(object, type)?.status;
}

/** The head of the table of conditions. */
export const conditionsHead = ["Condition", "Status", "Reason", "Message"] as const;

const MESSAGE_CHARACTERS = 64;
const ORDER = [
  "Accepted",
  "ResolvedRefs",
  "CredentialsSynced",
  "Programmed",
  "PassthroughUsable",
  "ClientsRouted",
  "TopologyAware",
  "Ready",
];

/** Rows of the table of conditions, in a reader's order; a long message goes on in rows of its own. */
export function conditionRows(object: WithConditions): readonly (readonly string[])[] {
  return [...(object.status?.conditions ?? [])]
    .sort((a, b) => ORDER.indexOf(a.type) - ORDER.indexOf(b.type))
    .flatMap(({ type, status, reason, message }) => {
      const [first = "", ...rest] = wrap(message, MESSAGE_CHARACTERS);
      return [[type, status, reason, first], ...rest.map((line) => ["", "", "", line])];
    });
}
