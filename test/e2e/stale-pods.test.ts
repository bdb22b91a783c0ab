import { setTimeout as sleep } from "node:timers/promises";
import { connectTo, KubernetesClient } from "../../lib/cluster";
import { startCluster, type EmbeddedCluster } from "../cluster";
import type { AuditEvent } from "../cluster/audit";
import { Api, type AnyObject, type Kind } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { installHardened, userOf } from "../harness/hardened";
import { hostedAPIServer, namespace, routeConfigMap, routedPod, service } from "../harness/objects";
import { playReadyPods, type ReadyPods } from "../harness/ready-pods";
import { conditionsOf, keepLogs, speak, START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { LARGE_CASES_VERSION } from "./versions";

// Owners of every kind, made before their namespace is routed, on a real API server with kube-controller-manager: it
// rolls them out, and says what budgets allow. fairlead has the rights of its manifest, and is bound by its policy.

jest.setTimeout(240_000);

const TENANT = "tenant-a";
const GATEWAYS = "istio-ingress";
const HOST = "api.tenant-a.example.com";
const ADDRESS = "10.0.0.7";
const tenant = { namespace: TENANT };

const owners = { Deployment: "web", StatefulSet: "etcd", DaemonSet: "agent" } as const;
type OwnerKind = keyof typeof owners;

function owner(kind: OwnerKind, fields: Readonly<Record<string, unknown>>): AnyObject {
  const name = owners[kind];
  const labels = { app: name };
  const volumes = [{ name: "kubeconfig", secret: { secretName: "generic-token-kubeconfig" } }];
  const containers = [{ name: "main", image: "registry.example.com/main:1" }];
  return {
    apiVersion: "apps/v1",
    kind,
    metadata: { namespace: TENANT, name },
    spec: {
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { volumes, containers } },
      ...fields,
    },
  };
}

