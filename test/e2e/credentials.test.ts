import { createCA, issue, type KeyPair } from "../cluster";
import type { AnyObject, Ref } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { inventory } from "../harness/inventory";
import { decode, encode, hostedAPIServer, internalGateway, namespace } from "../harness/objects";
import {
  conditionsOf,
  setStage,
  START_TIMEOUT_MS,
  untilCondition,
  type Stage,
} from "../harness/stage";
import {
  examineDerived,
  givenCertificates,
  hostOf,
  issuedCertificates,
  issueServer,
  makeTenantKeys,
  sourceObjects,
  tenantObjects,
  type DerivedSecret,
  type TenantKeys,
} from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(240_000);

const gateway = "istio-ingress";
const rotations = 100;

const refTo = (kind: Ref["kind"], namespace: string, name: string): Ref => ({
  kind,
  namespace,
  name,
});

interface Credentials {
  readonly server?: string;
  readonly proxyClient?: string;
}

describe("credentials", () => {
  let stage: Stage;
  const keysOf = new Map<string, TenantKeys>();

  const keys = (tenant: string): TenantKeys => {
    const found = keysOf.get(tenant);
    if (found === undefined) throw new Error(`no keys of ${tenant}`);
    return found;
  };

  /** The Secrets in the gateway namespace that are for a tenant. */
  const derived = async (tenant: string): Promise<readonly AnyObject[]> =>
    stage.api.list("Secret", gateway, `fairlead.dev/namespace=${tenant}`);

  const credentialsOf = (hapi: AnyObject): Credentials =>
    (hapi.status?.credentials ?? {}) as Credentials;

  const synced = async (tenant: string, reason = "Synced"): Promise<AnyObject> =>
    untilCondition(
      stage.api,
      { namespace: tenant },
      {
        type: "CredentialsSynced",
        status: "True",
        reason,
      },
    );

  const createTenant = async (tenant: string, certificates?: object): Promise<AnyObject> => {
    const made = await makeTenantKeys(tenant);
    keysOf.set(tenant, made);
    await stage.api.createAll(tenantObjects(tenant, made, certificates));
    return synced(tenant);
  };

  /** The texts of the current Secret for a use. */
  const contentOf = async (tenant: string, use: keyof Credentials) => {
    const hapi = await stage.api.get(refTo("HostedAPIServer", tenant, "main"));
    const name = credentialsOf(hapi)[use] ?? "";
    return decode(await stage.api.find(refTo("Secret", gateway, name)));
  };

  const setSource = async (tenant: string, name: string, values: Record<string, string>) =>
    stage.api.patch(refTo("Secret", tenant, name), { data: encode(values) });

  const setCertificates = async (tenant: string, certificates: object) =>
    stage.api.patch(refTo("HostedAPIServer", tenant, "main"), { spec: { certificates } });

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      controllerManager: "run",
      objects: [namespace(gateway)],
      fairlead: { env: { FAIRLEAD_DRAIN_SECONDS: "1", FAIRLEAD_GRACE_SECONDS: "2" } },
    });
    await stage.api.create(internalGateway(gateway));
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  describe("are copied", () => {
    it("from Secrets and a ConfigMap, with a client certificate that fairlead issues", async () => {
      const hapi = await createTenant("issued");
      const secrets = await derived("issued");
      const { server, proxyClient } = credentialsOf(hapi);
      expect(secrets.map(({ metadata }) => metadata.name).sort()).toEqual(
        [server, proxyClient].sort(),
      );
      expect(server).toMatch(/^issued-main-tls-[0-9a-f]{10}$/);
      expect(proxyClient).toMatch(/^issued-main-istio-mtls-[0-9a-f]{10}$/);
      const { clientCA, serverCA, server: pair } = keys("issued");
      expect(await contentOf("issued", "server")).toEqual({
        cert: pair.certificatePem,
        key: pair.privateKeyPem,
        cacert: clientCA.certificatePem,
      });
      const issued = await contentOf("issued", "proxyClient");
      expect(Object.keys(issued).sort()).toEqual(["cacert", "cert", "key"]);
      expect(issued.cacert).toBe(serverCA.certificatePem);
      for (const secret of secrets) {
        expect(secret.type).toBe("Opaque");
        expect(examineDerived(secret).belongsTogether).toBe(true);
      }
    });

    it("with the marks that fairlead finds them by", async () => {
      const { uid } = (await stage.api.get({ kind: "Namespace", name: "issued" })).metadata;
      const secrets = await derived("issued");
      const uses = secrets.map(({ metadata }) => metadata.labels?.["fairlead.dev/use"]);
      expect(uses.sort()).toEqual(["proxy-client", "server"]);
      for (const { metadata, immutable } of secrets) {
        expect(metadata.labels).toMatchObject({
          "app.kubernetes.io/managed-by": "fairlead",
          "fairlead.dev/namespace": "issued",
          "fairlead.dev/name": "main",
        });
        expect(metadata.ownerReferences).toEqual([
          { apiVersion: "v1", kind: "Namespace", name: "issued", uid },
        ]);
        expect(immutable === true).toBe(metadata.labels?.["fairlead.dev/use"] === "proxy-client");
      }
    });

    it("with a ready-made client certificate, unchanged", async () => {
      await createTenant("given", givenCertificates);
      const { proxyClient, serverCA } = keys("given");
      expect(await contentOf("given", "proxyClient")).toEqual({
        cert: proxyClient.certificatePem,
        key: proxyClient.privateKeyPem,
        cacert: serverCA.certificatePem,
      });
    });

    it("without client certificates: no client CA and no proxy client, and the condition says so", async () => {
      const { server, serverCA } = issuedCertificates;
      keysOf.set("tokens", await makeTenantKeys("tokens"));
      await stage.api.createAll(tenantObjects("tokens", keys("tokens"), { server, serverCA }));
      await synced("tokens", "TokensOnly");
      const pair = keys("tokens").server;
      expect(await contentOf("tokens", "server")).toEqual({
        cert: pair.certificatePem,
        key: pair.privateKeyPem,
      });
      expect(await contentOf("tokens", "proxyClient")).toEqual({
        cacert: keys("tokens").serverCA.certificatePem,
      });
    });

    it("from a bundle in a Secret or a ConfigMap alike", async () => {
      await stage.api.create({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "server-ca", namespace: "given" },
        data: { bundle: keys("given").serverCA.certificatePem },
      });
      await stage.api.create({
        apiVersion: "v1",
        kind: "Secret",
        metadata: { name: "client-ca", namespace: "given" },
        data: encode({ "ca.crt": keys("given").clientCA.certificatePem }),
      });
      const before = await contentOf("given", "server");
      await setCertificates("given", {
        serverCA: { secretName: null, configMapName: "server-ca", key: "bundle" },
        clientCA: { configMapName: null, secretName: "client-ca" },
      });
      const hapi = await eventually(async () => {
        const seen = await synced("given");
        expect(conditionsOf(seen).CredentialsSynced?.observedGeneration).toBe(
          seen.metadata.generation,
        );
        return seen;
      });
      // The same inputs are the same Secrets, wherever they come from.
      expect(await contentOf("given", "server")).toEqual(before);
      expect(await derived("given")).toHaveLength(2);
      expect(hapi.status?.certificates).toHaveLength(4);
    });

    it("and status tells which certificates there are and when they end, and no key", async () => {
      const hapi = await synced("issued");
      const certificates = hapi.status?.certificates as readonly { use: string }[];
      expect(certificates.map(({ use }) => use)).toEqual([
        "clientCA",
        "proxyClient",
        "proxyClientIssuer",
        "server",
        "serverCA",
      ]);
      for (const certificate of certificates) {
        expect(certificate).toMatchObject({
          notAfter: expect.stringMatching(/^\d{4}-\d\d-\d\dT[\d:]{8}Z$/) as string,
          sha256: expect.stringMatching(/^[0-9a-f]{64}$/) as string,
        });
      }
      const managers = new Set(hapi.metadata.managedFields?.map(({ manager }) => manager));
      expect(managers).toEqual(expect.objectContaining(new Set(["fairlead-credentials"])));
    });
  });

  describe("follow their sources", () => {
    it("a renewed server certificate, under the same name", async () => {
      const before = credentialsOf(await synced("issued"));
      const renewed = await issueServer(keys("issued").serverCA, "issued");
      await setSource("issued", "kube-apiserver", {
        "tls.crt": renewed.certificatePem,
        "tls.key": renewed.privateKeyPem,
      });
      await eventually(async () => {
        const { cert, key } = await contentOf("issued", "server");
        expect({ cert, key }).toEqual({ cert: renewed.certificatePem, key: renewed.privateKeyPem });
      });
      expect(credentialsOf(await synced("issued"))).toEqual(before);
    });

    it.each<[string, keyof Credentials, (tenant: string, ca: KeyPair) => Promise<unknown>]>([
      [
        "the client CA",
        "server",
        async (tenant, ca) =>
          stage.api.patch(refTo("ConfigMap", tenant, "ca-client"), {
            data: { "ca.crt": ca.certificatePem },
          }),
      ],
      [
        "the server CA",
        "proxyClient",
        async (tenant, ca) => setSource(tenant, "ca", { "ca.crt": ca.certificatePem }),
      ],
      [
        "the front-proxy CA",
        "proxyClient",
        async (tenant, ca) =>
          setSource(tenant, "ca-front-proxy", {
            "ca.crt": ca.certificatePem,
            "ca.key": ca.privateKeyPem,
          }),
      ],
    ])("%s, under a new name, and the old Secret goes", async (name, use, change) => {
      const before = credentialsOf(await synced("issued"));
      await change("issued", await createCA({ commonName: `${name}, new` }));
      await eventually(async () => {
        const after = credentialsOf(await synced("issued"));
        expect(after[use]).not.toBe(before[use]);
        expect({ ...after, [use]: "" }).toEqual({ ...before, [use]: "" });
      });
      await eventually(async () => {
        const current = Object.values(credentialsOf(await synced("issued"))).sort() as unknown;
        const there = (await derived("issued")).map(({ metadata }) => metadata.name).sort();
        expect(there).toEqual(current);
      });
    });

    it("a ready-made client certificate, under a new name", async () => {
      const before = credentialsOf(await synced("given"));
      const renewed = await issue(keys("given").frontProxyCA, {
        commonName: "front-proxy-client",
        usages: ["client"],
      });
      await setSource("given", "front-proxy-client", {
        "tls.crt": renewed.certificatePem,
        "tls.key": renewed.privateKeyPem,
      });
      await eventually(async () => {
        const { cert, key } = await contentOf("given", "proxyClient");
        expect({ cert, key }).toEqual({ cert: renewed.certificatePem, key: renewed.privateKeyPem });
      });
      expect(credentialsOf(await synced("given")).proxyClient).not.toBe(before.proxyClient);
      await eventually(async () => {
        expect(await derived("given")).toHaveLength(2);
      });
    });

    it(`${rotations} renewals in a row, of which every one seen belongs together and the last one stays`, async () => {
      const { serverCA, frontProxyCA } = keys("given");
      const seen: DerivedSecret[] = [];
      const stopWatching = await stage.api.watch("Secret", gateway, ({ type, object }) => {
        const isOurs = object.metadata.labels?.["fairlead.dev/namespace"] === "given";
        if (isOurs && type !== "DELETED") seen.push(examineDerived(object));
      });
      let last: Readonly<Record<"server" | "client", KeyPair>> | undefined;
      for (let round = 0; round < rotations; round += 1) {
        const server = await issueServer(serverCA, "given");
        const client = await issue(frontProxyCA, {
          commonName: "front-proxy-client",
          usages: ["client"],
        });
        const both = { "tls.crt": server.certificatePem, "tls.key": server.privateKeyPem };
        if (round % 10 === 0) {
          // A careless author: between the two writes, certificate and key do not belong together.
          await setSource("given", "kube-apiserver", { "tls.crt": both["tls.crt"] });
          await setSource("given", "kube-apiserver", { "tls.key": both["tls.key"] });
        } else await setSource("given", "kube-apiserver", both);
        await setSource("given", "front-proxy-client", {
          "tls.crt": client.certificatePem,
          "tls.key": client.privateKeyPem,
        });
        last = { server, client };
      }
      await eventually(async () => {
        const server = await contentOf("given", "server");
        const client = await contentOf("given", "proxyClient");
        expect([server.cert, client.cert]).toEqual([
          last?.server.certificatePem,
          last?.client.certificatePem,
        ]);
      });
      await eventually(async () => {
        expect(await derived("given")).toHaveLength(2);
      });
      stopWatching();
      expect(seen.length).toBeGreaterThan(2);
      expect(seen.filter(({ belongsTogether }) => !belongsTogether)).toEqual([]);
      expect(new Set(seen.map((one) => one.keys.join()))).toEqual(new Set(["cacert,cert,key"]));
      const versions = new Set(seen.map(({ certificate }) => certificate)).size;
      process.stderr.write(`${rotations} renewals of two certificates: ${versions} copies seen\n`);
    });
  });

  describe("keep the last good copy", () => {
    it.each<[string, string, Record<string, string>, string]>([
      ["is no certificate", "kube-apiserver", { "tls.crt": "none" }, "InvalidCertificate"],
      ["is no key", "kube-apiserver", { "tls.key": "none" }, "InvalidPrivateKey"],
      ["is no CA bundle", "ca", { "ca.crt": "none" }, "InvalidCertificate"],
    ])("when a source %s", async (...[, name, values, reason]) => {
      const ref = refTo("Secret", "tokens", name);
      const { data = {} } = await stage.api.get(ref);
      const before = await contentOf("tokens", "server");
      await setSource("tokens", name, values);
      const hapi = await untilCondition(
        stage.api,
        { namespace: "tokens" },
        {
          type: "ResolvedRefs",
          status: "False",
          reason,
        },
      );
      expect(conditionsOf(hapi).ResolvedRefs?.message).toContain(`Secret tokens/${name}`);
      await synced("tokens", "ServingLastGood");
      expect(await contentOf("tokens", "server")).toEqual(before);
      await stage.api.patch(ref, { data });
      await synced("tokens", "TokensOnly");
    });

    it("when a source is deleted, and an event says so", async () => {
      const ref = refTo("Secret", "tokens", "kube-apiserver");
      const source = await stage.api.get(ref);
      await stage.api.remove(ref);
      await untilCondition(
        stage.api,
        { namespace: "tokens" },
        {
          type: "ResolvedRefs",
          status: "False",
          reason: "SecretNotFound",
          message: "Secret tokens/kube-apiserver does not exist; create it.",
        },
      );
      await synced("tokens", "ServingLastGood");
      await eventually(async () => {
        const events = await stage.api.list("Event", "tokens");
        expect(events.map(({ reason, message }) => ({ reason, message }))).toContainEqual({
          reason: "SourceInvalid",
          message: "Secret tokens/kube-apiserver does not exist; create it.",
        });
      });
      const { apiVersion, kind, data } = source;
      const metadata = { name: "kube-apiserver", namespace: "tokens" };
      await stage.api.create({ apiVersion, kind, metadata, data });
      await synced("tokens", "TokensOnly");
    });
  });

  it("never touch a Secret of somebody else's that is in the way", async () => {
    const hapi = await synced("tokens", "TokensOnly");
    const { server = "" } = credentialsOf(hapi);
    const ref = refTo("HostedAPIServer", "tokens", "main");
    await stage.api.remove(ref);
    await eventually(async () => {
      expect(await derived("tokens")).toEqual([]);
      expect(await stage.api.find(ref)).toBeUndefined();
    });
    const foreign = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: server, namespace: gateway },
      data: encode({ theirs: "own" }),
    };
    const { body } = await stage.api.create(foreign);
    const { spec } = hapi;
    await stage.api.create(hostedAPIServer("tokens", "main", spec));
    await untilCondition(
      stage.api,
      { namespace: "tokens" },
      {
        type: "CredentialsSynced",
        status: "False",
        reason: "ForeignObject",
        message: `Secret ${gateway}/${server} exists and is not fairlead's, so it is not touched; delete it, and fairlead makes its own.`,
      },
    );
    expect(await stage.api.get(refTo("Secret", gateway, server))).toEqual(body);
    await stage.api.remove(refTo("Secret", gateway, server));
    await synced("tokens", "TokensOnly");
    expect((await contentOf("tokens", "server")).cert).toBeDefined();
  });

  it("are withdrawn after a while when the gateway's owner no longer consents, and come back", async () => {
    const ref = refTo("InternalGateway", gateway, "default");
    await stage.api.patch(ref, {
      spec: { allowedNamespaces: { from: "Selector", selector: { matchLabels: { ok: "yes" } } } },
    });
    await untilCondition(
      stage.api,
      { namespace: "tokens" },
      {
        type: "Accepted",
        status: "False",
        reason: "NotAllowedByGateway",
      },
    );
    await eventually(async () => {
      expect(await stage.api.list("Secret", gateway)).toEqual([]);
    });
    const hapi = await eventually(async () => {
      const seen = await stage.api.get(refTo("HostedAPIServer", "tokens", "main"));
      expect(seen.status).not.toHaveProperty("credentials");
      return seen;
    });
    expect(hapi.status).not.toHaveProperty("gatewayRef");
    await stage.api.patch(
      { kind: "Namespace", name: "tokens" },
      { metadata: { labels: { ok: "yes" } } },
    );
    await synced("tokens", "TokensOnly");
    expect(await derived("given")).toEqual([]);
    await stage.api.patch(ref, { spec: { allowedNamespaces: { from: "All", selector: null } } });
    await Promise.all([synced("issued"), synced("given")]);
  });

  it("of a contested host belong to the older one until it goes", async () => {
    await stage.api.create(namespace("younger"));
    await stage.api.createAll(sourceObjects("younger", await makeTenantKeys("younger")));
    const certificates = issuedCertificates;
    const spec = { hosts: [hostOf("tokens")], certificates };
    await stage.api.create(hostedAPIServer("younger", "main", spec));
    await untilCondition(
      stage.api,
      { namespace: "younger" },
      {
        type: "Accepted",
        status: "False",
        reason: "HostConflict",
        message: `${hostOf("tokens")} belongs to HostedAPIServer tokens/main, which was there first; remove it from one of the two.`,
      },
    );
    expect(await derived("younger")).toEqual([]);
    await stage.api.remove(refTo("HostedAPIServer", "tokens", "main"));
    await untilCondition(stage.api, { namespace: "younger" }, { type: "Accepted", status: "True" });
  });

  it("and all else of a tenant are gone when it is deleted: all kinds are as before, events aside", async () => {
    const isGone = async (name: string): Promise<void> =>
      eventually(async () => {
        expect(await stage.api.find({ kind: "Namespace", name })).toBeUndefined();
      });
    // What the tests before took away must be gone, which takes its time.
    await eventually(async () => {
      expect(await stage.api.find(refTo("HostedAPIServer", "tokens", "main"))).toBeUndefined();
      expect(await derived("tokens")).toEqual([]);
      for (const tenant of ["issued", "given"]) {
        expect(await derived(tenant)).toHaveLength(2);
      }
    });
    const before = await settled(async () => inventory(stage.api), { quietMs: 3_000 });
    await createTenant("passing");
    await stage.api.remove(refTo("HostedAPIServer", "passing", "main"));
    await eventually(async () => {
      expect(await stage.api.find(refTo("HostedAPIServer", "passing", "main"))).toBeUndefined();
    });
    expect(await derived("passing")).toEqual([]);
    await stage.api.remove({ kind: "Namespace", name: "passing" });
    await isGone("passing");
    await eventually(async () => {
      expect(await inventory(stage.api)).toEqual(before);
    });
  });
});
