import "reflect-metadata";
import {
  createPrivateKey,
  createPublicKey,
  generateKeyPairSync,
  webcrypto,
  type KeyObject,
} from "node:crypto";
import {
  BasicConstraintsExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import {
  allowsClientAuth,
  isIssuedBy,
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  type Certificate,
} from "../../lib/domain/certificates";
import { issueClientCertificate } from "./issue";

const notBeforeMs = Date.parse("2026-01-01T00:00:00Z");
const notAfterMs = Date.parse("2026-01-31T00:00:00Z");

interface Authority {
  readonly certificate: Certificate;
  readonly privateKeyPem: string;
}

function parseOne(pem: string): Certificate {
  const parsed = parseCertificates(pem);
  if (parsed.kind === "malformed") throw new Error(parsed.message);
  return parsed.certificates[0];
}

const KEY_NAME = "0123456789abcdef0123456789abcdef01234567";

/** A CA whose key bears a name that says nothing of how it came about, as other programs' may. */
async function makeAuthority(privateKey: KeyObject): Promise<Authority> {
  const { namedCurve } = privateKey.asymmetricKeyDetails ?? {};
  const algorithm =
    privateKey.asymmetricKeyType === "rsa"
      ? { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" }
      : { name: "ECDSA", hash: "SHA-256", namedCurve: webNames[namedCurve ?? ""] ?? "" };
  const certificate = await X509CertificateGenerator.createSelfSigned(
    {
      name: [{ O: ["Großes Haus"] }, { CN: ["front-proxy"] }],
      notBefore: new Date("2025-01-01T00:00:00Z"),
      notAfter: new Date("2035-01-01T00:00:00Z"),
      keys: await importPair(privateKey, algorithm),
      signingAlgorithm: algorithm,
      extensions: [
        new BasicConstraintsExtension(true, undefined, true),
        new SubjectKeyIdentifierExtension(KEY_NAME),
      ],
    },
    webcrypto,
  );
  const privateKeyPem = privateKey.export({ type: "pkcs8", format: "pem" }).toString();
  return { certificate: parseOne(certificate.toString("pem")), privateKeyPem };
}

const webNames: Readonly<Record<string, string>> = {
  prime256v1: "P-256",
  secp384r1: "P-384",
  secp521r1: "P-521",
};

async function importPair(
  privateKey: KeyObject,
  algorithm: Parameters<typeof webcrypto.subtle.importKey>[2],
): Promise<webcrypto.CryptoKeyPair> {
  const { subtle } = webcrypto;
  const der = privateKey.export({ type: "pkcs8", format: "der" });
  const spki = createPublicKey(privateKey).export({ type: "spki", format: "der" });
  return {
    privateKey: await subtle.importKey("pkcs8", der, algorithm, false, ["sign"]),
    publicKey: await subtle.importKey("spki", spki, algorithm, true, ["verify"]),
  };
}

const rsaKey = (): KeyObject => generateKeyPairSync("rsa", { modulusLength: 2048 }).privateKey;
const curveKey = (namedCurve: string): KeyObject =>
  generateKeyPairSync("ec", { namedCurve }).privateKey;

describe("issueClientCertificate", () => {
  it.each([
    ["RSA", rsaKey],
    ["P-256", () => curveKey("P-256")],
    ["P-384", () => curveKey("P-384")],
    ["P-521", () => curveKey("P-521")],
  ])("issues by a CA with a key of %s", async (_type, makeKey) => {
    const { certificate, privateKeyPem } = await makeAuthority(makeKey());
    const issuer = { certificate, privateKeyPem, commonName: "system:istio-gateway" };
    const issued = await issueClientCertificate({ issuer, notBeforeMs, notAfterMs });
    const leaf = parseOne(issued.certificatePem);
    const key = parsePrivateKey(issued.privateKeyPem);
    expect(leaf).toMatchObject({ notBeforeMs, notAfterMs, isCA: false });
    expect(leaf.subject).toBe("CN=system:istio-gateway");
    expect(allowsClientAuth(leaf)).toBe(true);
    expect(isIssuedBy(leaf, certificate)).toBe(true);
    expect(key.kind === "parsed" && keyMatchesCertificate(key.key, leaf)).toBe(true);
    // Verifiers look for the issuer's key under its own name.
    expect(leaf.x509.raw.toString("hex")).toContain(KEY_NAME);
    // And compare the issuer's name byte by byte.
    expect(subjectBytes(certificate)).not.toBe("");
    expect(leaf.x509.raw.toString("hex")).toContain(subjectBytes(certificate));
  });

  it("issues by keys in PKCS #1 and SEC 1", async () => {
    const forms = [
      { made: await makeAuthority(rsaKey()), type: "pkcs1" },
      { made: await makeAuthority(curveKey("P-256")), type: "sec1" },
    ] as const;
    for (const { made, type } of forms) {
      const key = createPrivateKey(made.privateKeyPem);
      const privateKeyPem = key.export({ type, format: "pem" }).toString();
      const issuer = { certificate: made.certificate, privateKeyPem, commonName: "proxy" };
      const issued = await issueClientCertificate({ issuer, notBeforeMs, notAfterMs });
      expect(isIssuedBy(parseOne(issued.certificatePem), made.certificate)).toBe(true);
    }
  });

  it("gives each certificate a serial number and a key of its own", async () => {
    const { certificate, privateKeyPem } = await makeAuthority(curveKey("P-256"));
    const issuer = { certificate, privateKeyPem, commonName: "proxy" };
    const request = { issuer, notBeforeMs, notAfterMs };
    const [a, b] = await Promise.all([
      issueClientCertificate(request),
      issueClientCertificate(request),
    ]);
    const serials = [a, b].map(({ certificatePem }) => parseOne(certificatePem).x509.serialNumber);
    expect(new Set(serials).size).toBe(2);
    expect(a.privateKeyPem).not.toBe(b.privateKeyPem);
  });
});

/** The DER of a self-signed certificate's name, which is in it twice: as issuer and as subject. */
function subjectBytes({ x509 }: Certificate): string {
  const hex = x509.raw.toString("hex");
  // The name is a SEQUENCE that begins with the SET of its first attribute (O or CN: OID 2.5.4.x).
  const match = /30([0-9a-f]{2})31[0-9a-f]{2}30[0-9a-f]{2}06035504/.exec(hex);
  const length = parseInt(match?.[1] ?? "0", 16);
  return match === null ? "" : hex.slice(match.index, match.index + 4 + 2 * length);
}
