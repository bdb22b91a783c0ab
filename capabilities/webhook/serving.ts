import {
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  validityAt,
  type Certificate,
} from "../../lib/domain/certificates";
import { certificateCoversHost } from "../../lib/domain/hosts";
import type { Chain } from "./bundle";
import { SERVER_NAME } from "./names";
import type { ServingSecret } from "./observed";

/** What the Secret holds, and whether it is time for another certificate. */
export interface Serving {
  /** Undefined where nothing of it can be served. */
  readonly chain: Chain | undefined;
  readonly renewal: Renewal;
}

/** When another certificate is due, or why it is at once. */
export type Renewal =
  | { readonly kind: "due"; readonly reason: DueReason }
  | { readonly kind: "later"; readonly atMs: number };

/** Why another certificate is due. */
export type DueReason =
  | "NoCertificate"
  | "WrongKey"
  | "WrongName"
  | "Expired"
  | "NotYetValid"
  | "TwoThirdsOver";

/** Two thirds of a validity; a third is left to find out why it does not work. */
function renewAtMs({ notBeforeMs, notAfterMs }: Certificate): number {
  return notBeforeMs + ((notAfterMs - notBeforeMs) * 2) / 3;
}

/** When a serving certificate is to be replaced. */
export function renewalOf(certificate: Certificate, nowMs: number): Renewal {
  const validity = validityAt(certificate, nowMs);
  if (validity === "expired") return { kind: "due", reason: "Expired" };
  if (validity === "notYetValid") return { kind: "due", reason: "NotYetValid" };
  if (!certificate.dnsNames.some((name) => certificateCoversHost(name, SERVER_NAME))) {
    return { kind: "due", reason: "WrongName" };
  }
  const atMs = renewAtMs(certificate);
  return nowMs >= atMs ? { kind: "due", reason: "TwoThirdsOver" } : { kind: "later", atMs };
}

function textOf({ data }: ServingSecret, key: string): string {
  return Buffer.from(data?.[key] ?? "", "base64").toString("utf8");
}

/** Reads the Secret, as the processes that mount it do. */
export function readServing(secret: ServingSecret, nowMs: number): Serving {
  const parsed = parseCertificates(textOf(secret, "tls.crt"));
  if (parsed.kind === "malformed") {
    return { chain: undefined, renewal: { kind: "due", reason: "NoCertificate" } };
  }
  const chain = parsed.certificates;
  const key = parsePrivateKey(textOf(secret, "tls.key"));
  if (key.kind === "malformed" || !keyMatchesCertificate(key.key, chain[0])) {
    return { chain: undefined, renewal: { kind: "due", reason: "WrongKey" } };
  }
  return { chain, renewal: renewalOf(chain[0], nowMs) };
}
