import { PeprMutateRequest, type Capability } from "pepr";
import { podsCapability, Routes } from "../../capabilities/pods";
import type { RouteService as Service } from "../../lib/domain/routes";
import { AdmissionNotes, mendResponse, silentLogger, type Clock } from "../../lib/cluster";
import type { AdmissionResponse } from "../../lib/cluster/admission";
import type { ConfigMap } from "../../lib/domain/route-config";
import type { Pod } from "../../lib/domain/routed-pods";
import { FakeCache } from "../doubles/fake-cache";

type Request = ConstructorParameters<typeof PeprMutateRequest>[0];

const configMap: ConfigMap = {
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "istio-internal-load-balancing", namespace: "tenant-a" },
  data: { hosts: "api.a.example.com", "istio-namespace": "istio-ingress" },
};
const service: Service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "istio-ingressgateway-internal", namespace: "istio-ingress" },
  spec: { type: "ClusterIP", clusterIP: "10.96.3.7", clusterIPs: ["10.96.3.7"] },
};
const pod = {
  apiVersion: "v1",
  kind: "Pod",
  metadata: { generateName: "controller-" },
  spec: {
    containers: [{ name: "controller", image: "example.com/controller:1" }],
    volumes: [{ name: "kubeconfig", secret: { secretName: "generic-token-kubeconfig" } }],
  },
};
const routed = {
  hostAliases: [{ ip: "10.96.3.7", hostnames: ["api.a.example.com"] }],
  label:
    "networking.resources.gardener.cloud/to-istio-ingress-istio-ingressgateway-internal-tcp-9443",
};

function requestFor(object: object, more: object = {}): Request {
  return {
    uid: "uid-1",
    kind: { group: "", version: "v1", kind: "Pod" },
    resource: { group: "", version: "v1", resource: "pods" },
    name: "",
    namespace: "tenant-a",
    operation: "CREATE",
    userInfo: {},
    object,
    ...more,
  } as unknown as Request;
}

/** A clock whose timers run when they are told to. */
function handClock(): Clock & { ring: () => void } {
  const timers: (() => void)[] = [];
  return {
    nowMs: () => 0,
    after: (_delayMs, run) => {
      timers.push(run);
      return () => timers.splice(timers.indexOf(run), 1);
    },
    ring: () => {
      timers.splice(0).forEach((run) => {
        run();
      });
    },
  };
}

function setUp() {
  const configMaps = new FakeCache<ConfigMap>();
  const services = new FakeCache<Service>();
  const clock = handClock();
  const caches = { configMaps: () => configMaps, services: () => services };
  const routes = new Routes({ caches, clock, waitMs: 1_000 });
  const notes = new AdmissionNotes();
  const capability = podsCapability({ routes, notes, log: silentLogger });
  routes.start();
  return { capability, clock, configMaps, services, notes };
}

function setUpSynced() {
  const all = setUp();
  all.configMaps.fill([configMap]);
  all.services.fill([service]);
  return all;
}

async function mutate(capability: Capability, request: Request): Promise<Pod> {
  const wrapped = new PeprMutateRequest(request);
  await capability.bindings.find(({ isMutate }) => isMutate)?.mutateCallback?.(wrapped);
  return wrapped.Raw as unknown as Pod;
}

