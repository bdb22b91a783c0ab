import type { HostedAPIServer, InternalGateway, PartialObjectMetadata } from "../../../lib/api";
import { findCondition, isTrue, type DecidedCondition } from "../../../lib/domain/conditions";
import { decideLoadBalancing } from "../../../lib/domain/load-balancing";
import { ANNOTATION_FORCE_DELETE } from "../../../lib/domain/names";
import type { GatewayFacts } from "../gateways/facts";
import { credentialsOf, type Mode } from "../resources";
import type { ObservedServer } from "./observed";

/** What is to become of the exposure of a HostedAPIServer. */
export type Goal =
  | {
      readonly kind: "serve";
      readonly gateway: InternalGateway;
      readonly facts: GatewayFacts;
      readonly namespaceUid: string;
      readonly mode: Mode;
    }
  /** Nothing is done and nothing said: its gateway, or whether it is accepted, was not looked at yet. */
  | { readonly kind: "wait" }
  /** Everything stays as it is; nothing is made and nothing taken away. */
  | { readonly kind: "hold"; readonly programmed: DecidedCondition }
  | {
      readonly kind: "withdraw";
      /** Kubeconfigs are led back first; not where the deletion is forced. */
      readonly leadsBack: boolean;
      /** Routed Pods are waited for, in L4. */
      readonly drains: boolean;
      readonly programmed: DecidedCondition;
    };

/** A decided condition `Programmed`. */
export function programmed(
  status: DecidedCondition["status"],
  reason: string,
  message: string,
): DecidedCondition {
  return { type: "Programmed", status, reason, message };
}

const hold = (reason: string, message: string): Goal => ({
  kind: "hold",
  programmed: programmed("False", reason, message),
});

const isGoing = (object: PartialObjectMetadata | undefined): boolean =>
  object === undefined || object.metadata.deletionTimestamp !== undefined;

function withdrawal({ server, namespace, gateway }: ObservedServer): Goal {
  const isForced = server.metadata.annotations?.[ANNOTATION_FORCE_DELETE] === "true";
  return {
    kind: "withdraw",
    leadsBack: !isForced,
    drains: !isForced && !isGoing(namespace) && gateway !== undefined,
    programmed: programmed("False", "Deleting", "Being deleted."),
  };
}

/** Whether what credentials say is about this version of the spec. */
function isCurrent({ metadata, status }: HostedAPIServer, type: string): boolean {
  const condition = findCondition(status?.conditions, type);
  return (
    condition !== undefined && (condition.observedGeneration ?? 0) >= (metadata.generation ?? 0)
  );
}

function modeOf({ server, namespace }: ObservedServer): Mode | Goal {
  const credentials = credentialsOf(server);
  const wish = decideLoadBalancing(server, namespace?.metadata);
  if (wish.kind === "refused") return hold("Invalid", wish.message);
  if (wish.kind === "L4") return { kind: "L4", credentials };
  if (credentials !== undefined) return { kind: "L7", credentials };
  return hold(
    "Pending",
    "The Secrets for the gateway are not there yet; see CredentialsSynced and ResolvedRefs.",
  );
}

function attachedGoal(observed: ObservedServer): Goal {
  const { server, namespace, gateway, facts } = observed;
  const ref = server.status?.gatewayRef;
  const name = `${ref?.namespace ?? ""}/${ref?.name ?? ""}`;
  if (gateway === undefined) {
    return hold("GatewayNotFound", `InternalGateway ${name} does not exist.`);
  }
  if (!isTrue(gateway.status?.conditions, "Accepted")) {
    return hold("GatewayNotReady", `InternalGateway ${name} is not accepted itself; see there.`);
  }
  if (facts === "unseen") return { kind: "wait" };
  if (facts === undefined) {
    return hold("GatewayNotReady", `InternalGateway ${name} is not ready yet; see there.`);
  }
  const mode = modeOf(observed);
  if (mode.kind !== "L4" && mode.kind !== "L7") return mode;
  return { kind: "serve", gateway, facts, namespaceUid: namespace?.metadata.uid ?? "", mode };
}

/**
 * Decides what is to become of the exposure of a HostedAPIServer, by consent and by what is there. Modifies and throws
 * nothing.
 */
export function decideGoal(observed: ObservedServer): Goal {
  const { server, namespace } = observed;
  if (server.metadata.deletionTimestamp !== undefined) return withdrawal(observed);
  if (isGoing(namespace)) {
    return hold("Terminating", "The Namespace is being deleted: nothing is made any more.");
  }
  const { conditions, gatewayRef } = server.status ?? {};
  const invalid = "The HostedAPIServer is not accepted; see Accepted.";
  if (gatewayRef === undefined) {
    // Credentials have not looked at it yet, or its status was lost: they will say in a moment.
    if (findCondition(conditions, "Accepted") === undefined) return { kind: "wait" };
    // Not attached: never, or no longer since consent was withdrawn and the grace period is over.
    return {
      kind: "withdraw",
      leadsBack: true,
      drains: false,
      programmed: programmed("False", "Invalid", invalid),
    };
  }
  if (!isCurrent(server, "Accepted")) return hold("Pending", "Accepted is not known yet.");
  if (!isTrue(conditions, "Accepted")) return hold("Invalid", invalid);
  return attachedGoal(observed);
}
