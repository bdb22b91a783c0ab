import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, type AnyObject } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { hostedAPIServer, internalGateway, namespace, node, service } from "../harness/objects";
import {
  conditionsOf,
  setStage,
  START_TIMEOUT_MS,
  untilCondition,
  type Stage,
} from "../harness/stage";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(300_000);

const distribution = "PreferSameZone";
const mark = "fairlead.dev/traffic-distribution";
const contested = "fairlead.dev/contested";
const optIn = { "fairlead.dev/topology-aware": "true" };
const controlPlane = "control-plane";
/** A write that the admission process undid, since it heard of a change later, is tried again after half a minute. */
const patience = { timeoutMs: 100_000 };

describe("existing Services", () => {
  let stage: Stage;

  const ref = (name: string, inNamespace = controlPlane) =>
    ({ kind: "Service", namespace: inNamespace, name }) as const;

  const look = async (name: string, inNamespace?: string) => {
    const { spec, metadata } = await stage.api.get(ref(name, inNamespace));
    return { value: spec?.trafficDistribution, mark: metadata.annotations?.[mark] };
  };

  const aware = { value: distribution, mark: distribution };
  const untouched = { value: undefined, mark: undefined };

  const expectLooks = async (
    expected: { readonly value: unknown; readonly mark: unknown },
    ...names: readonly string[]
  ): Promise<void> =>
    eventually(async () => {
      expect(await Promise.all(names.map((name) => look(name)))).toEqual(names.map(() => expected));
    }, patience);

  const setLabel = async (name: string, value: string | null) =>
    stage.api.patch(ref(name), { metadata: { labels: { "fairlead.dev/topology-aware": value } } });

  const expectCondition = async (status: string, reason: string): Promise<AnyObject> =>
    untilCondition(
      stage.api,
      { namespace: controlPlane },
      { type: "TopologyAware", status, reason },
    );

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      zones: ["zone-a"],
      objects: [
        ...[controlPlane, "other", "istio-ingress"].map((name) => namespace(name)),
        ...["etcd-main-client", "vpa-webhook", "kube-apiserver", "unrelated"].map((name) =>
          service(controlPlane, name),
        ),
        service(controlPlane, "etcd-events-client", { trafficDistribution: "PreferClose" }),
        service("other", "etcd-main-client"),
      ],
    });
    await stage.api.createAll([
      internalGateway("istio-ingress"),
      hostedAPIServer(controlPlane, "main", {
        loadBalancing: "L4",
        topologyAware: { enabled: true },
      }),
    ]);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("are left alone in a cluster of one zone, and the condition says so", async () => {
    await expectCondition("False", "SingleZone");
    await expectLooks(untouched, "etcd-main-client", "vpa-webhook", "kube-apiserver");
  });

  it("become topology-aware when a second zone appears: the known ones, in L4 the API server's too", async () => {
    await stage.api.create(node("node-2", "zone-b"));
    await expectLooks(aware, "etcd-main-client", "vpa-webhook", "kube-apiserver");
    const hapi = await expectCondition("True", "Enabled");
    expect(conditionsOf(hapi).TopologyAware?.message).toBe(
      "Traffic to etcd-main-client, kube-apiserver, vpa-webhook prefers the client's zone. Service etcd-events-client keeps a value that is not fairlead's.",
    );
  });

  it("that are nobody's business, or have another value, are left alone", async () => {
    await settled(async () => stage.api.list("Service"), { quietMs: 500 });
    expect(await look("unrelated")).toEqual(untouched);
    expect(await look("etcd-main-client", "other")).toEqual(untouched);
    expect(await look("etcd-events-client")).toEqual({ value: "PreferClose", mark: undefined });
    const services = await stage.api.list("Service");
    const touched = services.filter(({ metadata }) =>
      metadata.managedFields?.some(({ manager }) => manager === "fairlead-services"),
    );
    expect(touched.map(({ metadata }) => metadata.name).sort()).toEqual([
      "etcd-main-client",
      "kube-apiserver",
      "vpa-webhook",
    ]);
  });

  it("that opt out lose the value, and get it back", async () => {
    await setLabel("vpa-webhook", "false");
    await expectLooks(untouched, "vpa-webhook");
    await setLabel("vpa-webhook", null);
    await expectLooks(aware, "vpa-webhook");
  });

  it("that opt in get the value anywhere, and lose it with the label", async () => {
    await setLabel("unrelated", "true");
    await expectLooks(aware, "unrelated");
    await setLabel("unrelated", null);
    await expectLooks(untouched, "unrelated");
  });

  it("of a hosted API server lose the value in L7, even when they opted in", async () => {
    const hapi = { kind: "HostedAPIServer", namespace: controlPlane, name: "main" } as const;
    await setLabel("kube-apiserver", "true");
    const pair = { secretName: "absent" };
    await stage.api.patch(hapi, {
      spec: { loadBalancing: "L7", certificates: { server: pair, serverCA: pair } },
    });
    await expectLooks(untouched, "kube-apiserver");
    await expectCondition("False", "L7Active");
    await expectLooks(aware, "etcd-main-client");
    await stage.api.patch(hapi, { spec: { loadBalancing: "L4" } });
    await expectLooks(aware, "kube-apiserver");
    await setLabel("kube-apiserver", null);
  });

  it("lose the value when the owner turns it off, and get it back", async () => {
    const hapi = { kind: "HostedAPIServer", namespace: controlPlane, name: "main" } as const;
    await stage.api.patch(hapi, { spec: { topologyAware: { enabled: false } } });
    await expectLooks(untouched, "etcd-main-client", "vpa-webhook", "kube-apiserver");
    await expectCondition("False", "Disabled");
    await stage.api.patch(hapi, { spec: { topologyAware: { enabled: true } } });
    await expectLooks(aware, "etcd-main-client", "vpa-webhook", "kube-apiserver");
  });

  it("lose the value when the last but one zone goes, and get it back", async () => {
    await stage.api.remove({ kind: "Node", name: "node-2" });
    await expectLooks(untouched, "etcd-main-client", "vpa-webhook", "kube-apiserver");
    await expectCondition("False", "SingleZone");
    await stage.api.create(node("node-2", "zone-b"));
    await expectLooks(aware, "etcd-main-client", "vpa-webhook", "kube-apiserver");
  });

  it("that were changed while the watch process was away are brought in line at its start", async () => {
    const { watch, admission } = stage.fairlead;
    await watch.stop();
    await admission.stop();
    const name = "by-hand";
    const base = service(controlPlane, name);
    // Without a webhook that answers, the API server creates nothing: its configuration goes for a while.
    const path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations";
    const kept = JSON.parse(await stage.kubectl(["get", "--raw", path])) as {
      items: readonly AnyObject[];
    };
    await stage.kubectl(["delete", "mutatingwebhookconfigurations", "--all"]);
    const optedIn = { ...base, metadata: { ...base.metadata, labels: optIn } };
    // What admits hears by a watch that the configuration is gone; until then it calls nobody, and refuses.
    await eventually(async () => stage.api.create(optedIn));
    await eventually(async () =>
      stage.api.patch(ref("vpa-webhook"), {
        metadata: { annotations: { [mark]: null } },
        spec: { trafficDistribution: null },
      }),
    );
    await watch.start();
    await expectLooks(aware, name, "vpa-webhook");
    await admission.start();
    for (const { metadata, webhooks } of kept.items) {
      await stage.kubectl(["create", "-f", "-"], {
        apiVersion: "admissionregistration.k8s.io/v1",
        kind: "MutatingWebhookConfiguration",
        metadata: { name: metadata.name },
        webhooks,
      });
    }
    // It is called again: who contests a Service is known to admission alone.
    await eventually(async () => {
      const { metadata, ...rest } = service(controlPlane, "tried");
      const tried = { ...rest, metadata: { ...metadata, labels: optIn } };
      const { body } = await stage.api.tryToCreate(tried);
      expect(body.spec?.trafficDistribution).toBe(distribution);
    });
  });

  it("that another manager keeps setting back are let go after a few rounds, and taken up again", async () => {
    const name = "vpa-webhook";
    let stopped = false;
    let writes = 0;
    /** A manager that knows nothing of the field and puts its own object over and over. */
    const fight = async (): Promise<void> => {
      while (!stopped) {
        const { metadata, spec, ...rest } = await stage.api.get(ref(name));
        const { trafficDistribution: _value, ...others } = spec ?? {};
        const { managedFields: _fields, annotations: _annotations, ...own } = metadata;
        try {
          await stage.api.replace(
            { ...rest, metadata: own, spec: others },
            "fieldManager=stubborn",
          );
          writes += 1;
        } catch (error) {
          // Somebody was faster: the next round has the newer version.
          if (!(error instanceof Refusal && error.code === 409)) throw error;
        }
        await sleep(50);
      }
    };
    const fighting = fight();
    await eventually(async () => {
      const { metadata, spec } = await stage.api.get(ref(name));
      expect(metadata.annotations?.[contested]).toBe("admin (stubborn)");
      expect(spec?.trafficDistribution).toBeUndefined();
    });
    await expectCondition("False", "Contested");
    const quiet = await stage.cluster.auditEvents({
      user: "fairlead-watch",
      resource: "services",
      name,
    });
    const before = writes;
    await eventually(() => {
      expect(writes).toBeGreaterThan(before + 10);
    });
    stopped = true;
    await fighting;
    // The other manager went on, fairlead did not.
    expect(
      await stage.cluster.auditEvents({ user: "fairlead-watch", resource: "services", name }),
    ).toHaveLength(quiet.length);
    await stage.kubectl(["annotate", "service", name, "-n", controlPlane, `${contested}-`]);
    await expectLooks(aware, name);
    await expectCondition("True", "Enabled");
  });
});
