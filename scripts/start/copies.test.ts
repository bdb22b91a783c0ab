import { createCA, issue, type KeyPair } from "../../test/cluster";
import { factsOf, factsRow, fingerprint, holdsPrivateKey } from "./copies";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

let ca: KeyPair;
let leaf: KeyPair;
let other: KeyPair;

beforeAll(async () => {
  ca = await createCA({ commonName: "ca" });
  const request = { commonName: "leaf", usages: ["server"] as const };
  leaf = await issue(ca, { ...request, notAfter: new Date("2099-02-03T00:00:00Z") });
  other = await issue(ca, request);
});

const secretOf = (data: Record<string, string>) => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: "copy", labels: { "fairlead.dev/use": "server" } },
  data: Object.fromEntries(Object.entries(data).map(([key, text]) => [key, base64(text)])),
});

describe("the facts of a Secret", () => {
  test("are its keys, its certificate's end and fingerprint, and never its key", () => {
    const secret = secretOf({ key: leaf.privateKeyPem, cert: leaf.certificatePem });
    const facts = factsOf(secret);
    expect(facts).toEqual({
      name: "copy",
      use: "server",
      keys: ["cert", "key"],
      certificate: {
        subject: "CN=leaf",
        notAfter: "2099-02-03",
        sha256: fingerprint(leaf.certificatePem),
      },
      immutable: false,
      belongTogether: true,
    });
    expect(holdsPrivateKey(JSON.stringify(facts), [leaf.privateKeyPem])).toBe(false);
    expect(factsRow({ ...facts, immutable: true })[2]).toBe("cert, key (immutable)");
  });

  test("tell a key of another certificate", () => {
    const secret = secretOf({ key: other.privateKeyPem, cert: leaf.certificatePem });
    expect(factsOf(secret).belongTogether).toBe(false);
  });

  test("tell a certificate without its key", () => {
    expect(factsOf(secretOf({ cert: leaf.certificatePem })).belongTogether).toBe(false);
  });

  test("of a CA bundle alone have no certificate", () => {
    const facts = factsOf(secretOf({ cacert: ca.certificatePem }));
    expect(facts.certificate).toBeUndefined();
    expect(factsRow(facts).slice(3)).toEqual(["–", "–"]);
  });
});

describe("looking for private keys", () => {
  test.each([
    ["as it is", (pem: string) => `a log: ${pem}`],
    ["in a line of JSON", (pem: string) => JSON.stringify({ key: pem })],
    ["in base64", base64],
    ["in base64, one byte further", (pem: string) => base64(` ${pem}`)],
    ["in base64, two bytes further", (pem: string) => base64(`  ${pem}`)],
    ["without its first and last line", (pem: string) => pem.split("\n")[1] ?? ""],
  ])("finds one %s", (_, hide) => {
    expect(holdsPrivateKey(hide(leaf.privateKeyPem), [ca.privateKeyPem, leaf.privateKeyPem])).toBe(
      true,
    );
  });

  test("does not take certificates or other keys for it", () => {
    const text = [leaf.certificatePem, ca.certificatePem, other.privateKeyPem].join("");
    expect(holdsPrivateKey(text + base64(text), [leaf.privateKeyPem])).toBe(false);
  });
});
