import type { GatewayRef } from "../../lib/api";
import { findCondition, formatTime } from "../../lib/domain/conditions";
import { refOfGateway, type Refusal } from "./accept";
import type { Observed } from "./observed";

/** Refusals that leave what serves as it is; every other one withdraws it after a while. */
const KEPT_REASONS: readonly string[] = [
  "GatewayNotAccepted",
  "GatewayTerminating",
  "UnsupportedVersion",
  "OptedOut",
  "CertificatesMissing",
  "NamespaceNotListed",
  "ReadRefused",
] satisfies Refusal["reason"][];

/** What is to happen to the Secrets of a HostedAPIServer. */
export type Phase =
  /** They are kept in line with their sources. */
  | { readonly kind: "sync"; readonly gatewayRef: GatewayRef }
  /** They stay as they are; nothing is made. */
  | {
      readonly kind: "hold";
      readonly gatewayRef: GatewayRef;
      readonly reason: "WithdrawalPending" | "NamespaceTerminating" | "GatewayNamespaceTerminating";
      readonly message: string;
      readonly untilMs?: number;
    }
  /** There are none, or they go now. */
  | { readonly kind: "withdraw" };

/** Whether the last Accepted=False said that consent is missing: its time is when the grace period began. */
export function isWithdrawnSince(observed: Observed): boolean {
  const accepted = findCondition(observed.hapi.status?.conditions, "Accepted");
  return accepted?.status === "False" && !KEPT_REASONS.includes(accepted.reason);
}

function withdrawalPhase(observed: Observed, attachedTo: GatewayRef): Phase {
  const accepted = findCondition(observed.hapi.status?.conditions, "Accepted");
  const sinceMs = isWithdrawnSince(observed)
    ? Date.parse(accepted?.lastTransitionTime ?? "")
    : observed.nowMs;
  const untilMs = (Number.isNaN(sinceMs) ? observed.nowMs : sinceMs) + observed.settings.graceMs;
  if (observed.nowMs >= untilMs) return { kind: "withdraw" };
  return {
    kind: "hold",
    gatewayRef: attachedTo,
    reason: "WithdrawalPending",
    message: `Consent was withdrawn: what is in namespace ${attachedTo.namespace} serves until ${formatTime(untilMs)}.`,
    untilMs,
  };
}

function syncPhase(observed: Observed, gatewayRef: GatewayRef): Phase {
  const { namespace } = observed;
  if (namespace === undefined || namespace.metadata.deletionTimestamp !== undefined) {
    const name = observed.hapi.metadata.namespace ?? "";
    const message = `Namespace ${name} is being deleted: nothing is made any more.`;
    return { kind: "hold", gatewayRef, reason: "NamespaceTerminating", message };
  }
  const target = observed.namespaceNamed(gatewayRef.namespace);
  if (target === undefined || target.metadata.deletionTimestamp !== undefined) {
    const message = `Namespace ${gatewayRef.namespace} of the gateway is being deleted: use a gateway in another one.`;
    return { kind: "hold", gatewayRef, reason: "GatewayNamespaceTerminating", message };
  }
  return { kind: "sync", gatewayRef };
}

/** Decides what is to happen to the Secrets, by consent and by the namespaces. Modifies and throws nothing. */
export function decidePhase(observed: Observed): Phase {
  const { acceptance, hapi } = observed;
  if (acceptance.accepted) return syncPhase(observed, refOfGateway(acceptance.gateway));
  const attachedTo = hapi.status?.gatewayRef;
  if (attachedTo === undefined) return { kind: "withdraw" };
  if (acceptance.consent === "kept") return syncPhase(observed, attachedTo);
  return withdrawalPhase(observed, attachedTo);
}
