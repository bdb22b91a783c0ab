import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";
import { ApiError, silentLogger, type EventText } from "../../lib/cluster";
import {
  parseCertificates,
  parsePrivateKey,
  keyMatchesCertificate,
} from "../../lib/domain/certificates";
import { createCA, issue, type KeyPair } from "../../test/cluster/certificates";
import { FakeClock, FakeCluster } from "../../test/credentials/fake-cluster";
import { credentialsController, type CredentialsController } from ".";
import { encode } from "./secrets";
import { readText, type Secret } from "./sources";

const START_MS = Date.parse("2026-01-01T00:00:00Z");
const HOST = "api.tenant-a.example.com";

let ca: KeyPair;
let server: KeyPair;

beforeAll(async () => {
  const validity = { notBefore: new Date("2025-01-01"), notAfter: new Date("2035-01-01") };
  ca = await createCA({ commonName: "ca", ...validity });
  server = await leaf();
});

function leaf(): Promise<KeyPair> {
  return issue(ca, {
    commonName: "server",
    dnsNames: [HOST],
    usages: ["server"],
    notBefore: new Date("2025-01-01"),
    notAfter: new Date("2027-01-01"),
  });
}

function secret(name: string, values: Record<string, string>, namespace = "tenant-a"): Secret {
  return { apiVersion: "v1", kind: "Secret", metadata: { namespace, name }, data: encode(values) };
}

const pair = (name: string, { certificatePem, privateKeyPem }: KeyPair): Secret =>
  secret(name, { "tls.crt": certificatePem, "tls.key": privateKeyPem });

const namespace = (name: string): KubernetesObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name, uid: `uid-${name}` },
});

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { namespace: "istio-ingress", name: "default" },
  spec: { selector: { istio: "ingressgateway" }, allowedNamespaces: { from: "All" } },
};

function hapi(name = "main", hosts = [HOST]): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: {
      namespace: "tenant-a",
      name,
      generation: 1,
      creationTimestamp: "2025-06-01T00:00:00Z",
    },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts,
      certificates: {
        server: { secretName: "kube-apiserver" },
        serverCA: { secretName: "ca" },
        clientCA: { secretName: "ca" },
        proxyClient: {
          issuer: {
            secretName: "front-proxy",
            certificateKey: "tls.crt",
            privateKeyKey: "tls.key",
          },
        },
      },
    },
  };
}

interface Bench {
  readonly cluster: FakeCluster;
  readonly clock: FakeClock;
  readonly events: EventText[];
  readonly controller: CredentialsController;
}

function fill(cluster: FakeCluster): void {
  for (const name of ["tenant-a", "istio-ingress"]) cluster.put(namespace(name));
  cluster.put(gateway);
  cluster.put(pair("kube-apiserver", server));
  cluster.put(secret("ca", { "ca.crt": ca.certificatePem }));
  cluster.put(pair("front-proxy", ca));
}

function control(cluster: FakeCluster, clock: FakeClock): Bench {
  const events: EventText[] = [];
  const controller = credentialsController({
    client: cluster.client(),
    caches: {
      hostedAPIServers: cluster.cache("HostedAPIServer"),
      internalGateways: cluster.cache("InternalGateway"),
      namespaces: cluster.cache("Namespace"),
      secrets: cluster.cache("Secret"),
      configMaps: cluster.cache("ConfigMap"),
    },
    clock,
    log: silentLogger,
    events: { event: (_about, text) => void events.push(text) },
  });
  const bench = { cluster, clock, events, controller };
  begun.push(bench);
  return bench;
}

async function begin(): Promise<Bench> {
  const cluster = new FakeCluster();
  fill(cluster);
  const bench = control(cluster, new FakeClock(START_MS));
  await bench.controller.start();
  return bench;
}

let begun: Bench[] = [];

afterEach(async () => {
  await new Promise((resolve) => setTimeout(resolve, 20));
  for (const { cluster } of begun) cluster.requests.length = 0;
  await new Promise((resolve) => setTimeout(resolve, 20));
  const busy = begun.flatMap(({ cluster }) => cluster.requests);
  for (const { controller } of begun) controller.stop();
  begun = [];
  if (busy.length > 0) throw new Error(`what came to rest still asks: ${busy[0] ?? ""}`);
});

async function rest({ controller }: Bench): Promise<void> {
  for (let turn = 0; turn < 3; turn += 1) {
    await new Promise((resolve) => setImmediate(resolve));
    await controller.queue.idle();
  }
}

const copies = ({ cluster }: Bench): Secret[] =>
  cluster
    .list("Secret")
    .filter(({ metadata }) => metadata.namespace === "istio-ingress") as Secret[];

function find({ cluster }: Bench, namespaceName: string): HostedAPIServer {
  const found = cluster
    .list("HostedAPIServer")
    .find(({ metadata }) => metadata.namespace === namespaceName);
  if (found === undefined) throw new Error(`no HostedAPIServer in ${namespaceName}`);
  return found as HostedAPIServer;
}

