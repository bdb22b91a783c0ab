import type {
  CertificateStatus,
  Condition,
  GatewayRef,
  HostedAPIServer,
  HostedAPIServerStatus,
} from "../../lib/api";
import type { Bundle, Certificate } from "../../lib/domain/certificates";
import {
  findCondition,
  formatTime,
  stampCondition,
  type DecidedCondition,
} from "../../lib/domain/conditions";
import { refOfGateway } from "./accept";
import { parseCopy } from "./copies";
import { currentName, findSecret, isOwnSecret, type Observed } from "./observed";
import { isWithdrawnSince, type Phase } from "./phase";
import { problemsOf, type Resolution } from "./resolve";
import { USES, type Use } from "./secrets";
import type { UseState } from "./wishes";

/** The fields of status that this capability owns. */
export type CredentialsStatus = Pick<
  HostedAPIServerStatus,
  "gatewayRef" | "credentials" | "certificates"
> & { readonly conditions: readonly Condition[] };

/** The states of both uses. */
export type UseStates = Readonly<Record<Use, UseState>>;

/** The types of the conditions that this capability owns. */
export const CONDITION_TYPES = ["Accepted", "ResolvedRefs", "CredentialsSynced"] as const;

const MAX_PROBLEMS = 10;

/** Reasons of CredentialsSynced with which the copies are what their sources say. */
const IN_LINE: readonly string[] = ["Synced", "TokensOnly", "NotNeeded"];

/** Whether a status says that the copies are what their sources say: a last good copy is not. */
export function isInLine({ conditions }: Pick<CredentialsStatus, "conditions">): boolean {
  const condition = findCondition(conditions, "CredentialsSynced");
  return condition?.status === "True" && IN_LINE.includes(condition.reason);
}

function acceptedCondition({ acceptance }: Observed): DecidedCondition {
  if (!acceptance.accepted) {
    const { reason, message } = acceptance;
    return { type: "Accepted", status: "False", reason, message };
  }
  const { namespace, name } = refOfGateway(acceptance.gateway);
  const message = `Attached to InternalGateway ${namespace}/${name}.`;
  return { type: "Accepted", status: "True", reason: "Accepted", message };
}

const isUnused = ({ server, serverCA }: Resolution): boolean =>
  server.kind === "absent" && serverCA.kind === "absent";

function resolvedCondition({ resolution }: Observed): DecidedCondition {
  const [first, ...rest] = problemsOf(resolution);
  if (first !== undefined) {
    const message = [first, ...rest]
      .slice(0, MAX_PROBLEMS)
      .map((problem) => problem.message)
      .join(" ");
    return { type: "ResolvedRefs", status: "False", reason: first.reason, message };
  }
  return isUnused(resolution)
    ? {
        type: "ResolvedRefs",
        status: "True",
        reason: "NoCertificates",
        message: "spec.certificates names no source.",
      }
    : {
        type: "ResolvedRefs",
        status: "True",
        reason: "Resolved",
        message: "Every certificate and CA was found and is valid.",
      };
}

const synced = (status: "True" | "False", reason: string, message: string): DecidedCondition => ({
  type: "CredentialsSynced",
  status,
  reason,
  message,
});

function foreignCondition(states: UseStates): DecidedCondition | undefined {
  const names = USES.flatMap((use) => {
    const state = states[use];
    return state.kind === "foreign" ? [`${state.desired.namespace}/${state.desired.name}`] : [];
  });
  if (names.length === 0) return undefined;
  const message = `Secret ${names.join(" and ")} exists and is not fairlead's, so it is not touched; delete it, and fairlead makes its own.`;
  return synced("False", "ForeignObject", message);
}

function lastGoodCondition(states: UseStates): DecidedCondition | undefined {
  const all = USES.map((use) => states[use]);
  const kept = all.flatMap((state) => (state.kind === "kept" ? [state.copy] : []));
  if (all.some(({ kind }) => kind === "missing")) {
    const message = "A source can't be used and there is no copy of it; see ResolvedRefs.";
    return synced("False", "SourceInvalid", message);
  }
  const bad = kept.find(({ state }) => state !== "good");
  if (bad !== undefined) {
    const reason = bad.state === "expired" ? "LastGoodExpired" : "LastGoodDamaged";
    const message = `A source can't be used, and the last good copy, Secret ${bad.name}, is ${bad.state}; see ResolvedRefs.`;
    return synced("False", reason, message);
  }
  if (kept.length === 0) return undefined;
  const message = `A source can't be used, so the last good copy goes on serving (${kept.map(({ name }) => name).join(", ")}); see ResolvedRefs.`;
  return synced("True", "ServingLastGood", message);
}

function syncedCondition(observed: Observed, phase: Phase, states: UseStates): DecidedCondition {
  if (phase.kind === "withdraw") {
    return synced("False", "NotAccepted", "Not accepted, so nothing is copied; see Accepted.");
  }
  if (phase.kind === "hold") {
    const status = phase.reason === "WithdrawalPending" ? "True" : "False";
    return synced(status, phase.reason, phase.message);
  }
  const trouble = foreignCondition(states) ?? lastGoodCondition(states);
  if (trouble !== undefined) return trouble;
  if (isUnused(observed.resolution)) {
    return synced("True", "NotNeeded", "Without spec.certificates there is nothing to copy.");
  }
  const where = `The Secrets in namespace ${phase.gatewayRef.namespace} are up to date`;
  if (observed.resolution.clientCA.kind === "absent") {
    const message = `${where}. Tokens only: without clientCA and proxyClient the gateway asks for no client certificate.`;
    return synced("True", "TokensOnly", message);
  }
  return synced("True", "Synced", `${where}.`);
}

