import { KubeConfig } from "@kubernetes/client-node";
import { openExposureCaches } from "../../capabilities/exposure";
import { GatewayReconciler } from "../../capabilities/exposure/gateways/reconcile";
import { customResourceDefinitions, type HostedAPIServer } from "../../lib/api";
import {
  Connection,
  createEventRecorder,
  createQueue,
  installDefinitions,
  KubernetesClient,
  openWatchCaches,
  silentLogger,
  type Clock,
  type Queue,
} from "../../lib/cluster";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, type Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { applyIstioDefinitions } from "../harness/istio-definitions";
import {
  decode,
  endpointSlice,
  hostedAPIServer,
  internalGateway,
  namespace,
} from "../harness/objects";
import { conditionsOf, speak, START_TIMEOUT_MS } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(120_000);

const home = "istio-ingress";
const key = `${home}/default`;
const igw: Ref = { kind: "InternalGateway", namespace: home, name: "default" };
const slice: Ref = { kind: "EndpointSlice", namespace: home, name: "internal" };

/** A clock that stops: watches of a cluster that has ended are not tried again. */
function stoppableClock(): Clock & { stop(): void } {
  let isStopped = false;
  return {
    nowMs: () => Date.now(),
    after: (delayMs, run) => {
      const timer = setTimeout(() => {
        if (!isStopped) run();
      }, delayMs);
      timer.unref();
      return () => {
        clearTimeout(timer);
      };
    },
    stop: () => {
      isStopped = true;
    },
  };
}

/** The reconciler as the controller has it, on a real API server; the part of HostedAPIServers is the test's. */
describeDataPlane("what HostedAPIServers are told of their InternalGateway", () => {
  let cluster: EmbeddedCluster;
  let api: Api;
  let queue: Queue;
  let reconciler: GatewayReconciler;
  let ipv4: string;
  let changes = 0;
  const clock = stoppableClock();

  const factsOf = () => {
    const known = reconciler.facts.of(key);
    return known === "unseen" ? undefined : known;
  };
  const addressesOf = async () => (await api.get(igw)).status?.addresses;

  beforeAll(async () => {
    cluster = await startCluster({ version: LARGE_CASES_VERSION });
    api = new Api(cluster);
    await applyIstioDefinitions(speak(cluster));
    const config = new KubeConfig();
    config.loadFromFile(await cluster.kubeconfigFor({ name: "test", groups: ["system:masters"] }));
    const client = new KubernetesClient(new Connection(config));
    const context = { client, clock, log: silentLogger };
    await installDefinitions({ ...context, version: "0.1.0" }, customResourceDefinitions);
    await api.create(namespace(home));
    const watchCaches = openWatchCaches(context);
    await Promise.all(
      Object.values(watchCaches).map(({ synced }: { synced: Promise<void> }) => synced),
    );
    const caches = openExposureCaches(context, watchCaches);
    const events = createEventRecorder(context);
    queue = createQueue({
      name: "gateways",
      clock,
      log: silentLogger,
      reconcile: (name) => reconciler.reconcile(name),
    });
    reconciler = new GatewayReconciler({ ...context, caches, events }, (name) => {
      queue.add(name);
    });
    reconciler.facts.onChange((name) => {
      if (name === key) changes += 1;
    });
    await api.create(internalGateway(home));
    await eventually(() => {
      if (factsOf()?.filterInLine !== true) throw new Error("no filter yet");
    });
    const service = await api.get({
      kind: "Service",
      namespace: home,
      name: "istio-ingressgateway-internal",
    });
    [ipv4 = ""] = (service.spec as { clusterIPs: readonly string[] }).clusterIPs;
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    queue.stop();
    clock.stop();
    api.close();
    await cluster.stop();
  });

  it("is the value of its route Secret", async () => {
    const secret = await api.get({
      kind: "Secret",
      namespace: home,
      name: "fairlead-default-route",
    });
    // Compared, not shown.
    expect(factsOf()?.routeSecret === decode(secret).value).toBe(true);
  });

  it("follows the endpoints", async () => {
    expect(reconciler.facts.of(key)).toMatchObject({ podAddresses: [], serviceAddresses: [] });
    const addresses = ["192.0.2.10"];
    await api.create(
      endpointSlice(home, "istio-ingressgateway-internal", {
        addresses,
        port: 9443,
        name: slice.name,
      }),
    );
    await eventually(() => {
      expect(reconciler.facts.of(key)).toMatchObject({
        podAddresses: addresses,
        serviceAddresses: [ipv4],
      });
    });
    await eventually(async () => {
      expect(await addressesOf()).toEqual([ipv4]);
    });
  });

  it("is not told again for what is no matter to them", async () => {
    await queue.idle();
    const before = changes;
    const attached = {
      ...hostedAPIServer("tenant-a", "main"),
      status: { gatewayRef: { namespace: home, name: "default" } },
    } as unknown as HostedAPIServer;
    for (const changed of reconciler.noteAttachment("tenant-a/main", attached)) queue.add(changed);
    await api.patch(igw, { metadata: { annotations: { somebody: "else" } } });
    await eventually(async () => {
      expect((await api.get(igw)).status).toMatchObject({ attachedAPIServers: 1 });
    });
    // The same attachment is no change.
    expect(reconciler.noteAttachment("tenant-a/main", attached)).toEqual([]);
    for (const changed of reconciler.noteAttachment("tenant-a/main", undefined)) queue.add(changed);
    await eventually(async () => {
      expect((await api.get(igw)).status).toMatchObject({ attachedAPIServers: 0 });
    });
    expect(changes).toBe(before);
  });

  it("keeps an address where nobody answers, which the status leaves out until somebody does", async () => {
    const before = changes;
    reconciler.noteAddress(key, ipv4, false);
    await eventually(async () => {
      const object = await api.get(igw);
      expect(object.status?.addresses).toEqual([]);
      expect(conditionsOf(object).Programmed).toMatchObject({ reason: "AddressNotUsable" });
    });
    expect(factsOf()?.serviceAddresses).toEqual([ipv4]);
    reconciler.noteAddress(key, ipv4, true);
    await eventually(async () => {
      const object = await api.get(igw);
      expect(object.status?.addresses).toEqual([ipv4]);
      expect(conditionsOf(object).Programmed).toMatchObject({ status: "True" });
    });
    expect(changes).toBe(before);
  });

  it("ends with the gateway", async () => {
    const before = changes;
    await api.remove(igw);
    await eventually(() => {
      expect(factsOf()).toBeUndefined();
    });
    expect(changes).toBeGreaterThan(before);
  });
});
