import { createHash, createPrivateKey, X509Certificate, type KeyObject } from "node:crypto";

/** A certificate as fairlead looks at it. */
export interface Certificate {
  /** The one PEM block, without what stood around it. */
  readonly pem: string;
  /** One line, in the order of the certificate, at most 256 characters; empty where names are alternative ones only. */
  readonly subject: string;
  /** SHA-256 of the DER, in lower-case hex. */
  readonly sha256: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
  /** True only with basicConstraints CA:TRUE and, where key usages are given, keyCertSign. */
  readonly isCA: boolean;
  /** Subject alternative names of type dNSName; never the common name. */
  readonly dnsNames: readonly string[];
  /** OIDs of the extended key usages; undefined without that extension. */
  readonly extendedKeyUsages: readonly string[] | undefined;
  /** node's own view, for signatures and keys. */
  readonly x509: X509Certificate;
}

/** What a PEM text holds: at least one certificate, or why none. */
export type ParsedCertificates =
  | { readonly kind: "parsed"; readonly certificates: readonly [Certificate, ...Certificate[]] }
  | { readonly kind: "malformed"; readonly message: string };

/** What a PEM text holds: a private key, or why none. */
export type ParsedPrivateKey =
  | { readonly kind: "parsed"; readonly key: KeyObject; readonly pem: string }
  | { readonly kind: "malformed"; readonly message: string };

/** Where a moment lies to a validity. */
export type Validity = "valid" | "expired" | "notYetValid";

const CERTIFICATE_BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g;
const PRIVATE_KEY_BLOCK =
  /-----BEGIN ((?:RSA |EC |ENCRYPTED )?PRIVATE KEY)-----[^-]*(?:-[^-]+)*-----END \1-----/;
const MAX_SUBJECT_LENGTH = 256;
/** @see https://www.rfc-editor.org/rfc/rfc5280#section-4.2.1.12 */
const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const ANY_EXTENDED_KEY_USAGE = "2.5.29.37.0";

function sha256(content: string | Buffer): string {
  return createHash("sha256").update(content).digest("hex");
}

// node quotes a name that holds separators (CVE-2021-44532); such a name is no host name and is left out.
function parseDnsNames(subjectAltName: string | undefined): string[] {
  const withoutQuoted = (subjectAltName ?? "").replace(/"(?:[^"\\]|\\.)*"/g, '""');
  return withoutQuoted
    .split(", ")
    .filter((name) => name.startsWith("DNS:"))
    .map((name) => name.slice("DNS:".length))
    .filter((name) => name !== "" && !name.includes('"'));
}

/**
 * One certificate, of PEM or DER.
 * @throws {Error} where it is none.
 */
export function toCertificate(encoded: string | Buffer): Certificate {
  const x509 = new X509Certificate(encoded);
  // The types know neither: node says undefined where the extension is missing, and for an empty subject.
  const usages = x509.keyUsage as readonly string[] | undefined;
  const subject = x509.subject as string | undefined;
  return {
    pem: `${x509.toString().trim()}\n`,
    subject: (subject ?? "").split("\n").join(", ").slice(0, MAX_SUBJECT_LENGTH),
    sha256: sha256(x509.raw),
    notBeforeMs: Date.parse(x509.validFrom),
    notAfterMs: Date.parse(x509.validTo),
    isCA: x509.ca,
    dnsNames: parseDnsNames(x509.subjectAltName),
    extendedKeyUsages: usages,
    x509,
  };
}

/**
 * Reads all certificates of a PEM text, in their order. Whatever else the text holds (comments, keys) is ignored and
 * not part of the result. Throws nothing.
 */
export function parseCertificates(text: string): ParsedCertificates {
  const blocks = text.match(CERTIFICATE_BLOCK) ?? [];
  const certificates: Certificate[] = [];
  for (const block of blocks) {
    try {
      certificates.push(toCertificate(block));
    } catch {
      const position = certificates.length + 1;
      return {
        kind: "malformed",
        message: `holds what is no X.509 certificate (PEM block ${position})`,
      };
    }
  }
  const [first, ...rest] = certificates;
  if (first === undefined) return { kind: "malformed", message: "holds no PEM certificate" };
  return { kind: "parsed", certificates: [first, ...rest] };
}