function describeCertificate(
  use: CertificateStatus["use"],
  certificate: Certificate,
): CertificateStatus {
  return {
    use,
    subject: certificate.subject,
    notBefore: formatTime(certificate.notBeforeMs),
    notAfter: formatTime(certificate.notAfterMs),
    sha256: certificate.sha256,
  };
}

function describeBundle(use: CertificateStatus["use"], bundle: Bundle): CertificateStatus {
  const earliestMs = Math.min(...bundle.authorities.map(({ notAfterMs }) => notAfterMs));
  return { use, notAfter: formatTime(earliestMs), sha256: bundle.sha256 };
}

const fieldsOf: Readonly<Record<Use, readonly CertificateStatus["use"][]>> = {
  server: ["server", "clientCA"],
  "proxy-client": ["serverCA", "proxyClient", "proxyClientIssuer"],
};

function currentCertificates(
  { resolution }: Observed,
  use: Use,
  state: UseState & { kind: "current" },
): readonly CertificateStatus[] {
  const { serverCA, clientCA, proxyClient } = resolution;
  const leaf = parseCopy(state.secret, use)?.leaf;
  const bundles = { server: clientCA, "proxy-client": serverCA };
  const bundle = bundles[use];
  const issuer =
    use === "proxy-client" && proxyClient.kind === "resolved" && proxyClient.value.kind === "issue"
      ? proxyClient.value.issuer.certificate
      : undefined;
  return [
    ...(leaf === undefined
      ? []
      : [describeCertificate(use === "server" ? "server" : "proxyClient", leaf)]),
    ...(bundle.kind === "resolved"
      ? [describeBundle(use === "server" ? "clientCA" : "serverCA", bundle.value)]
      : []),
    ...(issuer === undefined ? [] : [describeCertificate("proxyClientIssuer", issuer)]),
  ];
}

/** What is served: by the sources where they are in use, else as it was reported when the copy was made. */
function certificatesOf(
  observed: Observed,
  names: Credentials,
  states: UseStates,
): readonly CertificateStatus[] {
  const previous = observed.hapi.status?.certificates ?? [];
  const all = USES.flatMap((use) => {
    const state = states[use];
    if (state.kind === "current") return currentCertificates(observed, use, state);
    if (names[use] === undefined) return [];
    return previous.filter((entry) => fieldsOf[use].includes(entry.use));
  });
  return [...all].sort((a, b) => (a.use < b.use ? -1 : 1));
}

type Credentials = Readonly<Record<Use, string | undefined>>;

function nameOf(observed: Observed, states: UseStates, use: Use): string | undefined {
  const state = states[use];
  switch (state.kind) {
    case "current":
      return state.desired.name;
    case "kept":
      return state.copy.name;
    case "foreign":
      return state.copy?.name;
    case "absent":
    case "pending":
    case "missing":
      return undefined;
  }
}

function heldName(observed: Observed, gatewayRef: GatewayRef, use: Use): string | undefined {
  const name = currentName(observed.hapi, use);
  const secret = findSecret(observed, gatewayRef.namespace, name ?? "");
  return secret !== undefined && isOwnSecret(secret, observed) ? name : undefined;
}

/** The names of the Secrets that status is to refer to. */
function credentialsOf(observed: Observed, phase: Phase, states: UseStates): Credentials {
  const name = (use: Use): string | undefined => {
    if (phase.kind === "withdraw") return undefined;
    return phase.kind === "hold"
      ? heldName(observed, phase.gatewayRef, use)
      : nameOf(observed, states, use);
  };
  return { server: name("server"), "proxy-client": name("proxy-client") };
}

/**
 * The conditions with their times. Where a refusal turns from "kept" into "withdrawn", Accepted stays False, and yet
 * its time is set anew: the grace period begins with the withdrawal.
 */
function stamp(observed: Observed, decided: readonly DecidedCondition[]): readonly Condition[] {
  const { hapi, nowMs, acceptance } = observed;
  const conditions = hapi.status?.conditions ?? [];
  const begins =
    !acceptance.accepted && acceptance.consent === "withdrawn" && !isWithdrawnSince(observed);
  const current = begins ? conditions.filter(({ type }) => type !== "Accepted") : conditions;
  const context = { current, generation: hapi.metadata.generation, nowMs };
  return decided.map((condition) => stampCondition(condition, context));
}

/** The status that follows from what was observed. Modifies and throws nothing. */
export function reportStatus(
  observed: Observed,
  phase: Phase,
  states: UseStates,
): CredentialsStatus {
  const names = credentialsOf(observed, phase, states);
  const { server, "proxy-client": proxyClient } = names;
  const certificates = certificatesOf(observed, names, states);
  const credentials = {
    ...(server === undefined ? {} : { server }),
    ...(proxyClient === undefined ? {} : { proxyClient }),
  };
  return {
    ...(phase.kind === "withdraw" ? {} : { gatewayRef: phase.gatewayRef }),
    ...(Object.keys(credentials).length === 0 ? {} : { credentials }),
    ...(certificates.length === 0 ? {} : { certificates: [...certificates] }),
    conditions: stamp(observed, [
      acceptedCondition(observed),
      resolvedCondition(observed),
      syncedCondition(observed, phase, states),
    ]),
  };
}

/** The part of a status that this capability owns, as it is now. */
export function ownStatus(hapi: HostedAPIServer): CredentialsStatus {
  const { gatewayRef, credentials, certificates, conditions } = hapi.status ?? {};
  return {
    ...(gatewayRef === undefined ? {} : { gatewayRef }),
    ...(credentials === undefined ? {} : { credentials }),
    ...(certificates === undefined ? {} : { certificates }),
    conditions: CONDITION_TYPES.flatMap((type) => findCondition(conditions, type) ?? []),
  };
}