describe("the binding of Pods", () => {
  it("is one, for the creation of Pods", () => {
    const { capability } = setUp();

    expect(capability.name).toBe("pods");
    expect(capability.bindings.map(({ event, kind }) => [event, kind.kind])).toEqual([
      ["CREATE", "Pod"],
    ]);
  });

  it("routes a Pod by the request's namespace", async () => {
    const { capability } = setUpSynced();
    const result = await mutate(capability, requestFor(pod));

    expect(result.spec.hostAliases).toEqual(routed.hostAliases);
    expect(result.metadata.labels).toEqual({ [routed.label]: "allowed" });
  });

  it("leaves the binding and the eviction of a Pod alone", async () => {
    const { capability } = setUpSynced();
    const result = await mutate(capability, requestFor(pod, { subResource: "binding" }));

    expect(result).toEqual(pod);
  });

  it("leaves a Pod of another namespace as it is", async () => {
    const { capability } = setUpSynced();

    expect(await mutate(capability, requestFor(pod, { namespace: "tenant-b" }))).toEqual(pod);
  });

  it("throws the sentence of a denial", async () => {
    const { capability, configMaps } = setUpSynced();
    configMaps.put({ ...configMap, data: {} });

    await expect(mutate(capability, requestFor(pod))).rejects.toThrow(
      "fairlead: ConfigMap tenant-a/istio-internal-load-balancing names no hosts: write",
    );
  });

  it("notes warnings for the answer", async () => {
    const { capability, notes } = setUpSynced();
    const hostAliases = [{ ip: "203.0.113.10", hostnames: ["api.a.example.com"] }];
    await mutate(capability, requestFor({ ...pod, spec: { ...pod.spec, hostAliases } }));

    expect(notes.take("uid-1")).toEqual([expect.stringContaining("keeps this Pod's own alias")]);
  });

  it("waits for the first reads", async () => {
    const { capability, configMaps, services } = setUp();
    const result = mutate(capability, requestFor(pod));
    configMaps.fill([configMap]);
    await Promise.resolve();
    services.fill([service]);

    expect((await result).spec.hostAliases).toEqual(routed.hostAliases);
  });

  it("denies a Pod whose route is not read in time", async () => {
    const { capability, clock } = setUp();
    const result = mutate(capability, requestFor(pod));
    clock.ring();

    await expect(result).rejects.toThrow(/^fairlead: .+ has not been read yet: try again/);
  });

  it("lets a Pod that is not to be routed pass before the first reads", async () => {
    const { capability } = setUp();
    const plain = { ...pod, spec: { containers: pod.spec.containers } };

    expect(await mutate(capability, requestFor(plain))).toEqual(plain);
  });
});

describe("Pepr's answer, mended", () => {
  // Not part of what pepr exports, but what answers in production.
  type Processor = (
    ...args: [config: object, capabilities: readonly Capability[], request: Request, about: object]
  ) => Promise<AdmissionResponse>;
  const { mutateProcessor } = jest.requireActual<{ mutateProcessor: Processor }>(
    "pepr/src/lib/processors/mutate-processor",
  );
  const config = { uuid: "fairlead", onError: "reject", webhookTimeout: 5, alwaysIgnore: {} };

  async function answer(all: ReturnType<typeof setUp>, object: object): Promise<AdmissionResponse> {
    const response = await mutateProcessor(config, [all.capability], requestFor(object), {});
    mendResponse(response, all.notes);
    return response;
  }

  const operationsOf = ({ patch = "" }: AdmissionResponse) =>
    JSON.parse(Buffer.from(patch, "base64").toString()) as { path: string }[];

  it("holds nothing but the route of a Pod that is routed", async () => {
    const response = await answer(setUpSynced(), pod);

    expect(response).toMatchObject({ uid: "uid-1", allowed: true, patchType: "JSONPatch" });
    expect(
      operationsOf(response)
        .map(({ path }) => path)
        .sort(),
    ).toEqual(["/metadata/labels", "/spec/hostAliases"]);
  });

  it("has no patch for a Pod that is left alone", async () => {
    const plain = { ...pod, spec: { containers: pod.spec.containers } };

    expect(await answer(setUpSynced(), plain)).toEqual({ uid: "uid-1", allowed: true });
  });

  it("has no patch for a Pod that is routed already", async () => {
    const all = setUpSynced();
    const once = {
      ...pod,
      metadata: { ...pod.metadata, labels: { [routed.label]: "allowed" }, annotations: { a: "b" } },
      spec: { ...pod.spec, hostAliases: routed.hostAliases },
    };

    expect(await answer(all, once)).toEqual({ uid: "uid-1", allowed: true });
  });

  it("warns of the user's own aliases without denying", async () => {
    const hostAliases = [{ ip: "203.0.113.10", hostnames: ["api.a.example.com"] }];
    const response = await answer(setUpSynced(), { ...pod, spec: { ...pod.spec, hostAliases } });

    expect(response.allowed).toBe(true);
    expect(response.warnings).toHaveLength(1);
  });

  it("denies with a sentence where clients look for it", async () => {
    const all = setUpSynced();
    all.services.remove(service);

    expect(await answer(all, pod)).toEqual({
      uid: "uid-1",
      allowed: false,
      status: {
        code: 403,
        reason: "Forbidden",
        message:
          "fairlead: ConfigMap tenant-a/istio-internal-load-balancing leads to Service istio-ingress/istio-ingressgateway-internal, which does not exist: create it, or correct istio-namespace and service.",
      },
    });
  });
});
