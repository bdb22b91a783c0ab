import type { CacheOptions, Clock } from "../../lib/cluster";
import type { ConfigMap } from "../../lib/domain/route-config";
import { FakeCache } from "../../test/doubles/fake-cache";
import type { RouteService as Service } from "../../lib/domain/routes";
import { Routes } from "./routes";

const DEFAULT_SERVICE = "istio-ingressgateway-internal";

const route = (namespace: string, service?: string): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "istio-internal-load-balancing", namespace },
  data: { hosts: "api.a.example.com", ...(service === undefined ? {} : { service }) },
});

const service = (name: string): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "istio-ingress" },
  spec: { clusterIPs: ["10.96.3.7"] },
});

const never: Clock = { nowMs: () => 0, after: () => () => undefined };

function setUp(clock = never) {
  const configMaps = new FakeCache<ConfigMap>();
  const services = new Map<string, FakeCache<Service>>();
  const asked: string[] = [];
  const routes = new Routes({
    caches: {
      configMaps: ({ fieldSelector = "" }) => {
        asked.push(fieldSelector);
        return configMaps;
      },
      services: ({ fieldSelector = "" }: CacheOptions<Service>) => {
        const cache = new FakeCache<Service>();
        services.set(fieldSelector.replace("metadata.name=", ""), cache);
        asked.push(fieldSelector);
        return cache;
      },
    },
    clock,
    waitMs: 1_000,
  });
  return { routes, configMaps, services, asked };
}

/** Whether a promise is settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  const pending = Symbol("pending");
  await new Promise((resolve) => setImmediate(resolve));
  return (await Promise.race([promise, Promise.resolve(pending)])) !== pending;
}

describe("routes", () => {
  it("open nothing before they are started, and then two watches by name, once", () => {
    const { routes, asked } = setUp();

    expect(asked).toEqual([]);

    routes.start();
    routes.start();

    expect(asked.sort()).toEqual([
      "metadata.name=istio-ingressgateway-internal",
      "metadata.name=istio-internal-load-balancing",
    ]);
  });

  it("are ready for a namespace without a ConfigMap before any Service is known", async () => {
    const { routes, configMaps } = setUp();
    routes.start();
    configMaps.fill([route("tenant-b")]);

    expect(await routes.ready("tenant-a")).toBe(true);
    expect(await isSettled(routes.ready("tenant-b"))).toBe(false);
  });

  it("wait for the start, the ConfigMaps and the Services", async () => {
    const { routes, configMaps, services } = setUp();
    const ready = routes.ready("tenant-a");
    routes.start();

    expect(await isSettled(ready)).toBe(false);

    configMaps.fill([route("tenant-a")]);

    expect(await isSettled(ready)).toBe(false);

    services.get(DEFAULT_SERVICE)?.fill([service(DEFAULT_SERVICE)]);

    expect(await ready).toBe(true);
  });

  it("wait for the Services of a name that a ConfigMap has just brought up", async () => {
    const { routes, configMaps, services } = setUp();
    routes.start();
    configMaps.fill([]);
    services.get(DEFAULT_SERVICE)?.fill([]);
    configMaps.put(route("tenant-a", "gateway-b"));
    const ready = routes.ready("tenant-a");

    expect(await isSettled(ready)).toBe(false);

    services.get("gateway-b")?.fill([service("gateway-b")]);

    expect(await ready).toBe(true);
    expect(routes.inputs("tenant-a").service("istio-ingress", "gateway-b")).toEqual(
      service("gateway-b"),
    );
  });

  it("do not wait longer than they may", async () => {
    const after = jest.fn<() => void, [number, () => void]>((_delayMs, run) => {
      setImmediate(run);
      return () => undefined;
    });
    const { routes } = setUp({ nowMs: () => 0, after });
    routes.start();

    expect(await routes.ready("tenant-a")).toBe(false);
    expect(after.mock.calls[0]?.[0]).toBe(1_000);
  });

  it("close the watch of a name when no ConfigMap mentions it any more", () => {
    const { routes, configMaps, services } = setUp();
    routes.start();
    configMaps.fill([route("tenant-a", "gateway-b"), route("tenant-b", "gateway-b")]);
    const first = services.get("gateway-b");
    configMaps.put(route("tenant-a"));

    expect(first?.isStopped).toBe(false);

    configMaps.put({ ...route("tenant-b", "gateway-b") });

    expect(first?.isStopped).toBe(false);

    configMaps.remove(route("tenant-b", "gateway-b"));

    expect(first?.isStopped).toBe(true);
    expect(services.get(DEFAULT_SERVICE)?.isStopped).toBe(false);

    configMaps.put(route("tenant-c", "gateway-b"));

    expect(services.get("gateway-b")).not.toBe(first);
  });

  it("open no watch for what is no Service's name", () => {
    const { routes, configMaps, asked } = setUp();
    routes.start();
    configMaps.fill([route("tenant-a", "a,metadata.namespace=b")]);

    expect(asked).toHaveLength(2);
  });

  it("close all watches when they are stopped", () => {
    const { routes, configMaps, services } = setUp();
    routes.start();
    configMaps.fill([route("tenant-a", "gateway-b")]);
    routes.stop();

    expect([configMaps, ...services.values()].every(({ isStopped }) => isStopped)).toBe(true);
  });
});
