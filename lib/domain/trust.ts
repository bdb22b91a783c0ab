import { isIssuedBy, validityAt, type Certificate } from "./certificates";
import { certificateCoversHost } from "./hosts";

/** What a TLS client looks at. */
export interface Served {
  /** As it was served, the leaf first. */
  readonly chain: readonly Certificate[];
  /** What the client trusts. */
  readonly authorities: readonly Certificate[];
  /** The name that the client connects to. */
  readonly host: string;
  readonly nowMs: number;
}

/** Longer chains are not looked for: a public one has three certificates. */
const MAX_DEPTH = 8;

/** Whether a certificate leads to something that is trusted, through CAs that were served with it. */
function isTrusted(certificate: Certificate, served: Served, depth: number): boolean {
  const { chain, authorities, nowMs } = served;
  // As Go does: what is in the pool itself is trusted, a CA or not.
  if (authorities.some(({ sha256 }) => sha256 === certificate.sha256)) return true;
  if (depth >= MAX_DEPTH) return false;
  const valid = (issuer: Certificate): boolean =>
    issuer.isCA && validityAt(issuer, nowMs) === "valid" && isIssuedBy(certificate, issuer);
  return (
    authorities.some(valid) ||
    chain
      .filter(({ sha256 }) => sha256 !== certificate.sha256)
      .some((issuer) => valid(issuer) && isTrusted(issuer, served, depth + 1))
  );
}

/**
 * Says why a TLS client would not accept a served certificate.
 * @returns The end of a sentence, without a full stop; undefined where it would.
 */
export function findTrustProblem(served: Served): string | undefined {
  const [leaf] = served.chain;
  if (leaf === undefined) return "nothing is served there";
  const validity = validityAt(leaf, served.nowMs);
  if (validity !== "valid") {
    return validity === "expired"
      ? "the certificate is expired"
      : "the certificate is not yet valid";
  }
  if (!leaf.dnsNames.some((name) => certificateCoversHost(name, served.host))) {
    return `the certificate is not for ${served.host}`;
  }
  return isTrusted(leaf, served, 0) ? undefined : "the certificate is of another CA";
}
