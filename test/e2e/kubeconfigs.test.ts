import { KubeConfig } from "@kubernetes/client-node";
import {
  KubeconfigSecrets,
  type ClientsState,
  type ClientsTarget,
} from "../../capabilities/exposure/clients";
import type { HostedAPIServer, KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import {
  Connection,
  createEventRecorder,
  KubernetesClient,
  openCache,
  systemClock,
  type Cache,
  type Logger,
  type ObjectRef,
  type PatchOptions,
} from "../../lib/cluster";
import { parseCertificates, type Certificate } from "../../lib/domain/certificates";
import { createCA, issue, startCluster, type EmbeddedCluster, type KeyPair } from "../cluster";
import { Api, type AnyObject, type Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { decode, namespace, pod, secret } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(120_000);

const HOST = "api.tenant.example.com";
const L7 = `https://${HOST}`;
const ALIAS = { host: HOST, addresses: ["10.96.3.7"] };
const NAME = "kubeconfig";
const USER = "fairlead-clients";
const TOKEN = "t0ken-that-nobody-may-see";
const MINUTE_MS = 60_000;
/** Tests say what time it is. */
const T0_MS = Date.parse("2030-01-01T00:00:00Z");

const validity = { notBefore: new Date("2026-01-01"), notAfter: new Date("2040-01-01") };

/** Namespaces, one a test: their Services are in the certificate. */
const namespaces = {
  plain: "plain",
  immutable: "immutable",
  race: "race",
  two: "two",
  contested: "contested",
  undone: "undone",
  pods: "pods",
  back: "back",
  missing: "missing",
  refused: "refused",
  shared: "shared",
  trust: "trust",
  unreachable: "unreachable",
} as const;

/** What is served by a certificate of a CA, for the host and the Services. */
async function serve(authority: KeyPair): Promise<readonly Certificate[]> {
  const services = Object.values(namespaces).map((ns) => `kube-apiserver.${ns}.svc`);
  const { certificatePem } = await issue(authority, {
    commonName: "kube-apiserver",
    dnsNames: [HOST, ...services],
    usages: ["server"],
    ...validity,
  });
  const parsed = parseCertificates(certificatePem);
  if (parsed.kind === "malformed") throw new Error(parsed.message);
  return parsed.certificates;
}

/** A kubeconfig with what an edit by parsing and printing would lose. */
function kubeconfigText(server: string, caPem: string, token = TOKEN): string {
  const ca = Buffer.from(caPem).toString("base64");
  return [
    "# Written by the control plane's operator.",
    "kind: Config",
    "apiVersion: v1",
    "current-context:   'tenant'   # the only one",
    "contexts: [{name: tenant, context: {cluster: tenant, user: it}}]",
    "users:",
    "    -   name: it",
    `        user: {token: "${token}"}`,
    "clusters:",
    "- cluster:",
    `    server: ${server} # inside`,
    `    certificate-authority-data: ${ca}`,
    "  name: tenant",
    "",
  ].join("\r\n");
}

function hostedAPIServerIn(
  ns: string,
  fields: Partial<KubernetesObject["metadata"]> = {},
): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: {
      name: "main",
      namespace: ns,
      uid: `${ns}-main`,
      creationTimestamp: "2029-01-01T00:00:00Z",
      ...fields,
    },
    spec: { kubernetesVersion: "1.34.2", hosts: [HOST], clients: { kubeconfigSecrets: [NAME] } },
  };
}

