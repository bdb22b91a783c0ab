import { FakeCache } from "../../test/doubles/fake-cache";
import type { HostedAPIServer, PartialObjectMetadata } from "../../lib/api";
import {
  ApiError,
  silentLogger,
  type Clock,
  type EventText,
  type KubernetesClient,
} from "../../lib/cluster";
import { servicesController } from "./controller";
import { defaultServicesSettings } from "./inputs";
import type { ServicePatch } from "./plan";
import type { Service } from "../../lib/domain/traffic-distribution";
import { ZoneCounter } from "./zones";

const MARK = "fairlead.dev/traffic-distribution";

const hapi = (enabled: boolean): HostedAPIServer => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { name: "api", namespace: "tenant-a", generation: 2 },
  spec: {
    kubernetesVersion: "1.34.2",
    hosts: ["api.a.example.com"],
    topologyAware: { enabled, services: ["etcd"] },
  },
});
const serviceOf = (namespace: string, spec: Service["spec"] = {}): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "etcd", namespace, uid: `${namespace}-etcd`, resourceVersion: "1" },
  spec,
});
const node = (name: string, zone: string): PartialObjectMetadata => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels: { "topology.kubernetes.io/zone": zone } },
});

/** What another manager does within the same write. */
type Meddle = (service: Service) => Service;

function setUp(meddle: Meddle = (service) => service) {
  const services = new FakeCache<Service>();
  const hostedAPIServers = new FakeCache<HostedAPIServer>();
  const nodes = new FakeCache<PartialObjectMetadata>();
  const timers: { run: () => void; afterMs: number }[] = [];
  const clock: Clock = {
    nowMs: () => 0,
    after: (afterMs, run) => {
      const timer = { run, afterMs };
      timers.push(timer);
      return () => timers.splice(timers.indexOf(timer), 1);
    },
  };
  const patches: ServicePatch[] = [];
  const conditions: unknown[] = [];
  const events: EventText[] = [];
  const failures: ApiError[] = [];
  let refreshed = 0;
  const client = {
    patch: ({ name, namespace }: { name: string; namespace: string }, patch: ServicePatch) => {
      const failure = failures.shift();
      if (failure !== undefined) return Promise.reject(failure);
      patches.push(patch);
      const service = services.get(name, namespace);
      if (service === undefined) return Promise.reject(new Error("not there"));
      const stored = meddle(patched(service, patch));
      services.put(stored);
      return Promise.resolve(stored);
    },
    apply: (object: HostedAPIServer) => {
      conditions.push(object.status?.conditions);
      const current = hostedAPIServers.get("api", "tenant-a");
      if (current !== undefined) hostedAPIServers.put({ ...current, status: object.status ?? {} });
      return Promise.resolve(object);
    },
  } as unknown as KubernetesClient;
  const versions = {
    minor: 34 as number | undefined,
    ready: Promise.resolve(),
    listeners: [] as (() => void)[],
    onChange: (listener: () => void) => versions.listeners.push(listener),
    refresh: () => {
      refreshed += 1;
      return Promise.resolve();
    },
  };
  const controller = servicesController({
    client,
    services,
    inputs: { versions, zones: new ZoneCounter(nodes), hostedAPIServers },
    events: { event: (_about, text) => events.push(text) },
    clock,
    log: silentLogger,
    settings: defaultServicesSettings,
  });
  const start = async (given: readonly Service[], hapis: readonly HostedAPIServer[]) => {
    const started = controller.start();
    nodes.fill([node("a", "zone-a"), node("b", "zone-b")]);
    services.fill(given);
    hostedAPIServers.fill(hapis);
    await started;
    await controller.queue.idle();
  };
  const all = { controller, services, hostedAPIServers, nodes, versions, timers, start };
  return { ...all, patches, conditions, events, failures, refreshed: () => refreshed };
}

let version = 1;
function patched(service: Service, { metadata, spec }: ServicePatch): Service {
  const merged = { ...service.metadata.annotations, ...metadata.annotations };
  const annotations = Object.fromEntries(
    Object.entries(merged).filter((entry): entry is [string, string] => entry[1] !== null),
  );
  const { trafficDistribution, ...shape } = { ...service.spec, ...spec };
  version += 1;
  return {
    ...service,
    metadata: { ...service.metadata, annotations, resourceVersion: String(version) },
    spec: typeof trafficDistribution === "string" ? { ...shape, trafficDistribution } : shape,
  };
}

const setPatch = {
  metadata: { resourceVersion: "1", annotations: { [MARK]: "PreferSameZone" } },
  spec: { trafficDistribution: "PreferSameZone" },
};

