import { setTimeout as sleep } from "node:timers/promises";
import { grants } from "../../deploy/objects/rbac";
import { webhookRules } from "../../lib/domain/webhook";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, Refusal, type AnyObject, type Kind, type Ref } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { installHardened, userOf } from "../harness/hardened";
import {
  configMap,
  hostedAPIServer,
  namespace,
  node,
  pod,
  routeConfigMap,
  routedPod,
  service,
} from "../harness/objects";
import { keepLogs, START_TIMEOUT_MS } from "../harness/stage";
import { workWhile, type Worked } from "../harness/work-while";
import { POLICIES_VERSION } from "./versions";

// On a real API server that serves MutatingAdmissionPolicies, with the manifest's rights: who admits, what is there, and
// that no Pod is lost on the way from one to the other.

jest.setTimeout(180_000);

const GATEWAY = "istio-ingress";
const INTERNAL = "istio-ingressgateway-internal";
const HOST = "api.tenant.example.com";
const LABEL =
  "networking.resources.gardener.cloud/to-istio-ingress-istio-ingressgateway-internal-tcp-9443";
const ROUTE = "istio-internal-load-balancing";
const PARAMETERS = "fairlead-admission";
const configuration = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
const policyKinds: readonly Kind[] = [
  "MutatingAdmissionPolicy",
  "MutatingAdmissionPolicyBinding",
  "ValidatingAdmissionPolicy",
  "ValidatingAdmissionPolicyBinding",
];
const own = "app.kubernetes.io/managed-by=fairlead";
const patience = { timeoutMs: 90_000, pollMs: 200 };
/** Of what went wrong. */
const SHOWN = 5;
/** At least as many Pods are tried while something is done. */
const LEAST_PODS = 500;
const route = { hosts: HOST, "istio-namespace": GATEWAY };

interface HostAlias {
  readonly ip: string;
  readonly hostnames: readonly string[];
}

/** A workload, as whoever runs control planes makes one. */
function deployment(inNamespace: string, name: string): AnyObject {
  const { spec } = routedPod(inNamespace, name);
  const labels = { app: name };
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { namespace: inNamespace, name },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec },
    },
  };
}

