import type { HostedAPIServer, ObjectMeta } from "../../lib/api";
import { isTrue, type DecidedCondition } from "../../lib/domain/conditions";
import { decideLoadBalancing } from "../../lib/domain/load-balancing";

/** What exposure shows in a HostedAPIServer's status. */
export interface ExposureStatus {
  readonly programmed: DecidedCondition;
  /** How it is served; undefined as long as that was not seen. */
  readonly loadBalancing: "L4" | undefined;
}

const programmed = (reason: string, message: string): DecidedCondition => ({
  type: "Programmed",
  status: "False",
  reason,
  message,
});

/**
 * Decides what is said about the exposure of a hosted API server. The gateway's configuration is not written by this
 * version of fairlead, so nothing is ever programmed; a server that is to be served in L4 is one whose requests nobody
 * balances, which is what topology-aware routing asks about.
 * @param hapi The hosted API server.
 * @param namespace Metadata of its Namespace.
 */
export function decideExposure(
  hapi: HostedAPIServer,
  namespace: ObjectMeta | undefined,
): ExposureStatus {
  const conditions = hapi.status?.conditions;
  if (!isTrue(conditions, "Accepted")) {
    return {
      programmed: programmed("Invalid", "The HostedAPIServer is not accepted."),
      loadBalancing: undefined,
    };
  }
  const mode = decideLoadBalancing(hapi, namespace);
  return {
    programmed: programmed(
      "Pending",
      "This version of fairlead syncs credentials but does not configure the gateway yet: requests are not led through it.",
    ),
    loadBalancing: mode.kind === "L4" ? "L4" : undefined,
  };
}
