import type { AnyObject } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { inventory } from "../harness/inventory";
import {
  gatewayPod,
  hostedAPIServer,
  internalGateway,
  namespace,
  pod,
  routeConfigMap,
  routedPod,
} from "../harness/objects";
import { setStage, START_TIMEOUT_MS, type Stage } from "../harness/stage";
import { makeTenantKeys, tenantObjects } from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

// A Namespace with finalizers in it goes in several passes of its controller, many seconds apart.
jest.setTimeout(300_000);

/** A ReplicaSet of one Pod that is routed. */
function replicaSet(inNamespace: string): AnyObject {
  const { spec } = routedPod(inNamespace, "template");
  const labels = { app: "component" };
  return {
    apiVersion: "apps/v1",
    kind: "ReplicaSet",
    metadata: { name: "component", namespace: inNamespace },
    spec: {
      replicas: 1,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec },
    },
  };
}

describe("with the controllers of a real cluster", () => {
  let stage: Stage;

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      controllerManager: "run",
      // The routes are there first: a ReplicaSet creates its Pod faster than a watch tells of a new one.
      objects: [
        ...["istio-ingress", "routed", "broken"].map((name) => namespace(name)),
        routeConfigMap("routed", { hosts: "api.example.com", "istio-namespace": "istio-ingress" }),
        routeConfigMap("broken", { hosts: "", "istio-namespace": "istio-ingress" }),
      ],
    });
    await stage.api.create(internalGateway("istio-ingress"));
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it("a ReplicaSet whose Pods are denied says why in its event", async () => {
    await stage.api.create(replicaSet("broken"));
    const event = await eventually(async () => {
      const events = await stage.api.list("Event", "broken");
      const found = events.find(({ reason }) => reason === "FailedCreate");
      expect(found).toBeDefined();
      return found;
    });
    expect(event?.message).toContain(
      "fairlead: ConfigMap broken/istio-internal-load-balancing names no hosts: write the API server's host names into hosts, separated by commas.",
    );
    expect(event?.message).not.toContain("without explanation");
    expect(await stage.api.list("Pod", "broken")).toEqual([]);
  });

  it("the Pods of a ReplicaSet are routed to the Service that fairlead made", async () => {
    const { spec } = await eventually(async () =>
      stage.api.get({
        kind: "Service",
        namespace: "istio-ingress",
        name: "istio-ingressgateway-internal",
      }),
    );
    const { clusterIPs } = spec as { clusterIPs: readonly string[] };
    expect(clusterIPs).toHaveLength(2);
    await stage.api.create(replicaSet("routed"));
    const [created] = await eventually(async () => {
      const pods = await stage.api.list("Pod", "routed");
      expect(pods).toHaveLength(1);
      return pods;
    });
    expect(created?.spec?.hostAliases).toEqual(
      clusterIPs.map((ip) => ({ ip, hostnames: ["api.example.com"] })),
    );
  });

  it("a gateway shows the addresses that answer", async () => {
    const { api } = stage;
    const ref = { kind: "InternalGateway", namespace: "istio-ingress", name: "default" } as const;
    const pods = { kind: "Pod", namespace: "istio-ingress", name: "gateway-1" } as const;
    await eventually(async () => {
      expect((await api.get(ref)).status).toMatchObject({ addresses: [] });
    });
    await api.create(gatewayPod("istio-ingress", "gateway-1"));
    // What a kubelet would report.
    await api.patch(
      pods,
      {
        status: {
          phase: "Running",
          podIP: "192.0.2.10",
          podIPs: [{ ip: "192.0.2.10" }],
          conditions: [{ type: "Ready", status: "True" }],
        },
      },
      "/status",
    );
    // The gateway's Pod has an IPv4 address only, so the Service's IPv6 address would be a dead one.
    const { spec } = await api.get({
      kind: "Service",
      namespace: "istio-ingress",
      name: "istio-ingressgateway-internal",
    });
    const [ipv4] = (spec as { clusterIPs: readonly string[] }).clusterIPs;
    await eventually(async () => {
      expect((await api.get(ref)).status).toMatchObject({ addresses: [ipv4] });
    });
    await api.remove(pods);
    await eventually(async () => {
      expect((await api.get(ref)).status).toMatchObject({ addresses: [] });
    });
  });

  it("a control-plane Namespace that is deleted goes with everything of it, and nothing else does", async () => {
    const { api } = stage;
    await api.create(namespace("short-lived"));
    await eventually(async () => {
      expect(await api.list("ConfigMap", "short-lived")).toHaveLength(1);
    });
    await api.remove({ kind: "Namespace", name: "short-lived" });
    const isGone = async (name: string): Promise<void> =>
      eventually(async () => {
        expect(await api.find({ kind: "Namespace", name })).toBeUndefined();
      });
    await isGone("short-lived");
    const before = await settled(async () => inventory(api), { quietMs: 1_000 });
    await api.createAll(tenantObjects("short-lived", await makeTenantKeys("short-lived")));
    await eventually(async () => {
      expect(await api.list("Secret", "istio-ingress")).toHaveLength(2);
    });
    await api.create(pod("short-lived", "component"));
    await api.remove({ kind: "Namespace", name: "short-lived" });
    await isGone("short-lived");
    await eventually(async () => {
      expect(await inventory(api)).toEqual(before);
    });
  });

  it("derived Secrets are collected when their Namespace is gone and fairlead is not there", async () => {
    const { api, fairlead } = stage;
    await api.createAll(tenantObjects("orphaned", await makeTenantKeys("orphaned")));
    await eventually(async () => {
      expect(await api.list("Secret", "istio-ingress")).toHaveLength(2);
    });
    await fairlead.watch.stop();
    await api.remove({ kind: "Namespace", name: "orphaned" });
    const ref = { kind: "HostedAPIServer", namespace: "orphaned", name: "main" } as const;
    await eventually(async () => {
      expect((await api.get(ref)).metadata.deletionTimestamp).toBeDefined();
    });
    // What an administrator would do when fairlead was uninstalled before its tenants.
    await api.patch(ref, { metadata: { finalizers: null } });
    await eventually(async () => {
      expect(await api.find({ kind: "Namespace", name: "orphaned" })).toBeUndefined();
    });
    await eventually(async () => {
      expect(await api.list("Secret", "istio-ingress")).toEqual([]);
    });
    await fairlead.watch.start();
  });

  it("a gateway Namespace that is deleted goes, though servers are attached to its gateway", async () => {
    const { api } = stage;
    const spec = { gatewayRef: { namespace: "other-gateway", name: "default" } };
    await api.createAll([
      namespace("other-gateway"),
      internalGateway("other-gateway", { selector: { app: "other-gateway" } }),
      hostedAPIServer("routed", "main", spec),
    ]);
    await eventually(async () => {
      const ref = { kind: "InternalGateway", namespace: "other-gateway", name: "default" } as const;
      expect((await api.get(ref)).status).toMatchObject({ attachedAPIServers: 1 });
    });
    await api.remove({ kind: "Namespace", name: "other-gateway" });
    await eventually(async () => {
      expect(await api.find({ kind: "Namespace", name: "other-gateway" })).toBeUndefined();
    });
  });
});