const current = (bench: Bench): HostedAPIServer => find(bench, "tenant-a");

const writes = ({ cluster }: Bench): string[] =>
  cluster.requests.filter((request) => !request.startsWith("get "));

describe("credentials", () => {
  it("copies the sources and says so in status", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    expect(copies(bench)).toHaveLength(2);
    expect(current(bench).metadata.finalizers).toEqual(["fairlead.dev/credentials"]);
    expect(current(bench).status?.conditions?.map(({ status }) => status)).toEqual([
      "True",
      "True",
      "True",
    ]);
    expect(bench.events.map(({ reason }) => reason)).toEqual(["CredentialsSynced"]);
  });

  it("sets the finalizer before it makes the first Secret", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    expect(writes(bench).map((request) => request.split("/")[0])).toEqual([
      "patch HostedAPIServer",
      "create Secret",
      "create Secret",
      "apply HostedAPIServer",
    ]);
  });

  const verbs = ({ cluster }: Bench): string[] =>
    cluster.requests.map((request) => request.split("/")[0] ?? "");

  it("reads each source once for the first copies, and nothing when it hears of its own writes", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    expect(verbs(bench)).toEqual([
      ...Array<string>(3).fill("get Secret"),
      "patch HostedAPIServer",
      "create Secret",
      "create Secret",
      "apply HostedAPIServer",
    ]);
  });

  it("reads sources and copies once for a renewed certificate", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.cluster.requests.length = 0;
    bench.cluster.put(pair("kube-apiserver", await leaf()));
    await rest(bench);
    expect(verbs(bench)).toEqual([
      ...Array<string>(5).fill("get Secret"),
      "replace Secret",
      "apply HostedAPIServer",
    ]);
  });

  it("asks the API server for nothing when others write what is no part of its plan", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.cluster.requests.length = 0;
    const { metadata, status, ...object } = current(bench);
    const condition = {
      type: "Ready",
      status: "True",
      reason: "Ready",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    } as const;
    const finalizers = [...(metadata.finalizers ?? []), "fairlead.dev/exposure"];
    bench.cluster.put({
      ...object,
      metadata: { ...metadata, finalizers },
      status: { ...status, conditions: [...(status?.conditions ?? []), condition] },
    } as HostedAPIServer);
    await rest(bench);
    expect(bench.cluster.requests).toEqual([]);
  });

  it("mends a copy that somebody changes, and follows a source that changes, while it comes to rest", async () => {
    const bench = await begin();
    const next = await leaf();
    let isFirst = true;
    bench.cluster.beforeWrite = (verb) => {
      if (verb !== "apply" || !isFirst) return;
      isFirst = false;
      const [copy] = copies(bench);
      if (copy !== undefined) bench.cluster.put({ ...copy, data: {} } as Secret);
      bench.cluster.put(pair("kube-apiserver", next));
    };
    bench.cluster.put(hapi());
    await rest(bench);
    const served = copies(bench).find(({ metadata }) => metadata.name.includes("-tls-"));
    expect(served?.data?.cert).toBe(encode({ cert: next.certificatePem }).cert);
    expect(copies(bench).map(({ data }) => Object.keys(data ?? {}).length)).toEqual([3, 3]);
  });

  it("asks the API server for nothing when an unrelated Secret changes", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.cluster.requests.length = 0;
    bench.cluster.put(secret("unrelated", { a: "1" }, "tenant-a"));
    bench.cluster.put(secret("unrelated", { a: "2" }, "istio-ingress"));
    await rest(bench);
    expect(bench.cluster.requests).toEqual([]);
  });

  it("asks the API server for nothing in a full pass over what is at rest", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.cluster.requests.length = 0;
    bench.clock.advance(600_000);
    await rest(bench);
    expect(bench.cluster.requests).toEqual([]);
  });

  it("writes nothing when it is started again, and at rest reads nothing from then on", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.controller.stop();
    bench.cluster.requests.length = 0;
    const again = control(bench.cluster, new FakeClock(START_MS + 60_000));
    await again.controller.start();
    await rest(again);
    expect(writes(again)).toEqual([]);
    again.cluster.requests.length = 0;
    again.clock.advance(600_000);
    await rest(again);
    expect(again.cluster.requests).toEqual([]);
  });

  it("ends with the last of 100 rotations, and every state that is seen belongs together", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    const seen: boolean[] = [];
    bench.cluster.cache<Secret>("Secret").onChange(({ kind, object }) => {
      const certificate = parseCertificates(readText(object, "cert") ?? "");
      const key = parsePrivateKey(readText(object, "key") ?? "");
      if (kind === "deleted" || certificate.kind !== "parsed" || key.kind !== "parsed") return;
      seen.push(keyMatchesCertificate(key.key, certificate.certificates[0]));
    });
    let last = server;
    for (let turn = 0; turn < 100; turn += 1) {
      last = await leaf();
      bench.cluster.put(pair("kube-apiserver", last));
    }
    await rest(bench);
    const served = copies(bench).find(({ metadata }) => metadata.name.includes("-tls-"));
    expect(served?.data?.cert).toBe(encode({ cert: last.certificatePem }).cert);
    expect(seen.every(Boolean)).toBe(true);
    expect(copies(bench)).toHaveLength(2);
  });

  it("renews the proxy client certificate when it is due and takes the old one away after the drain", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    const before = current(bench).status?.credentials?.proxyClient;
    bench.clock.advance(15 * 24 * 3_600_000);
    await rest(bench);
    expect(current(bench).status?.credentials?.proxyClient).not.toBe(before);
    expect(copies(bench)).toHaveLength(3);
    bench.clock.advance(120_000);
    await rest(bench);
    expect(copies(bench)).toHaveLength(2);
  });

  it("uses what another watcher made in the meantime", async () => {
    const bench = await begin();
    const other = control(bench.cluster, bench.clock);
    await other.controller.start();
    bench.cluster.put(hapi());
    for (let turn = 0; turn < 20; turn += 1) {
      await rest(bench);
      await rest(other);
      bench.clock.advance(1_000);
    }
    expect(copies(bench)).toHaveLength(2);
    expect(current(bench).metadata.finalizers).toEqual(["fairlead.dev/credentials"]);
    expect(current(bench).status?.credentials?.proxyClient).toBe(
      copies(bench).find(({ metadata }) => metadata.name.includes("mtls"))?.metadata.name,
    );
  });

  it("leaves nothing behind when the HostedAPIServer is deleted", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    const object = current(bench);
    const deletionTimestamp = "2026-01-01T00:00:00Z";
    bench.cluster.put({ ...object, metadata: { ...object.metadata, deletionTimestamp } });
    await rest(bench);
    expect(copies(bench)).toEqual([]);
    expect(bench.cluster.list("HostedAPIServer")).toEqual([]);
  });

  it("finds at its start what was left while nobody watched", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    bench.controller.stop();
    bench.cluster.put(secret("tenant-a-main-tls-0000000000", { cert: "x" }, "istio-ingress"));
    bench.cluster.remove(current(bench));
    const again = control(bench.cluster, bench.clock);
    await again.controller.start();
    await rest(again);
    expect(copies(again).map(({ metadata }) => metadata.name)).toEqual([
      "tenant-a-main-tls-0000000000",
    ]);
  });

  it("tells the younger one when the older one lets go of a host", async () => {
    const bench = await begin();
    bench.cluster.put(namespace("tenant-b"));
    const elder = hapi();
    bench.cluster.put({
      ...elder,
      metadata: {
        ...elder.metadata,
        namespace: "tenant-b",
        creationTimestamp: "2025-01-01T00:00:00Z",
      },
    });
    bench.cluster.put(hapi());
    await rest(bench);
    const accepted = (): string | undefined => current(bench).status?.conditions?.[0]?.reason;
    expect(accepted()).toBe("HostConflict");
    const rival = find(bench, "tenant-b");
    const elsewhere: HostedAPIServer = {
      ...rival,
      spec: { ...rival.spec, hosts: ["other.example.com"] },
    };
    bench.cluster.put(elsewhere);
    await rest(bench);
    expect(accepted()).toBe("Accepted");
  });

  it("sees that a foreign Secret in the way is gone", async () => {
    const bench = await begin();
    bench.cluster.put(hapi());
    await rest(bench);
    const [first] = copies(bench);
    const { name } = first?.metadata ?? { name: "" };
    if (first !== undefined) bench.cluster.remove(first);
    const foreign = secret(name, { cert: "x" }, "istio-ingress");
    bench.cluster.put(foreign);
    await rest(bench);
    expect(current(bench).status?.conditions?.[2]?.reason).toBe("ForeignObject");
    bench.cluster.remove(foreign);
    await rest(bench);
    expect(current(bench).status?.conditions?.[2]?.reason).toBe("Synced");
  });

  it("says in a condition what the API server refuses, and gets over it", async () => {
    const bench = await begin();
    bench.cluster.beforeWrite = (verb, id) => {
      const options = { status: 403, reason: "Forbidden" };
      if (verb === "create" && id.startsWith("Secret"))
        throw new ApiError("exceeded quota", options);
    };
    bench.cluster.put(hapi());
    await rest(bench);
    const synced = current(bench).status?.conditions?.find(
      ({ type }) => type === "CredentialsSynced",
    );
    expect(synced?.reason).toBe("WriteRefused");
    bench.cluster.beforeWrite = () => undefined;
    bench.clock.advance(60_000);
    await rest(bench);
    expect(copies(bench)).toHaveLength(2);
  });
});