describe("stale Pods", () => {
  let cluster: EmbeddedCluster;
  let hardened: EmbeddedCluster;
  let api: Api;
  let pods: ReadyPods;
  let fairlead: Fairlead;
  /** While it is false, new Pods of the DaemonSet do not become ready. */
  let agentsBecomeReady = true;

  const patchSpec = async (clients: object): Promise<void> => {
    await api.patch(
      { kind: "HostedAPIServer", namespace: TENANT, name: "main" },
      { spec: { clients } },
    );
  };

  const counted = async (): Promise<unknown> =>
    (await api.get({ kind: "HostedAPIServer", namespace: TENANT, name: "main" })).status?.pods;

  const aliasesOf = async (app: string): Promise<readonly unknown[]> => {
    const found = await api.list("Pod", TENANT, `app=${app}`);
    return found
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ spec }) => spec?.hostAliases);
  };

  const wasRestarted = async (kind: OwnerKind): Promise<boolean> => {
    const { spec } = await api.get({ kind: kind as Kind, namespace: TENANT, name: owners[kind] });
    const { metadata } = (spec as { template: AnyObject }).template;
    return metadata.annotations?.["kubectl.kubernetes.io/restartedAt"] !== undefined;
  };

  const requestsSince = async (since: Date): Promise<readonly string[]> => {
    const events = await cluster.auditEvents({ user: userOf("watch"), since });
    return events.map(({ verb, requestURI }) => `${verb} ${requestURI}`);
  };

  const restarts = async (): Promise<readonly AuditEvent[]> => {
    const events = await cluster.auditEvents({ user: userOf("watch"), verbs: ["patch"] });
    return events.filter(
      ({ objectRef, responseStatus }) =>
        ["deployments", "statefulsets", "daemonsets"].includes(objectRef?.resource ?? "") &&
        responseStatus?.code === 200,
    );
  };

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    await api.createAll([namespace(GATEWAYS), namespace(TENANT)]);
    await api.create(service(GATEWAYS, "istio-ingressgateway-internal"));
    pods = playReadyPods(api, {
      namespaces: [TENANT],
      isReady: ({ metadata }) => agentsBecomeReady || metadata.labels?.app !== "agent",
    });
    const budget = {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      metadata: { namespace: TENANT, name: "etcd" },
      spec: { minAvailable: 2, selector: { matchLabels: { app: "etcd" } } },
    };
    const optedOut = routedPod(TENANT, "opted-out");
    await api.createAll([
      owner("Deployment", { replicas: 2 }),
      owner("StatefulSet", { replicas: 2, serviceName: "etcd" }),
      owner("DaemonSet", {}),
      budget,
      routedPod(TENANT, "bare"),
      {
        ...optedOut,
        metadata: { ...optedOut.metadata, labels: { "fairlead.dev/route": "false" } },
      },
    ]);
    // All of them are to be older than the route.
    await eventually(async () => {
      const { length } = await api.list("Pod", TENANT);
      if (length < 7) throw new Error(`there are ${length} Pods`);
    });
    hardened = await installHardened(cluster);
    fairlead = await startFairlead(hardened);
    await api.create(hostedAPIServer(TENANT, "main", { hosts: [HOST] }));
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await pods.stop();
    await fairlead.stop();
    keepLogs(cluster, fairlead);
    api.close();
    await cluster.stop();
  });

  it("are none before their namespace is routed, and all that are older than the route", async () => {
    await eventually(async () => {
      expect(await counted()).toEqual({ routed: 0, stale: 0 });
    });
    const data = { hosts: HOST, "istio-namespace": GATEWAYS, addresses: ADDRESS };
    await api.create(routeConfigMap(TENANT, data));

    await eventually(async () => {
      // Two of the Deployment, two of the StatefulSet, one of the DaemonSet, and the bare one.
      expect(await counted()).toEqual({ routed: 0, stale: 6 });
    });
    const hapi = await untilCondition(api, tenant, { type: "PodsUpToDate", reason: "StalePods" });
    expect(conditionsOf(hapi).PodsUpToDate?.message).toContain("older than the route: agent-");
    const { kubectl } = speak(cluster);
    expect(await kubectl(["get", "hapi", "-n", TENANT])).toMatch(/STALE[^]* 6 /);
    expect(await restarts()).toEqual([]);
  });

  it("have their owners restarted one at a time, though the watch process is killed meanwhile", async () => {
    agentsBecomeReady = false;
    await patchSpec({ restartStalePods: true });
    await eventually(
      async () => {
        const hapi = await api.get({ kind: "HostedAPIServer", namespace: TENANT, name: "main" });
        expect(conditionsOf(hapi).PodsUpToDate?.message).toContain(
          "DaemonSet agent is being rolled out",
        );
      },
      { timeoutMs: 60_000 },
    );
    await fairlead.watch.stop();
    await fairlead.watch.start();
    // Time enough for the watch process to get further, if it did.
    const since = new Date();
    await eventually(
      async () => {
        const looks = (await requestsSince(since)).filter((line) => line.includes("/daemonsets"));
        expect(looks.length).toBeGreaterThan(1);
      },
      { timeoutMs: 90_000 },
    );
    expect((await restarts()).map(({ objectRef }) => objectRef?.resource)).toEqual(["daemonsets"]);
    expect(await wasRestarted("Deployment")).toBe(false);

    agentsBecomeReady = true;
    await eventually(
      async () => {
        expect(await aliasesOf("web")).toEqual(Array(2).fill([{ ip: ADDRESS, hostnames: [HOST] }]));
      },
      { timeoutMs: 90_000 },
    );
    expect(await aliasesOf("agent")).toEqual([[{ ip: ADDRESS, hostnames: [HOST] }]]);
  });

  it("wait for a budget, and go on when it allows", async () => {
    const hapi = await untilCondition(api, tenant, {
      type: "PodsUpToDate",
      reason: "AwaitingBudget",
    });
    const { message } = conditionsOf(hapi).PodsUpToDate ?? {};
    expect(message).toContain("StatefulSet etcd waits for PodDisruptionBudget etcd");
    expect(await wasRestarted("StatefulSet")).toBe(false);

    await api.patch(
      { kind: "PodDisruptionBudget", namespace: TENANT, name: "etcd" },
      { spec: { minAvailable: 1 } },
    );
    await eventually(
      async () => {
        expect(await aliasesOf("etcd")).toEqual(
          Array(2).fill([{ ip: ADDRESS, hostnames: [HOST] }]),
        );
      },
      { timeoutMs: 120_000 },
    );
  });

  it("that nobody would make anew are left alone, with a reason", async () => {
    const hapi = await eventually(async () => {
      expect(await counted()).toEqual({ routed: 5, stale: 1 });
      return untilCondition(api, tenant, { type: "PodsUpToDate", reason: "LeftAlone" });
    });
    expect(conditionsOf(hapi).PodsUpToDate?.message).toContain(
      "Pod bare has no owner that would make it anew; delete it.",
    );
    // Events are written beside the status, which does not wait for them.
    await eventually(async () => {
      const events = await api.list("Event", TENANT);
      const told = events.map(({ reason, type }) => `${String(type)} ${String(reason)}`);
      expect(told).toContain("Warning StalePodsLeftAlone");
      expect(told.filter((text) => text === "Normal RestartedStalePods").length).toBeGreaterThan(2);
    });

    await api.remove({ kind: "Pod", namespace: TENANT, name: "bare" });
    await untilCondition(api, tenant, { type: "PodsUpToDate", reason: "UpToDate" });
    expect(await counted()).toEqual({ routed: 5, stale: 0 });
  });

  it("have cost one write an owner, no request that was refused, and none at rest", async () => {
    expect((await restarts()).map(({ objectRef }) => objectRef?.resource)).toEqual([
      "daemonsets",
      "deployments",
      "statefulsets",
    ]);
    const all = await cluster.auditEvents({ user: userOf("watch") });
    expect(all.filter(({ responseStatus }) => responseStatus?.code === 403)).toEqual([]);

    await sleep(5_000);
    const since = new Date();
    await sleep(10_000);
    const ours = (await requestsSince(since)).filter((line) => /pods|apps|policy/.test(line));
    expect(ours).toEqual([]);
  });

  it("give fairlead no way to change what runs: its policy refuses it", async () => {
    const kubeconfig = await hardened.kubeconfigFor({ name: "fairlead-watch", groups: [] });
    const client = new KubernetesClient(connectTo({ kubeconfig }));
    const web = { apiVersion: "apps/v1", kind: "Deployment", namespace: TENANT, name: "web" };
    const how = { type: "merge", fieldManager: "fairlead-stale-pods" } as const;
    const patches = [
      { spec: { template: { spec: { containers: [{ name: "main", image: "evil" }] } } } },
      { spec: { replicas: 0 } },
      { spec: { template: { metadata: { annotations: { "sidecar.istio.io/inject": "true" } } } } },
      { metadata: { labels: { mine: "yes" } } },
    ];
    for (const patch of patches) {
      await expect(client.patch(web, patch, how)).rejects.toThrow(
        "Of workloads, fairlead changes the annotation",
      );
    }
    client.connection.close();
  });
});