describe("Secrets of kubeconfigs, on a real API server", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let client: KubernetesClient;
  let secrets: Cache<PartialObjectMetadata>;
  let ca: KeyPair;
  let served: readonly Certificate[];
  const logged: string[] = [];

  const note = (fields: object, message: string): void => {
    logged.push(JSON.stringify({ ...fields, message }));
  };
  const log: Logger = { debug: note, info: note, warn: note, error: note };

  async function clientOf(user: string, groups: readonly string[]): Promise<KubernetesClient> {
    const config = new KubeConfig();
    config.loadFromFile(await cluster.kubeconfigFor({ name: user, groups }));
    return new KubernetesClient(new Connection(config));
  }

  function keeperWith(used: KubernetesClient, cache = secrets): KubeconfigSecrets {
    const context = { client: used, clock: systemClock, log };
    const events = createEventRecorder(context);
    return new KubeconfigSecrets({ ...context, secrets: cache, events });
  }

  /** A cache that shows a Secret as it is now until it is let go. */
  function stalled(ns: string): {
    readonly cache: Cache<PartialObjectMetadata>;
    readonly letGo: () => void;
  } {
    let held = secrets.get(NAME, ns);
    const cache: Cache<PartialObjectMetadata> = {
      get: (name, inNamespace) => held ?? secrets.get(name, inNamespace),
      list: (inNamespace) => secrets.list(inNamespace),
      onChange: (listener) => {
        secrets.onChange(listener);
      },
      synced: secrets.synced,
      isSynced: secrets.isSynced,
      stop: () => undefined,
    };
    const letGo = (): void => {
      held = undefined;
    };
    return { cache, letGo };
  }

  const refTo = (ns: string, name = NAME): Ref => ({ kind: "Secret", namespace: ns, name });
  const serviceUrl = (ns: string): string => `https://kube-apiserver.${ns}.svc`;
  const read = async (ns: string): Promise<AnyObject> => api.get(refTo(ns));
  const textIn = async (ns: string): Promise<string | undefined> =>
    decode(await read(ns)).kubeconfig;
  const write = async (ns: string, text: string): Promise<unknown> =>
    api.patch(refTo(ns), { data: { kubeconfig: Buffer.from(text).toString("base64") } });
  const before = (ns: string): string => kubeconfigText(serviceUrl(ns), ca.certificatePem);
  const after = (): string => kubeconfigText(L7, ca.certificatePem);

  /** Waits until the cache has seen what the API server has. */
  async function seen(ns: string): Promise<void> {
    await eventually(async () => {
      const { resourceVersion } = (await read(ns)).metadata;
      expect(secrets.get(NAME, ns)?.metadata.resourceVersion).toBe(resourceVersion);
    });
  }

  /** A control-plane namespace with a Secret that leads to the Service. */
  async function prepare(ns: string, fields: object = {}): Promise<void> {
    await api.create(namespace(ns));
    const values = { kubeconfig: before(ns), token: TOKEN };
    await api.create({ ...secret(ns, NAME, values), ...fields });
    await seen(ns);
  }

  const toL7 = (server: HostedAPIServer, nowMs = T0_MS, servedChain = served): ClientsTarget => ({
    server,
    target: { server: L7, servedChain, nowMs },
    alias: ALIAS,
  });

  const toL4 = (server: HostedAPIServer, nowMs = T0_MS): ClientsTarget => ({
    server,
    target: { server: serviceUrl(server.metadata.namespace ?? ""), servedChain: served, nowMs },
    alias: undefined,
  });

  /** What fairlead asked for in a namespace while something was done, and what came of that. */
  async function requestsOf<T>(
    ns: string,
    act: () => Promise<T>,
  ): Promise<readonly [readonly string[], T]> {
    const since = new Date();
    const result = await act();
    const events = await cluster.auditEvents({ user: USER, namespace: ns, since });
    const asked = events.map(({ verb, objectRef }) => `${verb} ${objectRef?.resource ?? ""}`);
    return [asked.filter((request) => !request.endsWith(" events")), result];
  }

  const reasonsOf = ({ problems }: ClientsState): readonly string[] =>
    problems.map(({ reason }) => reason);

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION });
    api = new Api(cluster);
    client = await clientOf(USER, ["system:masters"]);
    secrets = openCache<PartialObjectMetadata>(
      { client, clock: systemClock, log },
      { apiVersion: "v1", kind: "Secret", metadataOnly: true },
    );
    await secrets.synced;
    ca = await createCA({ commonName: "tenant", ...validity });
    served = await serve(ca);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    secrets.stop();
    api.close();
    await cluster.stop();
  });

  it("change by the server alone, once, and what did not change costs no request", async () => {
    const ns = namespaces.plain;
    await prepare(ns);
    const { cache, letGo } = stalled(ns);
    const keeper = keeperWith(client, cache);
    const target = toL7(hostedAPIServerIn(ns));

    const [first, state] = await requestsOf(ns, () => keeper.bring(target));
    expect(state).toEqual({ settled: true, problems: [], againMs: undefined });
    expect(first).toEqual(["get secrets", "list pods", "patch secrets"]);
    expect(decode(await read(ns))).toEqual({ kubeconfig: after(), token: TOKEN });
    expect((await read(ns)).metadata.managedFields?.map(({ manager }) => manager)).toContain(
      "fairlead-exposure",
    );
    // While the cache is behind, and when it has caught up.
    expect((await requestsOf(ns, () => keeper.bring(target)))[0]).toEqual([]);
    letGo();
    await seen(ns);
    expect((await requestsOf(ns, () => keeper.bring(target)))[0]).toEqual([]);
    // A process that has just been started reads it once.
    const another = keeperWith(client);
    expect((await requestsOf(ns, () => another.bring(target)))[0]).toEqual(["get secrets"]);
    expect(keeper.keysOf(ns, NAME)).toEqual([`${ns}/main`]);
    expect(keeper.keysOf(ns, "another")).toEqual([]);
    // Taken off the list, it is nobody's.
    const { spec, ...rest } = hostedAPIServerIn(ns);
    const without = { ...rest, spec: { ...spec, clients: { kubeconfigSecrets: [] } } };
    expect((await requestsOf(ns, () => keeper.bring(toL4(without))))[0]).toEqual([]);
    expect(keeper.keysOf(ns, NAME)).toEqual([]);
    await keeper.bring(target);
    keeper.forget(`${ns}/main`);
    expect(keeper.keysOf(ns, NAME)).toEqual([]);
  });

  it("go back to the Service byte by byte, whatever Pods there are", async () => {
    const ns = namespaces.back;
    await prepare(ns);
    const server = hostedAPIServerIn(ns);
    const keeper = keeperWith(client);
    await keeper.bring(toL7(server));
    expect(await textIn(ns)).toBe(after());
    const volumes = [{ name: "kubeconfig", secret: { secretName: NAME } }];
    await api.create(pod(ns, "without-alias", { volumes }));
    await seen(ns);

    const [requests, state] = await requestsOf(ns, () => keeper.bring(toL4(server)));
    expect(state.settled).toBe(true);
    expect(requests).toEqual(["get secrets", "patch secrets"]);
    expect(await textIn(ns)).toBe(before(ns));
  });

  it("stay when they are immutable", async () => {
    const ns = namespaces.immutable;
    await prepare(ns, { immutable: true });
    const [requests, state] = await requestsOf(ns, () =>
      keeperWith(client).bring(toL7(hostedAPIServerIn(ns))),
    );
    expect(reasonsOf(state)).toEqual(["Immutable"]);
    expect(state.settled).toBe(true);
    expect(requests).toEqual(["get secrets"]);
    expect(await textIn(ns)).toBe(before(ns));
  });

  it("take nothing back of what somebody else writes at the same time", async () => {
    const ns = namespaces.race;
    await prepare(ns);
    const newToken = kubeconfigText(serviceUrl(ns), ca.certificatePem, "new");
    /** Others come between the first read and the write. */
    class Overtaken extends KubernetesClient {
      #isOver = false;
      override async get<T extends KubernetesObject>(ref: ObjectRef): Promise<T | undefined> {
        const object = await super.get<T>(ref);
        if (!this.#isOver) await write(ns, newToken);
        this.#isOver = true;
        return object;
      }
    }
    const overtaken = new Overtaken(client.connection);
    const [requests, state] = await requestsOf(ns, () =>
      keeperWith(overtaken).bring(toL7(hostedAPIServerIn(ns))),
    );
    expect(state).toEqual({ settled: true, problems: [], againMs: undefined });
    expect(requests.filter((request) => request === "patch secrets")).toHaveLength(2);
    expect(await textIn(ns)).toBe(kubeconfigText(L7, ca.certificatePem, "new"));
  });

  it("change once where two processes are at work", async () => {
    const ns = namespaces.two;
    await prepare(ns);
    const [one, other] = [keeperWith(client), keeperWith(client)];
    const server = hostedAPIServerIn(ns);
    const versions = new Set<string | undefined>();
    for (const target of [toL7(server), toL4(server), toL7(server)]) {
      const states = await Promise.all([one.bring(target), other.bring(target)]);
      expect(states.map(({ problems }) => problems)).toEqual([[], []]);
      await seen(ns);
      const { resourceVersion } = (await read(ns)).metadata;
      expect(await Promise.all([one.bring(target), other.bring(target)])).toEqual(states);
      expect((await read(ns)).metadata.resourceVersion).toBe(resourceVersion);
      versions.add(resourceVersion);
    }
    expect(versions.size).toBe(3);
    expect(await textIn(ns)).toBe(after());
  });

  it("are left alone once somebody has set them back three times, until that is over", async () => {
    const ns = namespaces.contested;
    await prepare(ns);
    const server = hostedAPIServerIn(ns);
    const keeper = keeperWith(client);
    const at = (minute: number) => toL7(server, T0_MS + minute * MINUTE_MS);
    expect((await keeper.bring(at(0))).problems).toEqual([]);
    for (const minute of [1, 2]) {
      await write(ns, before(ns));
      await seen(ns);
      expect((await keeper.bring(at(minute))).problems).toEqual([]);
      expect(await textIn(ns)).toBe(after());
    }
    await write(ns, before(ns));
    await seen(ns);
    const contested = await keeper.bring(at(3));
    expect(reasonsOf(contested)).toEqual(["Contested"]);
    expect(contested.settled).toBe(true);
    expect((await read(ns)).metadata.annotations).toEqual({ "fairlead.dev/contested": "true" });
    await eventually(async () => {
      const events = await api.list("Event", ns);
      expect(events).toEqual([
        expect.objectContaining({
          type: "Warning",
          reason: "Contested",
          involvedObject: expect.objectContaining({
            kind: "HostedAPIServer",
            name: "main",
          }) as unknown,
        }),
      ]);
    });
    // Another process keeps to it, and it counts for a withdrawal too.
    expect(reasonsOf(await keeperWith(client).bring(at(30)))).toEqual(["Contested"]);
    expect(await textIn(ns)).toBe(before(ns));
    // Removed soon: whoever replaces the whole Secret does that too. Removed later: somebody means it.
    await api.patch(refTo(ns), { metadata: { annotations: { "fairlead.dev/contested": null } } });
    await seen(ns);
    const early = await keeper.bring(at(4));
    expect([reasonsOf(early), early.againMs]).toEqual([["Contested"], 9 * MINUTE_MS]);
    expect((await keeper.bring(at(13))).problems).toEqual([]);
    expect(await textIn(ns)).toBe(after());
  });

  it("are given up at once where every write is undone", async () => {
    const ns = namespaces.undone;
    await prepare(ns);
    /** As a mutating webhook would; an annotation it lets through. */
    class Undone extends KubernetesClient {
      override async patch<T extends KubernetesObject>(
        ref: ObjectRef,
        patch: { readonly data?: unknown },
        options: PatchOptions,
      ): Promise<T> {
        const answer = await super.patch<T>(ref, patch, options);
        if (patch.data === undefined) return answer;
        await write(ns, before(ns));
        return (await client.get<T>(ref)) ?? answer;
      }
    }
    const keeper = keeperWith(new Undone(client.connection));
    const state = await keeper.bring(toL7(hostedAPIServerIn(ns)));
    expect(reasonsOf(state)).toEqual(["Contested"]);
    expect(await textIn(ns)).toBe(before(ns));
    await seen(ns);
    expect((await requestsOf(ns, () => keeper.bring(toL7(hostedAPIServerIn(ns)))))[0]).toEqual([]);
  });

  it("wait for Pods that could not follow, and look at them less and less", async () => {
    const ns = namespaces.pods;
    await prepare(ns);
    const volumes = [{ name: "kubeconfig", secret: { secretName: NAME } }];
    const hostAliases = [{ ip: "10.96.3.7", hostnames: [HOST] }];
    const environment = {
      name: "main",
      image: "registry.example.com/main:1",
      env: [{ name: "CONFIG", valueFrom: { secretKeyRef: { name: NAME, key: "kubeconfig" } } }],
    };
    await api.createAll([
      pod(ns, "routed", { volumes, hostAliases }),
      pod(ns, "unrelated"),
      pod(ns, "ended", { volumes }),
      pod(ns, "running", { volumes }),
      pod(ns, "by-environment", { containers: [environment] }),
    ]);
    const phase = async (name: string, value: string): Promise<unknown> =>
      api.patch({ kind: "Pod", namespace: ns, name }, { status: { phase: value } }, "/status");
    await phase("ended", "Succeeded");
    await phase("running", "Running");
    await phase("by-environment", "Running");

    const server = hostedAPIServerIn(ns);
    const keeper = keeperWith(client);
    let nowMs = T0_MS;
    const first = await keeper.bring(toL7(server, nowMs));
    expect(reasonsOf(first)).toEqual(["StalePods"]);
    expect(first.settled).toBe(false);
    expect(first.problems[0]?.message).toContain(
      "Pods by-environment (not routed), running (not routed) use it",
    );
    const waits = [first.againMs];
    for (let look = 0; look < 5; look += 1) {
      // Whatever else wakes it up does not hurry it.
      const early = await requestsOf(ns, () => keeper.bring(toL7(server, nowMs + 1_000)));
      expect(early[0]).toEqual([]);
      expect(early[1].againMs).toBe((waits.at(-1) ?? 0) - 1_000);
      nowMs += waits.at(-1) ?? 0;
      const [requests, state] = await requestsOf(ns, () => keeper.bring(toL7(server, nowMs)));
      expect(requests).toEqual(["list pods"]);
      waits.push(state.againMs);
    }
    expect(waits).toEqual([5_000, 10_000, 20_000, 40_000, 60_000, 60_000]);
    // Another address of the gateway is looked for at once.
    const moved = {
      ...toL7(server, nowMs + 1_000),
      alias: { host: HOST, addresses: ["10.96.3.8"] },
    };
    expect((await keeper.bring(moved)).problems[0]?.message).toContain(
      "routed (aliased to another",
    );

    await phase("running", "Failed");
    await api.remove({ kind: "Pod", namespace: ns, name: "by-environment" });
    expect(await textIn(ns)).toBe(before(ns));
    const [requests, state] = await requestsOf(ns, () =>
      keeper.bring(toL7(server, nowMs + 70_000)),
    );
    expect(requests).toEqual(["list pods", "get secrets", "patch secrets"]);
    expect(state).toEqual({ settled: true, problems: [], againMs: undefined });
    expect(await textIn(ns)).toBe(after());
  });

  it("may come later", async () => {
    const ns = namespaces.missing;
    await api.create(namespace(ns));
    const keeper = keeperWith(client);
    const target = toL7(hostedAPIServerIn(ns));
    const [requests, state] = await requestsOf(ns, () => keeper.bring(target));
    expect([reasonsOf(state), state.settled, requests]).toEqual([["Missing"], true, []]);

    await api.create(secret(ns, NAME, { kubeconfig: before(ns) }));
    await eventually(() => {
      expect(secrets.get(NAME, ns)).toBeDefined();
    });
    expect((await keeper.bring(target)).problems).toEqual([]);
    expect(await textIn(ns)).toBe(after());
    await api.remove(refTo(ns));
    await eventually(() => {
      expect(secrets.get(NAME, ns)).toBeUndefined();
    });
    expect(reasonsOf(await keeper.bring(target))).toEqual(["Missing"]);
  });

  it("that may not be read or written hold nothing up for ever", async () => {
    const ns = namespaces.refused;
    await prepare(ns);
    const limited = await clientOf("limited", []);
    const keeper = keeperWith(limited);
    const server = hostedAPIServerIn(ns);
    const at = (seconds: number) => toL7(server, T0_MS + seconds * 1_000);
    const allow = async (verbs: readonly string[]): Promise<void> => {
      const role = {
        apiVersion: "rbac.authorization.k8s.io/v1",
        kind: "Role",
        metadata: { name: "limited", namespace: ns },
        rules: [{ apiGroups: [""], resources: ["secrets", "pods"], verbs }],
      };
      const { exitCode, stderr } = await cluster.kubectl(["apply", "-f", "-"], {
        input: JSON.stringify(role),
      });
      expect([exitCode, stderr]).toEqual([0, ""]);
    };
    await cluster.kubectl([
      "create",
      "rolebinding",
      "limited",
      "--role=limited",
      "--user=limited",
      "-n",
      ns,
    ]);

    const first = await keeper.bring(at(0));
    expect([reasonsOf(first), first.settled, first.againMs]).toEqual([
      ["ReadRefused"],
      false,
      60_000,
    ]);
    const late = await keeper.bring(at(300));
    expect([reasonsOf(late), late.settled]).toEqual([["ReadRefused"], true]);
    await allow(["get", "list"]);
    // RBAC's own watch takes a moment.
    let seconds = 300;
    await eventually(async () => {
      seconds += 60;
      const state = await keeper.bring(at(seconds));
      expect([reasonsOf(state), state.settled]).toEqual([["WriteRefused"], false]);
    });
    await allow(["get", "list", "patch"]);
    await eventually(async () => {
      seconds += 60;
      expect((await keeper.bring(at(seconds))).problems).toEqual([]);
    });
    expect(await textIn(ns)).toBe(after());
  });

  it("that two HostedAPIServers name are the older one's", async () => {
    const ns = namespaces.shared;
    await prepare(ns);
    const keeper = keeperWith(client);
    const older = hostedAPIServerIn(ns);
    const younger = hostedAPIServerIn(ns, {
      name: "a-younger",
      uid: "younger",
      creationTimestamp: "2029-06-01T00:00:00Z",
    });
    await keeper.bring(toL7(older));
    await seen(ns);
    const [requests, state] = await requestsOf(ns, () => keeper.bring(toL4(younger)));
    expect([reasonsOf(state), state.settled, requests]).toEqual([["ClaimedByOther"], true, []]);
    expect(keeper.keysOf(ns, NAME)).toEqual([`${ns}/main`, `${ns}/a-younger`]);

    keeper.forget(`${ns}/main`);
    expect((await keeper.bring(toL4(younger))).problems).toEqual([]);
    expect(await textIn(ns)).toBe(before(ns));
  });

  it("follow what is served, and are not led to what their users would not trust", async () => {
    const ns = namespaces.trust;
    await prepare(ns);
    const keeper = keeperWith(client);
    const server = hostedAPIServerIn(ns);
    const unseen = await keeper.bring(toL7(server, T0_MS, []));
    expect([reasonsOf(unseen), unseen.settled, unseen.againMs]).toEqual([
      ["NotServedYet"],
      false,
      300_000,
    ]);
    expect((await requestsOf(ns, () => keeper.bring(toL7(server, T0_MS + 1_000, []))))[0]).toEqual(
      [],
    );
    expect((await keeper.bring(toL7(server, T0_MS + 300_000, []))).settled).toBe(true);
    const another = await serve(await createCA({ commonName: "another", ...validity }));
    const untrusted = await keeper.bring(toL7(server, T0_MS + 400_000, another));
    expect([reasonsOf(untrusted), untrusted.settled]).toEqual([["NotTrusted"], true]);
    expect(await textIn(ns)).toBe(before(ns));
    expect((await keeper.bring(toL7(server, T0_MS + 500_000))).problems).toEqual([]);
    expect(await textIn(ns)).toBe(after());
    await write(ns, before(ns));
    await seen(ns);
    const late = await keeper.bring(toL7(server, Date.parse("2041-01-01T00:00:00Z")));
    expect([reasonsOf(late), late.settled]).toEqual([["NotTrusted"], true]);
    expect(await textIn(ns)).toBe(before(ns));
  });

  it("are tried again where the API server can't be reached", async () => {
    const ns = namespaces.unreachable;
    await prepare(ns);
    const config = new KubeConfig();
    config.loadFromClusterAndUser(
      { name: "gone", server: "https://127.0.0.1:1", skipTLSVerify: false },
      { name: "nobody" },
    );
    const gone = new KubernetesClient(new Connection(config));
    await expect(keeperWith(gone).bring(toL7(hostedAPIServerIn(ns)))).rejects.toThrow(
      "can't reach the API server",
    );
    expect(await textIn(ns)).toBe(before(ns));
  });

  it("never show in a log or an Event what they hold", async () => {
    const told = JSON.stringify([logged, await api.list("Event")]);
    expect(logged.length).toBeGreaterThan(5);
    expect(told).not.toContain(TOKEN);
    expect(told).not.toContain(Buffer.from(TOKEN).toString("base64"));
    expect(told).not.toContain("BEGIN CERTIFICATE");
    expect(told).not.toContain(Buffer.from(ca.certificatePem).toString("base64").slice(0, 40));
  });
});