/**
 * Reads a private key: PKCS #8, PKCS #1 (RSA) or SEC 1 (EC), not encrypted. The message never quotes the text.
 * Throws nothing.
 */
export function parsePrivateKey(text: string): ParsedPrivateKey {
  const block = PRIVATE_KEY_BLOCK.exec(text);
  if (block === null) return { kind: "malformed", message: "holds no PEM private key" };
  const encrypted = block[1] === "ENCRYPTED PRIVATE KEY" || block[0].includes("Proc-Type: 4,ENC");
  if (encrypted)
    return { kind: "malformed", message: "is encrypted, and fairlead has no passphrase" };
  try {
    return { kind: "parsed", key: createPrivateKey(block[0]), pem: `${block[0].trim()}\n` };
  } catch {
    return { kind: "malformed", message: "is not a private key that can be read" };
  }
}

/** Whether a private key belongs to a certificate. */
export function keyMatchesCertificate(key: KeyObject, certificate: Certificate): boolean {
  return certificate.x509.checkPrivateKey(key);
}

/** Whether a moment lies before, in, or after a certificate's validity; both ends belong to it. */
export function validityAt(certificate: Certificate, nowMs: number): Validity {
  if (nowMs < certificate.notBeforeMs) return "notYetValid";
  return nowMs > certificate.notAfterMs ? "expired" : "valid";
}

/**
 * Whether a certificate may be a TLS client's: it says clientAuth (or any). One without extended key usages does not
 * say so and counts as not.
 */
export function allowsClientAuth(certificate: Certificate): boolean {
  const usages = certificate.extendedKeyUsages ?? [];
  return usages.includes(CLIENT_AUTH) || usages.includes(ANY_EXTENDED_KEY_USAGE);
}

/** Whether a certificate was issued by another one, by name and by signature. */
export function isIssuedBy(certificate: Certificate, issuer: Certificate): boolean {
  return (
    certificate.x509.checkIssued(issuer.x509) && certificate.x509.verify(issuer.x509.publicKey)
  );
}

/** Key types that fairlead can sign with. */
export type SigningKeyType = "RSA" | "P-256" | "P-384" | "P-521";

const curves: Readonly<Record<string, SigningKeyType>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

/** The type of a key that is to sign certificates; undefined for one that fairlead can't sign with. */
export function signingKeyType(key: KeyObject): SigningKeyType | undefined {
  if (key.asymmetricKeyType === "rsa") return "RSA";
  if (key.asymmetricKeyType !== "ec") return undefined;
  return curves[key.asymmetricKeyDetails?.namedCurve ?? ""];
}

/** A set of CAs. */
export interface Bundle {
  /** The CAs once each, sorted by fingerprint: the same set gives the same text. */
  readonly pem: string;
  /** SHA-256 of `pem`, in lower-case hex. */
  readonly sha256: string;
  /** In the order of `pem`, never empty. */
  readonly authorities: readonly [Certificate, ...Certificate[]];
}

/**
 * The CAs among certificates, in a form that depends neither on their order nor on text around them. What is not a CA
 * is left out: as a trust anchor it would admit just its own holder.
 * @returns undefined when there is no CA.
 */
export function toBundle(certificates: readonly Certificate[]): Bundle | undefined {
  const unique = new Map(
    certificates.filter(({ isCA }) => isCA).map((certificate) => [certificate.sha256, certificate]),
  );
  const [first, ...rest] = [...unique.values()].sort((a, b) => (a.sha256 < b.sha256 ? -1 : 1));
  if (first === undefined) return undefined;
  const authorities: Bundle["authorities"] = [first, ...rest];
  const pem = authorities.map((certificate) => certificate.pem).join("");
  return { pem, sha256: sha256(pem), authorities };
}
