import type { Condition, HostedAPIServer, KubernetesObject } from "../../lib/api";
import { silentLogger, type KubernetesClient } from "../../lib/cluster";
import { FakeClock } from "../../test/credentials/fake-cluster";
import { FakeCache } from "../../test/doubles/fake-cache";
import { statusController } from ".";
import { CALM_MS, PENDING_CALM_MS } from "./decide";

type Required = "Accepted" | "ResolvedRefs" | "CredentialsSynced" | "Programmed";
type Statuses = Readonly<Partial<Record<Required | "Ready", Condition["status"]>>>;

const condition = (type: string, status: Condition["status"], reason: string): Condition => ({
  type,
  status,
  reason,
  message: "",
  observedGeneration: 1,
  lastTransitionTime: "2026-01-01T00:00:00Z",
});

function server(statuses: Statuses, reason = "Reason"): HostedAPIServer {
  const conditions = Object.entries(statuses).map(([type, status]) =>
    condition(type, status, reason),
  );
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { namespace: "tenant-a", name: "main", generation: 1 },
    spec: { kubernetesVersion: "1.34.2", hosts: ["api.tenant-a.example.com"] },
    status: { conditions },
  };
}

const allTrue: Statuses = {
  Accepted: "True",
  ResolvedRefs: "True",
  CredentialsSynced: "True",
  Programmed: "True",
};

function begin() {
  const written: string[] = [];
  const cache = new FakeCache<HostedAPIServer>();
  const client = {
    apply: async (object: HostedAPIServer): Promise<KubernetesObject> => {
      const [ready] = object.status?.conditions ?? [];
      written.push(`${ready?.status ?? ""} ${ready?.reason ?? ""}`);
      return Promise.resolve(object);
    },
  } as unknown as KubernetesClient;
  const clock = new FakeClock(0);
  const context = { client, clock, log: silentLogger, caches: { hostedAPIServers: cache } };
  const { queue } = statusController(context);
  const rest = async (): Promise<void> => {
    await new Promise((resolve) => setImmediate(resolve));
    await queue.idle();
  };
  return { written, cache, clock, rest };
}

describe("the writer of Ready", () => {
  it("writes at once that something is ready, and that it no longer is", async () => {
    const { written, cache, rest } = begin();
    cache.put(server({ ...allTrue, Ready: "False" }));
    await rest();
    cache.put(server({ ...allTrue, Programmed: "False", Ready: "True" }, "NotServed"));
    await rest();
    expect(written).toEqual(["True Ready", "False NotServed"]);
  });

  it("makes one write of several reasons in a moment", async () => {
    const { written, cache, clock, rest } = begin();
    cache.put(server({}));
    await rest();
    cache.put(server({ Accepted: "False" }, "GatewayNotFound"));
    await rest();
    cache.put(server({ ...allTrue, Programmed: "False" }, "NotServed"));
    await rest();
    expect(written).toEqual([]);
    clock.advance(CALM_MS);
    await rest();
    expect(written).toEqual(["False NotServed"]);
  });

  it("says that it does not know yet only where that lasts", async () => {
    const { written, cache, clock, rest } = begin();
    cache.put(server({}));
    await rest();
    clock.advance(CALM_MS);
    await rest();
    expect(written).toEqual([]);
    clock.advance(PENDING_CALM_MS - CALM_MS);
    await rest();
    expect(written).toEqual(["Unknown Pending"]);
  });

  it("does not wait for a reason's turn once it is ready", async () => {
    const { written, cache, clock, rest } = begin();
    cache.put(server({}));
    await rest();
    cache.put(server(allTrue));
    await rest();
    expect(written).toEqual(["True Ready"]);
    cache.put(server({ ...allTrue, Ready: "True" }, "Ready"));
    clock.advance(CALM_MS);
    await rest();
    expect(written.filter((each) => !each.startsWith("True"))).toEqual([]);
  });
});
