import type { Bundle, Certificate } from "../../lib/domain/certificates";
import { formatTime } from "../../lib/domain/conditions";
import type { Observed } from "./observed";
import { problemsOf, type Resolution } from "./resolve";
import { issuePeriodAt } from "./secrets";
import type { UseStates } from "./report";

/** An Event about a HostedAPIServer. */
export interface PlannedEvent {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

interface Term {
  readonly what: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

const MAX_WARNING_MS = 7 * 24 * 3_600_000;
/** Warn in the last tenth of a life, so that short-lived certificates that are renewed in time are no news. */
const WARNING_SHARE = 0.1;

function termOf(what: string, { notBeforeMs, notAfterMs }: Certificate): Term {
  return { what, notBeforeMs, notAfterMs };
}

// While a CA is rotated the old one ends; what counts is when the last one does.
function bundleTerm(what: string, { authorities }: Bundle): Term {
  return termOf(
    what,
    authorities.reduce((a, b) => (a.notAfterMs >= b.notAfterMs ? a : b)),
  );
}

function termsOf({ server, serverCA, clientCA, proxyClient }: Resolution): readonly Term[] {
  const terms: Term[] = [];
  if (server.kind === "resolved") terms.push(termOf("certificates.server", server.value.leaf));
  if (serverCA.kind === "resolved") {
    terms.push(bundleTerm("certificates.serverCA", serverCA.value));
  }
  if (clientCA.kind === "resolved") {
    terms.push(bundleTerm("certificates.clientCA", clientCA.value));
  }
  if (proxyClient.kind === "resolved") {
    const { value } = proxyClient;
    terms.push(
      value.kind === "issue"
        ? termOf("certificates.proxyClient.issuer", value.issuer.certificate)
        : termOf("certificates.proxyClient.certificate", value.pair.leaf),
    );
  }
  return terms;
}

function keptTerms(states: UseStates): readonly Term[] {
  return Object.values(states).flatMap((state) => {
    const leaf = state.kind === "kept" ? state.copy.content?.leaf : undefined;
    return leaf === undefined || state.kind !== "kept"
      ? []
      : [termOf(`the last good copy ${state.copy.name}`, leaf)];
  });
}

const warningMs = ({ notBeforeMs, notAfterMs }: Term): number =>
  notAfterMs - Math.min(MAX_WARNING_MS, (notAfterMs - notBeforeMs) * WARNING_SHARE);

/** The warnings about what ends soon. */
export function expiryEvents(observed: Observed, states: UseStates): readonly PlannedEvent[] {
  return [...termsOf(observed.resolution), ...keptTerms(states)]
    .filter((term) => warningMs(term) <= observed.nowMs && observed.nowMs <= term.notAfterMs)
    .map(({ what, notAfterMs }) => ({
      type: "Warning",
      reason: "CertificateExpiring",
      message: `${what} ends at ${formatTime(notAfterMs)}; renew it.`,
    }));
}

/** The moments at which time alone changes the plan: ends, starts, warnings and renewals. In no order. */
export function dueTimes(observed: Observed, states: UseStates): readonly number[] {
  const { hapi, resolution, settings, nowMs } = observed;
  const proxyState = states["proxy-client"];
  const terms = [...termsOf(resolution), ...keptTerms(states)];
  const issues = proxyState.kind === "current" && proxyState.desired.content.kind === "issue";
  return [
    // The end itself belongs to the validity.
    ...terms.flatMap((term) => [warningMs(term), term.notAfterMs + 1]),
    ...problemsOf(resolution).flatMap(({ endsAtMs }) => endsAtMs ?? []),
    ...(issues ? [issuePeriodAt(hapi, settings, nowMs).endMs] : []),
  ];
}