describe("the watch of Services", () => {
  it("brings existing Services in line at start and touches no other", async () => {
    const { start, patches } = setUp();
    await start([serviceOf("tenant-a"), serviceOf("tenant-b")], [hapi(true)]);

    expect(patches).toEqual([setPatch]);
  });

  it("writes the condition once", async () => {
    const { start, conditions, controller, hostedAPIServers } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    const current = hostedAPIServers.get("api", "tenant-a");
    hostedAPIServers.put(current ?? hapi(true));
    await controller.queue.idle();

    expect(conditions).toEqual([
      [
        expect.objectContaining({
          type: "TopologyAware",
          status: "True",
          reason: "Enabled",
          observedGeneration: 2,
        }),
      ],
    ]);
  });

  it("follows the HostedAPIServer when it is turned off", async () => {
    const { start, patches, hostedAPIServers, controller } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    hostedAPIServers.put(hapi(false));
    await controller.queue.idle();

    expect(patches.at(-1)).toMatchObject({
      metadata: { annotations: { [MARK]: null } },
      spec: { trafficDistribution: null },
    });
  });

  it("looks at no Service for what others report of a HostedAPIServer", async () => {
    const { start, hostedAPIServers, controller } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    const current = hostedAPIServers.get("api", "tenant-a") ?? hapi(true);
    const { conditions = [], ...status } = current.status ?? {};
    const ready = { type: "Ready", status: "True", reason: "Ready", message: "" } as const;
    const reported = { ...ready, lastTransitionTime: "2026-01-01T00:00:00Z" };
    hostedAPIServers.put({
      ...current,
      status: { ...status, conditions: [...conditions, reported] },
    });

    expect(controller.queue.depth().ready).toBe(0);
    hostedAPIServers.put({ ...current, status: { ...status, conditions: [] } });
    expect(controller.queue.depth().ready).toBe(2);
  });

  it("follows the version without a restart", async () => {
    const { start, patches, versions, controller } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    versions.minor = 33;
    for (const listener of versions.listeners) listener();
    await controller.queue.idle();

    expect(patches.at(-1)).toMatchObject({ spec: { trafficDistribution: "PreferClose" } });
  });

  it("follows the zones, and a node more in a known zone costs nothing", async () => {
    const { start, patches, nodes, controller } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    nodes.put(node("c", "zone-b"));
    nodes.remove(node("c", "zone-b"));
    await controller.queue.idle();
    expect(patches).toHaveLength(1);
    nodes.put(node("b", "zone-a"));
    await controller.queue.idle();

    expect(patches.at(-1)).toMatchObject({ spec: { trafficDistribution: null } });
  });

  it("sets the value again when it was taken away, and lets go in the end", async () => {
    const { start, patches, services, controller, events } = setUp();
    await start([serviceOf("tenant-a")], [hapi(true)]);
    for (let round = 0; round < 8; round += 1) {
      const { annotations: _annotations, ...metadata } =
        services.get("etcd", "tenant-a")?.metadata ?? serviceOf("tenant-a").metadata;
      const isContested = services.get("etcd", "tenant-a")?.metadata.annotations?.[
        "fairlead.dev/contested"
      ];
      if (isContested !== undefined) break;
      version += 1;
      services.put({
        ...serviceOf("tenant-a"),
        metadata: { ...metadata, resourceVersion: String(version) },
      });
      await controller.queue.idle();
    }

    expect(patches).toHaveLength(6);
    expect(patches.at(-1)?.metadata.annotations).toEqual({
      [MARK]: null,
      "fairlead.dev/contested": "unknown",
    });
    expect(events).toEqual([expect.objectContaining({ type: "Warning", reason: "Contested" })]);
  });

  it("does not go on at once when another webhook takes the value away within the write", async () => {
    const { start, patches, timers } = setUp(({ spec: _spec, ...service }) => ({
      ...service,
      metadata: { ...service.metadata, annotations: {}, resourceVersion: "1" },
      spec: {},
    }));
    await start([serviceOf("tenant-a")], [hapi(true)]);

    expect(patches).toHaveLength(1);
    expect(timers.map(({ afterMs }) => afterMs)).toContain(30_000);
  });

  it("asks for the version when an API server refuses the value", async () => {
    const { start, patches, failures, refreshed, timers } = setUp();
    failures.push(new ApiError("refused", { status: 422, reason: "Invalid" }));
    await start([serviceOf("tenant-a")], [hapi(true)]);

    expect(patches).toEqual([]);
    expect(refreshed()).toBe(1);
    expect(timers.map(({ afterMs }) => afterMs)).toContain(30_000);
  });

  it("is not driven on by a webhook that undoes even its letting go", async () => {
    const { start, patches, services, controller, timers } = setUp((service) => {
      version += 1;
      const { annotations: _annotations, ...metadata } = service.metadata;
      return { ...service, metadata: { ...metadata, resourceVersion: String(version) }, spec: {} };
    });
    await start([serviceOf("tenant-a")], [hapi(true)]);
    services.put(services.get("etcd", "tenant-a") ?? serviceOf("tenant-a"));
    await controller.queue.idle();

    expect(patches).toHaveLength(1);
    expect(timers.map(({ afterMs }) => afterMs)).toContain(30_000);
  });

  it("looks again soon after a conflict", async () => {
    const { start, patches, failures, timers, controller } = setUp();
    failures.push(new ApiError("changed", { status: 409, reason: "Conflict" }));
    await start([serviceOf("tenant-a")], [hapi(true)]);
    timers.find(({ afterMs }) => afterMs === 200)?.run();
    await controller.queue.idle();

    expect(patches).toEqual([setPatch]);
  });
});
