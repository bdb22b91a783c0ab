import type { HostedAPIServer } from "../../lib/api";
import { findCondition, isTrue, type DecidedCondition } from "../../lib/domain/conditions";

/** What must hold for a HostedAPIServer to be ready, in the order in which a reader should look at it. */
const required = ["Accepted", "ResolvedRefs", "CredentialsSynced", "Programmed"] as const;

/**
 * Derives `Ready` from the other conditions: the first that is not True says why. A condition that was set for an
 * older generation tells nothing about this one.
 */
export function decideReady(hapi: HostedAPIServer): DecidedCondition {
  const conditions = hapi.status?.conditions;
  const generation = hapi.metadata.generation ?? 0;
  for (const type of required) {
    const condition = findCondition(conditions, type);
    if (condition === undefined || (condition.observedGeneration ?? 0) < generation) {
      return {
        type: "Ready",
        status: "Unknown",
        reason: "Pending",
        message: `${type} is not known yet.`,
      };
    }
    if (condition.status !== "True") {
      return {
        type: "Ready",
        status: "False",
        reason: condition.reason,
        message: `${type} is ${condition.status}: ${condition.message}`,
      };
    }
  }
  return {
    type: "Ready",
    status: "True",
    reason: "Ready",
    message: "The hosted API server is served by the gateway.",
  };
}

/** So long several changes of what is not ready may become one write. */
export const CALM_MS = 1_000;
/** So long, what is not known yet may come to be known: no news to anybody. */
export const PENDING_CALM_MS = 5_000;

/**
 * How long the write of `Ready` may wait, in milliseconds: not at all where it becomes True or ceases to be; else it is
 * only another word for why it is not ready, of which there are several in a moment when much changes.
 */
export function readyDelayMs(hapi: HostedAPIServer): number {
  const wasReady = isTrue(hapi.status?.conditions, "Ready");
  const { status } = decideReady(hapi);
  if (wasReady || status === "True") return 0;
  return status === "Unknown" ? PENDING_CALM_MS : CALM_MS;
}
