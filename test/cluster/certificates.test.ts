import { createPrivateKey, X509Certificate } from "node:crypto";
import { createCA, createSigningRequest, issue, type KeyAlgorithm } from "./certificates";

const clientAuth = "1.3.6.1.5.5.7.3.2";
const serverAuth = "1.3.6.1.5.5.7.3.1";

describe.each<KeyAlgorithm>(["ecdsa", "rsa"])("certificates with %s keys", (algorithm) => {
  it("verify under their CA and belong to their keys", async () => {
    const ca = await createCA({ commonName: "ca", algorithm });
    const leaf = await issue(ca, {
      commonName: "system:istio-gateway",
      organizations: ["b", "a"],
      dnsNames: ["api.example.com", "*.tenants.example.com"],
      ipAddresses: ["127.0.0.1", "::1"],
      usages: ["server", "client"],
      algorithm,
    });
    const authority = new X509Certificate(ca.certificatePem);
    const certificate = new X509Certificate(leaf.certificatePem);
    expect(authority.ca).toBe(true);
    expect(authority.verify(authority.publicKey)).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(certificate.checkIssued(authority)).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(leaf.privateKeyPem))).toBe(true);
    expect(certificate.checkPrivateKey(createPrivateKey(ca.privateKeyPem))).toBe(false);
    expect(certificate.subject).toBe("O=b\nO=a\nCN=system:istio-gateway");
    expect(certificate.subjectAltName).toBe(
      "DNS:api.example.com, DNS:*.tenants.example.com, IP Address:127.0.0.1, IP Address:0:0:0:0:0:0:0:1",
    );
    expect(certificate.keyUsage).toEqual([serverAuth, clientAuth]);
  });
});

describe("certificates", () => {
  it("can be bad in every way that must be refused", async () => {
    const notBefore = new Date("2020-01-01T00:00:00Z");
    const notAfter = new Date("2020-01-02T00:00:00Z");
    const notCa = await createCA({ commonName: "x", constraint: "leaf", notBefore, notAfter });
    const leaf = await issue(notCa, { commonName: "y", usages: [], notBefore, notAfter });
    expect(new X509Certificate(notCa.certificatePem).ca).toBe(false);
    const certificate = new X509Certificate(leaf.certificatePem);
    expect(new Date(certificate.validFrom)).toEqual(notBefore);
    expect(new Date(certificate.validTo)).toEqual(notAfter);
    // Undefined without the extension, whatever the types say.
    expect((certificate.keyUsage as string[] | undefined) ?? []).toEqual([]);
  });

  it("have serial numbers of their own", async () => {
    const ca = await createCA({ commonName: "ca" });
    const request = { commonName: "a", usages: ["client"] } as const;
    const [first, second] = await Promise.all([issue(ca, request), issue(ca, request)]);
    const serialOf = (pem: string) => new X509Certificate(pem).serialNumber;
    expect(serialOf(first.certificatePem)).not.toBe(serialOf(second.certificatePem));
  });

  it("can be asked for with a signing request", async () => {
    const request = await createSigningRequest({ commonName: "joe", organizations: ["a"] });
    expect(request.requestPem).toMatch(/^-----BEGIN CERTIFICATE REQUEST-----\n/);
    expect(createPrivateKey(request.privateKeyPem).asymmetricKeyType).toBe("ec");
  });
});
