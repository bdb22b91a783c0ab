import { PeprMutateRequest, type Capability } from "pepr";
import { servicesCapability, type ServicesInputs } from "../../capabilities/services";
import type { HostedAPIServer } from "../../lib/api";
import { AdmissionNotes, silentLogger, type Clock } from "../../lib/cluster";
import { FakeCache } from "../doubles/fake-cache";

type Request = ConstructorParameters<typeof PeprMutateRequest>[0];

const hapi: HostedAPIServer = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { name: "api", namespace: "tenant-a" },
  spec: {
    kubernetesVersion: "1.34.2",
    hosts: ["api.a.example.com"],
    topologyAware: { enabled: true },
  },
};
const plain = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "etcd-main-client", namespace: "tenant-a", uid: "service-1" },
  spec: { type: "ClusterIP", ports: [{ port: 2379 }] },
};
const aware = {
  ...plain,
  metadata: {
    ...plain.metadata,
    annotations: { "fairlead.dev/traffic-distribution": "PreferSameZone" },
  },
  spec: { ...plain.spec, trafficDistribution: "PreferSameZone" },
};

function requestFor(object: object, more: object = {}): Request {
  return {
    uid: "request-1",
    kind: { group: "", version: "v1", kind: "Service" },
    resource: { group: "", version: "v1", resource: "services" },
    name: "etcd-main-client",
    namespace: "tenant-a",
    operation: "CREATE",
    userInfo: { username: "somebody" },
    object,
    ...more,
  } as unknown as Request;
}

const takenBack = requestFor(plain, { operation: "UPDATE", oldObject: aware });

/** A clock whose hands are moved, and whose timers run when they are told to. */
function handClock() {
  const timers = new Set<() => void>();
  const clock: Clock & { now: number; ring: () => void; pending: () => number } = {
    now: 0,
    nowMs: () => clock.now,
    after: (_delayMs, run) => {
      timers.add(run);
      return () => timers.delete(run);
    },
    ring: () => {
      for (const run of [...timers]) run();
    },
    pending: () => timers.size,
  };
  return clock;
}

function setUp() {
  const hostedAPIServers = new FakeCache<HostedAPIServer>();
  const versions = { minor: 34, ready: Promise.resolve(), onChange: () => undefined };
  const zones = { count: 2, ready: Promise.resolve(), onChange: () => undefined };
  const clock = handClock();
  const notes = new AdmissionNotes();
  let provide: (inputs: ServicesInputs) => void = () => undefined;
  const capability = servicesCapability({
    inputs: new Promise((resolve) => {
      provide = resolve;
    }),
    notes,
    clock,
    log: silentLogger,
    settings: { admissionWaitMs: 3_000, contest: { rounds: 3, windowMs: 60_000 } },
  });
  const refresh = () => Promise.resolve();
  const open = () => {
    provide({ versions: { ...versions, refresh }, zones, hostedAPIServers });
  };
  return { capability, clock, notes, hostedAPIServers, open };
}

function ready() {
  const all = setUp();
  all.open();
  all.hostedAPIServers.fill([hapi]);
  return all;
}

/** The object as it leaves the binding. */
async function admit(capability: Capability, request: Request): Promise<unknown> {
  const wrapped = new PeprMutateRequest(request);
  const binding = capability.bindings.find(({ isMutate }) => isMutate === true);
  await binding?.mutateCallback?.(wrapped as never);
  return wrapped.Raw;
}

describe("the binding of Services", () => {
  it("sets the value on a create", async () => {
    const { capability } = ready();

    await expect(admit(capability, requestFor(plain))).resolves.toEqual(aware);
  });

  it("sets it on a dry run too", async () => {
    const { capability } = ready();

    await expect(admit(capability, requestFor(plain, { dryRun: true }))).resolves.toEqual(aware);
  });

  it("takes the namespace from the request where the object has none", async () => {
    const { capability } = ready();
    const { namespace: _namespace, ...metadata } = plain.metadata;

    await expect(admit(capability, requestFor({ ...plain, metadata }))).resolves.toMatchObject({
      spec: { trafficDistribution: "PreferSameZone" },
    });
  });

  it("leaves a Service of no interest as it is", async () => {
    const { capability } = ready();
    const other = { ...plain, metadata: { ...plain.metadata, name: "web" } };

    await expect(admit(capability, requestFor(other))).resolves.toEqual(other);
  });

  it("leaves the status alone", async () => {
    const { capability } = ready();
    const request = requestFor(plain, { subResource: "status" });

    await expect(admit(capability, request)).resolves.toEqual(plain);
  });

  it("notes a warning for the request", async () => {
    const { capability, notes } = ready();
    const annotations = { "service.kubernetes.io/topology-mode": "Auto" };
    const service = { ...plain, metadata: { ...plain.metadata, annotations } };

    await admit(capability, requestFor(service));

    expect(notes.take("request-1")).toEqual([
      expect.stringContaining("service.kubernetes.io/topology-mode overrides trafficDistribution"),
    ]);
  });

  it("waits for its inputs", async () => {
    const { capability, hostedAPIServers, open } = setUp();
    const answer = admit(capability, requestFor(plain));
    open();
    hostedAPIServers.fill([hapi]);

    await expect(answer).resolves.toEqual(aware);
  });

  it("waits no longer than it may, and lets the Service through", async () => {
    const { capability, clock, open } = setUp();
    open();
    const answer = admit(capability, requestFor(plain));
    clock.ring();

    await expect(answer).resolves.toEqual(plain);
    expect(clock.pending()).toBe(0);
  });
});

describe("a manager that keeps taking the value away", () => {
  it("finds it set again, until it has done so too often", async () => {
    const { capability } = ready();

    await expect(admit(capability, takenBack)).resolves.toEqual(aware);
    await expect(admit(capability, takenBack)).resolves.toEqual(aware);
    await expect(admit(capability, takenBack)).resolves.toEqual({
      ...plain,
      metadata: { ...plain.metadata, annotations: { "fairlead.dev/contested": "somebody" } },
    });
  });

  it("may take its time", async () => {
    const { capability, clock } = ready();
    const answers: unknown[] = [];
    for (let round = 0; round < 5; round += 1) {
      answers.push(await admit(capability, takenBack));
      clock.now += 40_000;
    }

    expect(answers).toEqual([aware, aware, aware, aware, aware]);
  });

  it("is not counted on dry runs", async () => {
    const { capability } = ready();
    const dryRun = { ...takenBack, dryRun: true } as Request;
    for (let round = 0; round < 5; round += 1) await admit(capability, dryRun);

    await expect(admit(capability, takenBack)).resolves.toEqual(aware);
  });

  it("is forgiven when somebody else removes the annotation", async () => {
    const { capability } = ready();
    for (let round = 0; round < 3; round += 1) await admit(capability, takenBack);
    const annotations = { "fairlead.dev/contested": "somebody" };
    const contested = { ...plain, metadata: { ...plain.metadata, annotations } };
    const peace = requestFor(plain, {
      operation: "UPDATE",
      oldObject: contested,
      userInfo: { username: "admin" },
      options: { fieldManager: "kubectl-annotate" },
    });

    await expect(admit(capability, peace)).resolves.toEqual(aware);
    await expect(admit(capability, takenBack)).resolves.toEqual(aware);
  });
});
