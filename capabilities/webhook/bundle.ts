import { parseCertificates, type Certificate } from "../../lib/domain/certificates";
import { findTrustProblem } from "../../lib/domain/trust";
import { SERVER_NAME } from "./names";

/** Certificates that an API server trusts: CAs, or a leaf by itself. */
export type Anchors = readonly Certificate[];

/** The certificates of a PEM text; none where it is no such text, as an API server sees it, too. */
export function parseAnchors(pem: string | undefined): Anchors {
  const parsed = parseCertificates(pem ?? "");
  return parsed.kind === "parsed" ? unite(parsed.certificates) : [];
}

/** The certificates of a `caBundle`, which is PEM in base64. */
export function decodeBundle(caBundle: string | undefined): Anchors {
  return parseAnchors(Buffer.from(caBundle ?? "", "base64").toString("utf8"));
}

/** The PEM text of certificates. */
export function toPem(anchors: Anchors): string {
  return anchors.map(({ pem }) => pem).join("");
}

/** Certificates once each, in the order of their first appearance. */
export function unite(...lists: readonly Anchors[]): Anchors {
  return [...new Map(lists.flat().map((one) => [one.sha256, one])).values()];
}

/** Certificates without those of the given fingerprints. */
export function without(anchors: Anchors, fingerprints: ReadonlySet<string>): Anchors {
  return anchors.filter(({ sha256 }) => !fingerprints.has(sha256));
}

/** Whether both are the same certificates, in whatever order. */
export function isSameSet(one: Anchors, other: Anchors): boolean {
  return one.length === other.length && without(one, fingerprintsOf(other)).length === 0;
}

/** The fingerprints of certificates. */
export function fingerprintsOf(anchors: Anchors): ReadonlySet<string> {
  return new Set(anchors.map(({ sha256 }) => sha256));
}

/** What is served, the leaf first. */
export type Chain = readonly [Certificate, ...Certificate[]];

/** Whether an API server that trusts `anchors` accepts what is served. */
export function accepts(anchors: Anchors, chain: Chain, nowMs: number): boolean {
  return findTrustProblem({ chain, authorities: anchors, host: SERVER_NAME, nowMs }) === undefined;
}

/** Whether what is served can be accepted at all: it is in its validity and of the right name. */
export function isAcceptable(chain: Chain, nowMs: number): boolean {
  return accepts([chain[0]], chain, nowMs);
}

/** A certificate that vouches for itself alone goes before a CA, an older one before a newer. */
function byWorth(one: Certificate, other: Certificate): number {
  return Number(one.isCA) - Number(other.isCA) || one.notBeforeMs - other.notBeforeMs;
}

/**
 * What could be left out, all at once, without a change in what is accepted of `chains`.
 * @returns Some of `anchors`; where one of two would do, the less lasting one.
 */
export function findUnneeded(anchors: Anchors, chains: readonly Chain[], nowMs: number): Anchors {
  const accepted = chains.filter((chain) => accepts(anchors, chain, nowMs));
  const unneeded = new Set<string>();
  for (const { sha256 } of [...anchors].sort(byWorth)) {
    unneeded.add(sha256);
    const rest = without(anchors, unneeded);
    if (!accepted.every((chain) => accepts(rest, chain, nowMs))) unneeded.delete(sha256);
  }
  return anchors.filter(({ sha256 }) => unneeded.has(sha256));
}
