import { createCA, issue, type KeyPair } from "../../test/cluster/certificates";
import {
  allowsClientAuth,
  isIssuedBy,
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  signingKeyType,
  toBundle,
  validityAt,
  type Certificate,
} from "./certificates";
import { generateKeyPairSync } from "node:crypto";

const validity = {
  notBefore: new Date("2026-01-01T00:00:00Z"),
  notAfter: new Date("2026-02-01T00:00:00Z"),
};
let ca: KeyPair;
let client: KeyPair;

beforeAll(async () => {
  ca = await createCA({ commonName: "ca", ...validity });
  client = await issue(ca, {
    commonName: "Jane, the 1st",
    organizations: ["one", "two"],
    dnsNames: ["a.example.com", "*.b.example.com"],
    ipAddresses: ["10.0.0.1"],
    usages: ["client"],
    ...validity,
  });
});

function certificate(pem: string): Certificate {
  const parsed = parseCertificates(pem);
  if (parsed.kind === "malformed") throw new Error(parsed.message);
  return parsed.certificates[0];
}

describe("parseCertificates", () => {
  it("reads what fairlead looks at", () => {
    const parsed = certificate(client.certificatePem);
    expect(parsed).toMatchObject({
      notBeforeMs: validity.notBefore.getTime(),
      notAfterMs: validity.notAfter.getTime(),
      isCA: false,
      dnsNames: ["a.example.com", "*.b.example.com"],
    });
    expect(parsed.subject).toContain("O=one, O=two, CN=Jane");
    expect(parsed.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  it("keeps the order and leaves out comments and keys", () => {
    const text = `# CA\n${ca.privateKeyPem}${ca.certificatePem}\ntext\r\n${client.certificatePem}`;
    const parsed = parseCertificates(text);
    const pems = parsed.kind === "parsed" ? parsed.certificates.map(({ pem }) => pem) : [];
    expect(pems).toEqual([ca.certificatePem, client.certificatePem]);
  });

  it("takes line ends of Windows", () => {
    const parsed = certificate(ca.certificatePem.replaceAll("\n", "\r\n"));
    expect(parsed.pem).toBe(ca.certificatePem);
  });

  it("reads certificates without a subject, as Pepr makes them", () => {
    const { genTLS } = jest.requireActual<{
      readonly genTLS: (name: string) => { pem: { ca: string; crt: string } };
    }>("pepr/src/lib/tls");
    const { pem } = genTLS("api.example.com");
    const leaf = certificate(pem.crt);
    expect(leaf).toMatchObject({ subject: "", dnsNames: ["api.example.com"], isCA: false });
    expect(isIssuedBy(leaf, certificate(pem.ca))).toBe(true);
  });

  it.each(["", "text", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"])(
    "refuses %j",
    (text) => {
      expect(parseCertificates(text).kind).toBe("malformed");
    },
  );
});

describe("private keys", () => {
  it("belong to one certificate", () => {
    const key = parsePrivateKey(client.privateKeyPem);
    const matches = [client, ca].map(
      (pair) =>
        key.kind === "parsed" && keyMatchesCertificate(key.key, certificate(pair.certificatePem)),
    );
    expect(matches).toEqual([true, false]);
  });

  it("are found behind EC parameters", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" });
    const sec1 = privateKey.export({ type: "sec1", format: "pem" }).toString();
    const parameters =
      "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    expect(parsePrivateKey(parameters + sec1).kind).toBe("parsed");
  });

  it("are refused encrypted, in the old form too", () => {
    const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
    const form = { format: "pem", cipher: "aes-256-cbc", passphrase: "x" } as const;
    const texts = [
      privateKey.export({ type: "pkcs8", ...form }),
      privateKey.export({ type: "pkcs1", ...form }),
    ];
    for (const text of texts) {
      expect(parsePrivateKey(text.toString())).toMatchObject({
        kind: "malformed",
        message: expect.stringContaining("encrypted") as string,
      });
    }
  });

  it("are never quoted", () => {
    const text = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    expect(JSON.stringify(parsePrivateKey(text))).not.toContain("c2VjcmV0");
  });

  it("sign if they are RSA or ECDSA on a curve of NIST's", () => {
    const types = [
      generateKeyPairSync("rsa", { modulusLength: 2048 }),
      generateKeyPairSync("ec", { namedCurve: "P-384" }),
      generateKeyPairSync("ec", { namedCurve: "secp256k1" }),
      generateKeyPairSync("ed25519"),
    ].map(({ privateKey }) => signingKeyType(privateKey));
    expect(types).toEqual(["RSA", "P-384", undefined, undefined]);
  });
});

describe("validity", () => {
  it.each([
    ["2025-12-31T23:59:59Z", "notYetValid"],
    ["2026-01-01T00:00:00Z", "valid"],
    ["2026-02-01T00:00:00Z", "valid"],
    ["2026-02-01T00:00:01Z", "expired"],
  ])("is at %s %s", (now, expected) => {
    expect(validityAt(certificate(ca.certificatePem), Date.parse(now))).toBe(expected);
  });
});

describe("issuing", () => {
  it("is known by name and signature", async () => {
    const namesake = await createCA({ commonName: "ca", ...validity });
    const leaf = certificate(client.certificatePem);
    expect(isIssuedBy(leaf, certificate(ca.certificatePem))).toBe(true);
    expect(isIssuedBy(leaf, certificate(namesake.certificatePem))).toBe(false);
  });

  it("tells who may be a client", () => {
    expect(allowsClientAuth(certificate(client.certificatePem))).toBe(true);
    expect(allowsClientAuth(certificate(ca.certificatePem))).toBe(false);
  });
});

describe("toBundle", () => {
  it("is the same for the same CAs, however they are written", async () => {
    const other = await createCA({ commonName: "other", ...validity });
    const [a, b] = [ca, other].map(({ certificatePem }) => certificate(certificatePem));
    const leaf = certificate(client.certificatePem);
    if (a === undefined || b === undefined) throw new Error("unreachable");
    expect(toBundle([a, b])).toEqual(toBundle([b, leaf, a, b]));
    expect(toBundle([a])?.sha256).not.toBe(toBundle([a, b])?.sha256);
    expect(toBundle([leaf])).toBeUndefined();
  });
});