describe("admission by policies", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  /** Chooses by what is served. */
  let fairlead: Fairlead;
  /** The watch process of one that asks for the webhook. */
  let byWebhook: Fairlead;

  const annotation = async (): Promise<string | undefined> =>
    (await api.get(configuration)).metadata.annotations?.["fairlead.dev/admission"];
  const untilAdmittedBy = async (expected: string | undefined): Promise<void> =>
    eventually(async () => {
      expect(await annotation()).toBe(expected);
    }, patience);
  const rules = async (): Promise<unknown> => {
    const { webhooks } = await api.get(configuration);
    const [webhook] = webhooks as readonly Record<string, unknown>[];
    return { rules: webhook?.rules, matchConditions: webhook?.matchConditions };
  };
  const untilWebhookIs = async (scope: Parameters<typeof webhookRules>[0]): Promise<void> =>
    eventually(async () => {
      const { rules: wanted, matchConditions } = webhookRules(scope);
      expect(await rules()).toEqual({ rules: wanted, matchConditions });
    }, patience);

  const addresses = async (): Promise<readonly string[]> => {
    const { spec } = await api.get({ kind: "Service", namespace: GATEWAY, name: INTERNAL });
    return (spec as { clusterIPs: readonly string[] }).clusterIPs;
  };
  const aliasesTo = async (...hostnames: readonly string[]): Promise<readonly object[]> =>
    (await addresses()).map((ip) => ({ ip, hostnames }));
  const expectRouted = async (
    { spec, metadata }: AnyObject,
    hosts: readonly string[] = [HOST],
  ): Promise<void> => {
    expect(spec?.hostAliases).toEqual(await aliasesTo(...hosts));
    expect(metadata.labels?.[LABEL]).toBe("allowed");
  };
  const refusalOf = async (object: AnyObject): Promise<string> =>
    api.tryToCreate(object).then(
      () => "",
      (error: unknown) =>
        error instanceof Refusal ? `${error.code}: ${error.message}` : String(error),
    );
  const ownPolicies = async (): Promise<readonly string[]> => {
    const lists = await Promise.all(
      policyKinds.map(async (kind) => api.list(kind, undefined, own)),
    );
    return lists.flat().map(({ metadata }) => metadata.name ?? "");
  };
  /** But for those that tell whether policies are in force, which stay. */
  const actingPolicies = async (): Promise<readonly string[]> =>
    (await ownPolicies()).filter((name) => name !== "fairlead-policies-in-force");
  const parameters = async (): Promise<readonly string[]> => {
    const maps = await api.list("ConfigMap", undefined, own);
    const found = maps.filter(({ metadata }) => metadata.name === PARAMETERS);
    return found.map(({ metadata }) => metadata.namespace ?? "").sort();
  };
  /** What the watch process wrote; what is only tried is no write. */
  const writesSince = async (since: Date): Promise<readonly string[]> => {
    const events = await cluster.auditEvents({ user: userOf("watch"), since });
    return events
      .filter(({ verb }) => !["get", "list", "watch"].includes(verb))
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`)
      .filter((line) => !/dryRun=All|\/peprstores\//.test(line));
  };

  beforeAll(async () => {
    cluster = await startCluster({ version: POLICIES_VERSION, controllerManager: "run" });
    api = new Api(cluster);
    await api.createAll([
      node("node-1", "zone-1"),
      node("node-2", "zone-2"),
      ...[GATEWAY, "tenant", "broken", "taken", "short-lived"].map((name) => namespace(name)),
      service(GATEWAY, INTERNAL),
      routeConfigMap("tenant", route),
      routeConfigMap("broken", { ...route, hosts: "*.example.com" }),
      routeConfigMap("taken", route),
      configMap("taken", PARAMETERS, { theirs: "yes" }),
    ]);
    const installed = await installHardened(cluster);
    fairlead = await startFairlead(installed);
    byWebhook = await startFairlead(installed, {
      name: "by-webhook",
      env: { FAIRLEAD_ADMISSION: "Webhook" },
      processes: [],
    });
  }, START_TIMEOUT_MS);
  afterAll(async () => {
    api.close();
    await Promise.all([fairlead.stop(), byWebhook.stop()]);
    keepLogs(cluster, fairlead);
    await cluster.stop();
  });

  it("comes once it is in force, and leaves the webhook what is in the way and what policies can't do", async () => {
    await untilAdmittedBy("Policy, and Webhook for taken");
    await untilWebhookIs({ policies: true, except: ["taken"] });

    const found = await ownPolicies();
    expect(found.length).toBeGreaterThan(4);
    expect(await parameters()).toEqual(["broken", "pepr-system", "tenant"]);
    const foreign = { kind: "ConfigMap", namespace: "taken", name: PARAMETERS } as const;
    expect((await api.get(foreign)).data).toEqual({ theirs: "yes" });
    const { body } = await api.tryToCreate(routedPod("taken", "by-webhook"));
    await expectRouted(body);
  });

  it("leaves the webhook a Pod with more aliases than policies work through", async () => {
    const given = routedPod("tenant", "crowded");
    const own = Array.from({ length: 65 }, (_, index) => ({
      ip: `10.1.0.${index + 1}`,
      hostnames: ["elsewhere"],
    }));
    const { body } = await api.tryToCreate({
      ...given,
      spec: { ...given.spec, hostAliases: own },
    });
    expect(body.spec?.hostAliases).toEqual([...own, ...(await aliasesTo(HOST))]);
    expect(body.metadata.labels?.[LABEL]).toBe("allowed");
  });

  it("has the namespace, too, once nothing is in its way", async () => {
    await api.remove({ kind: "ConfigMap", namespace: "taken", name: PARAMETERS });

    await untilAdmittedBy("Policy");
    await untilWebhookIs({ policies: true });
    expect(await parameters()).toContain("taken");
  });

  it("follows a route, a Service's address and a HostedAPIServer at once", async () => {
    const ref: Ref = { kind: "ConfigMap", namespace: "tenant", name: ROUTE };
    await api.patch(ref, {
      data: { hosts: `${HOST},another.example.com` },
    });
    await eventually(async () => {
      const { body } = await api.tryToCreate(routedPod("tenant", "two-hosts"));
      await expectRouted(body, [HOST, "another.example.com"]);
    });
    await api.patch(ref, { data: { hosts: HOST } });

    const before = await addresses();
    await api.remove({ kind: "Service", namespace: GATEWAY, name: INTERNAL });
    await eventually(async () => {
      expect(await refusalOf(routedPod("tenant", "nowhere"))).toContain(
        `fairlead: ConfigMap tenant/istio-internal-load-balancing leads to Service ${GATEWAY}/${INTERNAL}, which does not exist`,
      );
    });
    await api.create(service(GATEWAY, INTERNAL, { clusterIP: "10.96.77.7" }));
    expect(await addresses()).not.toEqual(before);
    await eventually(async () => {
      const { body } = await api.tryToCreate(routedPod("tenant", "moved"));
      await expectRouted(body);
    });

    await api.create(hostedAPIServer("tenant", "main", { topologyAware: { enabled: true } }));
    await eventually(async () => {
      const { body } = await api.tryToCreate(service("tenant", "etcd-main-client"));
      expect(body.spec?.trafficDistribution).toBe("PreferSameZone");
    });
  });

  it("forgets a route that is gone, and a namespace", async () => {
    await api.create(routeConfigMap("short-lived", route));
    await eventually(async () => {
      expect(await parameters()).toContain("short-lived");
    });
    await api.remove({
      kind: "ConfigMap",
      namespace: "short-lived",
      name: ROUTE,
    });
    await eventually(async () => {
      expect(await parameters()).not.toContain("short-lived");
    });
    const { body } = await eventually(async () => {
      const answer = await api.tryToCreate(routedPod("short-lived", "plain"));
      expect(answer.body.spec?.hostAliases).toBeUndefined();
      return answer;
    });
    expect(body.metadata.labels).toBeUndefined();
  });

  it("writes nothing while nothing changes, over a restart too", async () => {
    // Longer than fairlead waits before it looks again after a write of its own.
    await settled(async () => writesSince(new Date(0)), { quietMs: 5_000 });
    const since = new Date();
    await fairlead.watch.stop();
    await fairlead.watch.start();
    await sleep(5_000);

    expect(await writesSince(since)).toEqual([]);
    expect(await annotation()).toBe("Policy");
  });

  describe("while all of fairlead is down", () => {
    beforeAll(async () => {
      await Promise.all([fairlead.watch.stop(), fairlead.admission.stop()]);
    });
    afterAll(async () => {
      await Promise.all([fairlead.watch.start(), fairlead.admission.start()]);
    });

    it("routes the Pods of control planes, and those of their workloads", async () => {
      const { webhooks } = await api.get(configuration);
      expect(webhooks).toEqual([expect.objectContaining({ failurePolicy: "Fail" })]);
      const { body } = await api.create(routedPod("tenant", "bare"));
      await expectRouted(body);

      await api.create(deployment("tenant", "workload"));
      await eventually(async () => {
        const pods = (await api.list("Pod", "tenant")).filter(
          ({ metadata }) => metadata.labels?.app === "workload",
        );
        expect(pods).toHaveLength(2);
        for (const each of pods) await expectRouted(each);
      });
    });

    it("denies what can't be routed with the sentence, and leaves alone what is none of its own", async () => {
      const refusal = await refusalOf(routedPod("broken", "bad"));
      expect(refusal).toMatch(/^403: /);
      expect(refusal).toContain(
        'fairlead: ConfigMap broken/istio-internal-load-balancing has the host "*.example.com", which is a wildcard: write each name that it stands for.',
      );
      const { body } = await api.tryToCreate(pod("tenant", "plain"));
      expect(body.spec?.hostAliases).toBeUndefined();
      const created = await api.tryToCreate(service("tenant", "vpa-webhook"));
      expect(created.body.spec?.trafficDistribution).toBe("PreferSameZone");
    });
  });

  describe("and back, under a stream of Pods", () => {
    let index = 0;
    /** Tries, and creates one in ten, without a pause, while something is done. */
    const underLoad = async (
      run: () => Promise<unknown>,
      inNamespace = "tenant",
    ): Promise<Worked> => {
      const ips = await addresses();
      const first = index;
      // As many take as long as they take on a machine that is busy.
      const runAndTryEnough = async (): Promise<void> => {
        await run();
        await eventually(() => {
          expect(index - first).toBeGreaterThan(LEAST_PODS);
        }, patience);
      };
      return workWhile(runAndTryEnough, async () => {
        index += 1;
        const object = routedPod(inNamespace, `stream-${index}`);
        const { body } = await (index % 10 === 0 ? api.create(object) : api.tryToCreate(object));
        const { spec, metadata } = body;
        const aliases = (spec?.hostAliases ?? []) as readonly HostAlias[];
        const isRouted =
          aliases.map(({ ip }) => ip).join() === ips.join() &&
          aliases.every(({ hostnames }) => hostnames[0] === HOST) &&
          metadata.labels?.[LABEL] === "allowed";
        if (!isRouted) throw new Error(`not routed: ${JSON.stringify(spec?.hostAliases)}`);
      });
    };

    it("loses none on the way to the webhook, though the watcher dies in the middle", async () => {
      const { tried: count, lost } = await underLoad(async () => {
        await fairlead.watch.stop();
        await byWebhook.watch.start();
        await untilWebhookIs({});
        expect((await actingPolicies()).length).toBeGreaterThan(0);
        await byWebhook.watch.stop();
        await byWebhook.watch.start();
        await eventually(async () => {
          expect(await actingPolicies()).toEqual([]);
          expect(await parameters()).toEqual([]);
        }, patience);
      });

      expect(lost.slice(0, SHOWN)).toEqual([]);
      expect(count).toBeGreaterThan(LEAST_PODS);
      await untilAdmittedBy(undefined);
    });

    it("loses none on the way back, past a policy of somebody else that is in the way and not touched", async () => {
      const theirs = {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "ValidatingAdmissionPolicy",
        metadata: { name: "fairlead-pods-denials", labels: { theirs: "yes" } },
        spec: {
          matchConstraints: {
            resourceRules: [
              {
                apiGroups: ["theirs.example.com"],
                apiVersions: ["*"],
                operations: ["CREATE"],
                resources: ["things"],
              },
            ],
          },
          validations: [{ expression: "true" }],
        },
      };
      const ref = { kind: "ValidatingAdmissionPolicy", name: "fairlead-pods-denials" } as const;
      const { body } = await api.create(theirs);
      const { tried: count, lost } = await underLoad(async () => {
        await byWebhook.watch.stop();
        await fairlead.watch.start();
        await untilAdmittedBy(
          "Webhook: ForeignObject: ValidatingAdmissionPolicy fairlead-pods-denials exists and is not fairlead's: rename or delete it.",
        );
        expect(await actingPolicies()).toEqual([]);
        // A controller of the cluster's own writes its status.
        const { spec, metadata } = await api.get(ref);
        const { uid, labels } = body.metadata;
        expect(metadata).toMatchObject({ uid, labels, generation: 1 });
        expect(spec).toEqual(body.spec);
        await api.remove(ref);
        await untilAdmittedBy("Policy");
        await untilWebhookIs({ policies: true });
      });

      expect(lost.slice(0, SHOWN)).toEqual([]);
      expect(count).toBeGreaterThan(LEAST_PODS);
    });

    it("loses none where a route becomes too large for policies, and small again", async () => {
      const ref: Ref = { kind: "ConfigMap", namespace: "taken", name: ROUTE };
      const many = Array.from({ length: 129 }, (_, index) => `api-${index}.example.com`);
      const { tried: count, lost } = await underLoad(async () => {
        await api.patch(ref, { data: { hosts: [HOST, ...many].join(",") } });
        await untilAdmittedBy("Policy, and Webhook for taken");
        await eventually(async () => {
          expect(await parameters()).not.toContain("taken");
        }, patience);
        const { body } = await api.tryToCreate(routedPod("taken", "many-hosts"));
        await expectRouted(body, [HOST, ...many]);
        await api.patch(ref, { data: { hosts: HOST } });
        await untilAdmittedBy("Policy");
        expect(await parameters()).toContain("taken");
      }, "taken");

      expect(lost.slice(0, SHOWN)).toEqual([]);
      expect(count).toBeGreaterThan(LEAST_PODS);
    });

    it("sets back what somebody edits, and loses none over a binding that is deleted", async () => {
      const ref = { kind: "MutatingAdmissionPolicyBinding", name: "fairlead-pods" } as const;
      const { tried: count, lost } = await underLoad(async () => {
        for (const kind of policyKinds) {
          const annotations = { "fairlead.dev/spec-hash": "theirs" };
          await api.patch(
            { kind, name: "fairlead-policies-in-force" },
            { metadata: { annotations } },
          );
        }
        await api.remove(ref);
        // fairlead writes later and later, the more it has written of late.
        await eventually(async () => {
          expect(await api.find(ref)).toBeDefined();
        }, patience);
        await untilAdmittedBy("Policy");
        await untilWebhookIs({ policies: true });
      });

      // Until fairlead has heard of it, a Pod is refused and not lost: whoever makes Pods tries again.
      expect(lost.filter((each) => !each.includes("fairlead"))).toEqual([]);
      expect(count).toBeGreaterThan(LEAST_PODS);
    });
  });

  it("had use for every right that it takes, and was refused nothing", async () => {
    const events = await cluster.auditEvents({ user: userOf("watch") });
    const refused = events
      .filter(({ responseStatus }) => responseStatus?.code === 403)
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
    expect(refused).toEqual([]);

    const used = new Set(
      events.map(({ verb, objectRef }) => `${verb} ${objectRef?.resource ?? ""}`),
    );
    const given = grants
      .filter(({ name }) => name === "fairlead-policies")
      .flatMap(({ rights }) => rights.map(({ rule }) => rule))
      .flatMap(({ verbs, resources = [] }) =>
        verbs.flatMap((verb) => resources.map((resource) => `${verb} ${resource}`)),
      );
    expect(given.length).toBeGreaterThan(10);
    expect(given.filter((right) => !used.has(right))).toEqual([]);
  });

  it("goes with the webhook's configuration, its owner", async () => {
    await Promise.all([fairlead.watch.stop(), fairlead.admission.stop()]);
    await api.remove(configuration);

    await eventually(async () => {
      expect(await ownPolicies()).toEqual([]);
      expect(await parameters()).toEqual([]);
    }, patience);
  });
});
