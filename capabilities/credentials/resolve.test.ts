import "reflect-metadata";
import { webcrypto } from "node:crypto";
import { BasicConstraintsExtension, X509CertificateGenerator } from "@peculiar/x509";
import type { CertificatesSpec, HostedAPIServer } from "../../lib/api";
import { createCA, issue, type KeyPair } from "../../test/cluster/certificates";
import { problemsOf, resolve } from "./resolve";
import { encode } from "./secrets";
import type { Secret } from "./sources";

const nowMs = Date.parse("2026-01-01T00:00:00Z");
const validity = { notBefore: new Date("2025-01-01"), notAfter: new Date("2035-01-01") };
let ca: KeyPair;
let server: KeyPair;

beforeAll(async () => {
  ca = await createCA({ commonName: "ca", ...validity });
  const request = { commonName: "server", dnsNames: ["api.example.com"], ...validity };
  server = await issue(ca, { ...request, usages: ["server"] });
});

function pair(name: string, certificatePem: string, privateKeyPem: string): [string, Secret] {
  const data = encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem });
  const metadata = { namespace: "tenant-a", name };
  return [`Secret/tenant-a/${name}`, { apiVersion: "v1", kind: "Secret", metadata, data }];
}

function subject(certificates: CertificatesSpec): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { namespace: "tenant-a", name: "main" },
    spec: { kubernetesVersion: "1.34.2", hosts: ["api.example.com"], certificates },
  };
}

const spec: CertificatesSpec = {
  server: { secretName: "server" },
  serverCA: { secretName: "ca", key: "tls.crt" },
  clientCA: { secretName: "ca", key: "tls.crt" },
  proxyClient: {
    issuer: { secretName: "issuer", certificateKey: "tls.crt", privateKeyKey: "tls.key" },
  },
};

describe("resolve", () => {
  it("refuses what is more than the one Secret can hold that it comes together in", () => {
    const room = 1_048_576 - server.privateKeyPem.length - server.certificatePem.length;
    const intermediates = ca.certificatePem.repeat(Math.floor(room / ca.certificatePem.length));
    const sources = new Map([
      pair("server", server.certificatePem + intermediates, server.privateKeyPem),
      pair("ca", ca.certificatePem, ""),
      pair("issuer", ca.certificatePem, ca.privateKeyPem),
    ]);
    const problems = problemsOf(resolve({ hapi: subject(spec), sources, nowMs }));
    expect(problems.map(({ reason }) => reason)).toEqual(["TooLarge"]);
  });

  it("refuses an issuer whose key fairlead can't sign with", async () => {
    const algorithm = { name: "Ed25519" };
    const keys = (await webcrypto.subtle.generateKey(algorithm, true, [
      "sign",
      "verify",
    ])) as webcrypto.CryptoKeyPair;
    const certificate = await X509CertificateGenerator.createSelfSigned(
      {
        name: [{ CN: ["front-proxy"] }],
        ...validity,
        keys,
        signingAlgorithm: algorithm,
        extensions: [new BasicConstraintsExtension(true, undefined, true)],
      },
      webcrypto,
    );
    const der = Buffer.from(await webcrypto.subtle.exportKey("pkcs8", keys.privateKey));
    const keyPem = `-----BEGIN PRIVATE KEY-----\n${der.toString("base64")}\n-----END PRIVATE KEY-----\n`;
    const sources = new Map([
      pair("server", server.certificatePem, server.privateKeyPem),
      pair("ca", ca.certificatePem, ""),
      pair("issuer", certificate.toString("pem"), keyPem),
    ]);
    const problems = problemsOf(resolve({ hapi: subject(spec), sources, nowMs }));
    expect(problems.map(({ reason }) => reason)).toEqual(["UnsupportedKey"]);
    expect(problems[0]?.message).not.toContain(der.toString("base64").slice(0, 16));
  });
});
