import { createHash, createPrivateKey } from "node:crypto";
import {
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
} from "../../lib/domain/certificates";
import { formatTime } from "../../lib/domain/conditions";
import { createCA, issue, type KeyPair } from "../cluster/certificates";

/** A certificate that a case declares instead of holding it: keys are made when the case runs. */
export interface CertificateSpec {
  /** Self-signed; with `false` one that may sign nothing. Absent: a leaf. */
  readonly ca?: boolean;
  readonly issuer?: string;
  readonly commonName?: string;
  readonly dnsNames?: readonly string[];
  readonly usages?: readonly ("server" | "client")[];
  readonly notBefore?: string;
  readonly notAfter?: string;
  readonly algorithm?: "ecdsa" | "rsa";
}

/** The certificates of a case by their names. */
export type Pairs = ReadonlyMap<string, KeyPair>;

const PLACEHOLDER = /\$\{([a-z0-9-]+)\.([a-zA-Z0-9]+)\}/g;

async function makePair(name: string, spec: CertificateSpec, made: Pairs): Promise<KeyPair> {
  const isCA = spec.ca !== undefined;
  const request = {
    commonName: spec.commonName ?? name,
    notBefore: new Date(spec.notBefore ?? "2025-01-01T00:00:00Z"),
    notAfter: new Date(spec.notAfter ?? (isCA ? "2035-01-01T00:00:00Z" : "2027-01-01T00:00:00Z")),
    algorithm: spec.algorithm ?? "ecdsa",
  };
  if (isCA) {
    return createCA({ ...request, constraint: spec.ca ? "authority" : "leaf" });
  }
  const issuer = made.get(spec.issuer ?? "");
  if (issuer === undefined)
    throw new Error(`${name}: issuer ${spec.issuer ?? ""} is not declared before it`);
  const { dnsNames = [], usages = dnsNames.length > 0 ? ["server"] : ["client"] } = spec;
  return issue(issuer, { ...request, dnsNames, usages });
}

/** Makes the certificates that a case declares, each after its issuer. */
export async function makePairs(specs: Readonly<Record<string, CertificateSpec>>): Promise<Pairs> {
  const made = new Map<string, KeyPair>();
  for (const [name, spec] of Object.entries(specs)) {
    made.set(name, await makePair(name, spec, made));
  }
  return made;
}

function exportKey(pair: KeyPair, type: "pkcs1" | "sec1"): string {
  return createPrivateKey(pair.privateKeyPem).export({ type, format: "pem" }).toString();
}

function encryptKey(pair: KeyPair): string {
  const options = { type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
  return createPrivateKey(pair.privateKeyPem).export(options).toString();
}

const forms: Readonly<Record<string, (pair: KeyPair) => string>> = {
  certificate: (pair) => pair.certificatePem,
  privateKey: (pair) => pair.privateKeyPem,
  privateKeyPKCS1: (pair) => exportKey(pair, "pkcs1"),
  privateKeySEC1: (pair) => exportKey(pair, "sec1"),
  privateKeyEncrypted: encryptKey,
};

/** A text with `${name.certificate}` and `${name.privateKey}` filled in. */
export function fillIn(text: string, pairs: Pairs): string {
  return text.replace(PLACEHOLDER, (placeholder, name: string, form: string) => {
    const pair = pairs.get(name);
    const write = forms[form];
    if (pair === undefined || write === undefined) throw new Error(`${placeholder} is unknown`);
    return write(pair);
  });
}

const sha256 = (content: string | Buffer): string =>
  createHash("sha256").update(content).digest("hex");

/** Puts names back in place of what is random: certificates, keys, fingerprints, hashes in names. */
export class Symbols {
  readonly #certificates = new Map<string, string>();
  readonly #keys = new Map<string, string>();
  readonly #texts = new Map<string, string>();

  constructor(pairs: Pairs) {
    for (const [name, pair] of pairs) {
      const parsed = parseCertificates(pair.certificatePem);
      if (parsed.kind === "malformed") throw new Error(`${name} ${parsed.message}`);
      this.#certificates.set(parsed.certificates[0].sha256, name);
      this.#texts.set(parsed.certificates[0].sha256, `<sha256 of ${name}>`);
      for (const write of [forms.privateKey, forms.privateKeyPKCS1, forms.privateKeySEC1]) {
        try {
          this.#keys.set(sha256(write?.(pair).trim() ?? ""), name);
        } catch {
          // A key of another algorithm has no such form.
        }
      }
    }
  }

  /** Learns the name of a derived Secret: from now on its hash reads as `label`. */
  learnName(name: string, label: string): void {
    if (!this.#texts.has(name)) {
      this.#texts.set(name, name.replace(/[0-9a-f]{10}$/, `<${label}>`));
    }
  }

  /** A derived Secret's `data` with names for what it holds. */
  describeData(data: Readonly<Record<string, string>>): Record<string, string> {
    const text = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("utf8");
    return Object.fromEntries(
      Object.keys(data).map((key) => {
        if (key === "key") return [key, this.#describeKey(text("key"), text("cert"))];
        return [key, this.#describeCertificates(key, text(key))];
      }),
    );
  }

  #describeKey(keyPem: string, certificatePem: string): string {
    const known = this.#keys.get(sha256(keyPem.trim()));
    if (known !== undefined) return `\${${known}.privateKey}`;
    const key = parsePrivateKey(keyPem);
    const chain = parseCertificates(certificatePem);
    const belongs =
      key.kind === "parsed" &&
      chain.kind === "parsed" &&
      keyMatchesCertificate(key.key, chain.certificates[0]);
    return belongs ? "<its new key>" : "<not its key>";
  }

  #describeCertificates(key: string, pem: string): string {
    const parsed = parseCertificates(pem);
    if (parsed.kind === "malformed") return pem;
    const names = parsed.certificates.map((certificate) => {
      const known = this.#certificates.get(certificate.sha256);
      if (known !== undefined) return `\${${known}.certificate}`;
      this.#texts.set(certificate.sha256, "<sha256 of what was issued>");
      const from = formatTime(certificate.notBeforeMs);
      const to = formatTime(certificate.notAfterMs);
      return `<issued: ${certificate.subject}, from ${from} to ${to}>`;
    });
    // CAs are sorted by fingerprint, which is another one each time.
    const text = (key === "cacert" ? [...names].sort() : names).join("");
    const plain = text.replaceAll(/\$\{([a-z0-9-]+)\.certificate\}/g, "$1 ").trim();
    this.#texts.set(sha256(pem), `<sha256 of bundle ${plain.replaceAll(" ", ", ")}>`);
    return text;
  }

  /** A value with every text that stands for something replaced. */
  describe(value: unknown): unknown {
    let text = JSON.stringify(value ?? null);
    for (const [from, to] of this.#texts) text = text.replaceAll(from, to);
    return JSON.parse(text) as unknown;
  }
}
