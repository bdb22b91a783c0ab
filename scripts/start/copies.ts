import { createPrivateKey, X509Certificate } from "node:crypto";
import type { Secret } from "./objects";

/** What may be told about a Secret with a certificate: never its key. */
export interface SecretFacts {
  readonly name: string;
  readonly use: string;
  readonly keys: readonly string[];
  readonly certificate:
    | {
        readonly subject: string;
        readonly notAfter: string;
        /** SHA-256 of the certificate, in lower-case hex. */
        readonly sha256: string;
      }
    | undefined;
  readonly immutable: boolean;
  /** Whether `key` is the private key of `cert`; true where there is no certificate. */
  readonly belongTogether: boolean;
}

const decode = (value: string): string => Buffer.from(value, "base64").toString("utf8");

/** SHA-256 of a certificate (PEM), in lower-case hex. */
export function fingerprint(certificatePem: string): string {
  return new X509Certificate(certificatePem).fingerprint256.replaceAll(":", "").toLowerCase();
}

/** Looks at a Secret that fairlead made, with node's own X.509 and none of fairlead's. */
export function factsOf(secret: Secret): SecretFacts {
  const { cert, key } = secret.data ?? {};
  const certificate = cert === undefined ? undefined : new X509Certificate(decode(cert));
  return {
    name: secret.metadata.name,
    use: secret.metadata.labels?.["fairlead.dev/use"] ?? "",
    keys: Object.keys(secret.data ?? {}).sort(),
    certificate:
      certificate === undefined
        ? undefined
        : {
            subject: certificate.subject.replaceAll("\n", ", "),
            notAfter: new Date(certificate.validTo).toISOString().slice(0, 10),
            sha256: certificate.fingerprint256.replaceAll(":", "").toLowerCase(),
          },
    immutable: secret.immutable === true,
    belongTogether:
      certificate === undefined ||
      (key !== undefined && certificate.checkPrivateKey(createPrivateKey(decode(key)))),
  };
}

/** A row of the table of Secrets. */
export function factsRow(facts: SecretFacts): readonly string[] {
  const { name, use, keys, certificate, immutable } = facts;
  return [
    name,
    use,
    `${keys.join(", ")}${immutable ? " (immutable)" : ""}`,
    certificate?.notAfter ?? "–",
    certificate === undefined ? "–" : `${certificate.sha256.slice(0, 16)}…`,
  ];
}

/** The head of the table of Secrets. */
export const factsHead = [
  "Secret",
  "for",
  "keys",
  "expires",
  "SHA-256 of the certificate",
] as const;

/** Whether a text holds a private key of these (PEM): a long line of one, as it is or within some base64. */
export function holdsPrivateKey(text: string, privateKeys: readonly string[]): boolean {
  return privateKeys
    .flatMap((pem) => pem.split("\n"))
    .filter((line) => line.length >= 40 && !line.startsWith("-----"))
    .flatMap((line) => [line, ...withinBase64(line)])
    .some((needle) => text.includes(needle));
}

/** What a text looks like somewhere in base64: it depends on how many bytes are before it, modulo three. */
function withinBase64(text: string): readonly string[] {
  return [0, 1, 2].map((offset) => {
    const encoded = Buffer.from(" ".repeat(offset) + text).toString("base64");
    // The first and last characters hold bits of what is around it.
    return encoded.slice(4, -4);
  });
}
