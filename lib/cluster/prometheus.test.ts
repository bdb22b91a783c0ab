import fc from "fast-check";
import type { Condition, HostedAPIServer, InternalGateway } from "../api";
import { metricSamples } from "../../test/cluster/metrics";
import { FakeCache } from "../../test/doubles/fake-cache";
import { ApiError, UnreachableError } from "./errors";
import { WatchList } from "./freshness";
import { exportedName, METRICS, type MetricName } from "./metric-definitions";
import { addToPage, PrometheusMetrics } from "./prometheus";

const ISSUED = "2026-01-01T00:00:00Z";
const EXPIRES = "2026-03-01T00:00:00Z";
const startMs = Date.parse("2026-02-01T00:00:00Z");

function setUp() {
  let nowMs = startMs;
  const clock = { nowMs: () => nowMs };
  const watches = new WatchList(clock);
  const metrics = new PrometheusMetrics({ clock, version: "1.2.3", watches });
  const hostedAPIServers = new FakeCache<HostedAPIServer>();
  const internalGateways = new FakeCache<InternalGateway>();
  metrics.observeObjects({ hostedAPIServers, internalGateways });
  return {
    metrics,
    watches,
    hostedAPIServers,
    advance: (ms: number) => {
      nowMs += ms;
    },
    samplesOf: async (name: MetricName) => metricSamples(await metrics.text(), exportedName(name)),
    seriesOf: async (name: string) =>
      (await metrics.text())
        .split("\n")
        .filter((line) => line.startsWith("fairlead_") && line.includes(`name="${name}"`)),
  };
}

function condition(type: string, status: Condition["status"], reason: string): Condition {
  return { type, status, reason, message: "", lastTransitionTime: ISSUED };
}

function server(name: string, conditions: readonly Condition[] = []): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { namespace: "tenant", name, creationTimestamp: ISSUED },
    spec: { kubernetesVersion: "1.34.2", hosts: ["api.tenant.example.com"] },
    status: {
      loadBalancing: "L7",
      gatewayRef: { namespace: "istio-ingress", name: "default" },
      certificates: [
        { use: "server", notBefore: ISSUED, notAfter: EXPIRES, sha256: "" },
        { use: "clientCA", notAfter: EXPIRES, sha256: "" },
      ],
      conditions: [...conditions],
    },
  } as HostedAPIServer;
}

const named = (name: string) => ({ namespace: "tenant", name });

describe("metrics of HostedAPIServers", () => {
  it("come and go with them", async () => {
    const { metrics, hostedAPIServers, seriesOf } = setUp();
    hostedAPIServers.fill([server("main")]);
    metrics.credentialsConfirmed("tenant/main");
    metrics.stalePods("tenant/main", { NoAlias: 2 });
    expect(await seriesOf("main")).not.toEqual([]);

    hostedAPIServers.remove(server("main"));
    expect(await seriesOf("main")).toEqual([]);
  });

  it("are thirteen at most for each, stale Pods aside, whatever its status says", async () => {
    const { metrics, hostedAPIServers, seriesOf } = setUp();
    const uses = ["server", "serverCA", "clientCA", "proxyClient", "proxyClientIssuer"] as const;
    const full = server("main");
    const certificates = uses.map((use) => ({
      use,
      notBefore: ISSUED,
      notAfter: EXPIRES,
      sha256: "",
    }));
    hostedAPIServers.fill([{ ...full, status: { ...full.status, certificates } }]);
    metrics.credentialsConfirmed("tenant/main");
    // info, ready, sync age, and two for each of five certificates
    expect(await seriesOf("main")).toHaveLength(3 + 2 * uses.length);
  });

  it("say when certificates expire", async () => {
    const { hostedAPIServers, samplesOf } = setUp();
    hostedAPIServers.fill([server("main")]);
    expect(await samplesOf("certificate_expiration_timestamp_seconds")).toEqual([
      { labels: { ...named("main"), use: "server" }, value: Date.parse(EXPIRES) / 1_000 },
      { labels: { ...named("main"), use: "clientCA" }, value: Date.parse(EXPIRES) / 1_000 },
    ]);
    expect(await samplesOf("certificate_not_before_timestamp_seconds")).toEqual([
      { labels: { ...named("main"), use: "server" }, value: Date.parse(ISSUED) / 1_000 },
    ]);
  });

  it("say which are ready", async () => {
    const { hostedAPIServers, samplesOf } = setUp();
    hostedAPIServers.fill([
      server("a", [condition("Ready", "True", "Ready")]),
      server("b", [condition("Ready", "Unknown", "Pending")]),
    ]);
    expect(await samplesOf("hosted_api_server_ready")).toEqual([
      { labels: named("a"), value: 1 },
      { labels: named("b"), value: 0 },
    ]);
  });

  it("count them by condition and reason", async () => {
    const { hostedAPIServers, samplesOf } = setUp();
    hostedAPIServers.fill([
      server("a", [condition("Programmed", "False", "NotServed")]),
      server("b", [condition("Programmed", "False", "NotServed")]),
      server("c", [condition("Programmed", "True", "Programmed")]),
    ]);
    expect(await samplesOf("hosted_api_servers")).toEqual([
      { labels: { condition: "Programmed", status: "False", reason: "NotServed" }, value: 2 },
      { labels: { condition: "Programmed", status: "True", reason: "Programmed" }, value: 1 },
    ]);
  });

  it("give the age of the last confirmation, or of the process where there was none", async () => {
    const { metrics, hostedAPIServers, samplesOf, advance } = setUp();
    hostedAPIServers.fill([server("a"), server("b")]);
    advance(60_000);
    metrics.credentialsConfirmed("tenant/a");
    advance(30_000);
    expect(await samplesOf("credentials_sync_age_seconds")).toEqual([
      { labels: named("a"), value: 30 },
      { labels: named("b"), value: 90 },
    ]);
  });

  it("show the stale Pods that were told of last", async () => {
    const { metrics, hostedAPIServers, samplesOf } = setUp();
    hostedAPIServers.fill([server("a")]);
    metrics.stalePods("tenant/a", { NoAlias: 2, OtherAddress: 1 });
    metrics.stalePods("tenant/a", { OtherAddress: 3 });
    metrics.stalePods("tenant/gone", { NoAlias: 9 });
    expect(await samplesOf("stale_pods")).toEqual([
      { labels: { ...named("a"), reason: "OtherAddress" }, value: 3 },
    ]);
  });
});

describe("counters", () => {
  it("tell decisions apart by capability, action and reason", async () => {
    const { metrics, samplesOf } = setUp();
    const denied = { capability: "pods", action: "deny", reason: "ServiceNotFound" };
    metrics.admissionDecided(denied);
    metrics.admissionDecided(denied);
    metrics.admissionDecided({ ...denied, action: "change", reason: "Routed" });
    expect(await samplesOf("admission_decisions_total")).toEqual([
      { labels: denied, value: 2 },
      { labels: { capability: "pods", action: "change", reason: "Routed" }, value: 1 },
    ]);
  });

  it("take a reason that is no word for Other", async () => {
    const { metrics, samplesOf } = setUp();
    for (const reason of ["api.tenant.example.com", "no such Pod", "tenant/main", "", "x"]) {
      metrics.reconcileDecided({ capability: "pods", action: "keep", reason });
    }
    expect(await samplesOf("reconcile_decisions_total")).toEqual([
      { labels: { capability: "pods", action: "keep", reason: "Other" }, value: 5 },
    ]);
  });

  it("have no more than 257 series, and lose nothing, whatever they are told", async () => {
    const words = fc.record({ capability: fc.string(), action: fc.string(), reason: fc.string() });
    await fc.assert(
      fc.asyncProperty(fc.array(words, { minLength: 1, maxLength: 2_000 }), async (decisions) => {
        const { metrics } = setUp();
        for (const decision of decisions) metrics.reconcileDecided(decision);
        const lines = (await metrics.text())
          .split("\n")
          .filter((line) => line.startsWith("fairlead_reconcile_decisions_total{"));
        const sum = lines.reduce((total, line) => total + Number(line.split(" ").at(-1)), 0);
        return lines.length <= 257 && sum === decisions.length;
      }),
      { numRuns: 20 },
    );
  });

  it("count errors by the API server's reason, or by what kept it from answering", async () => {
    const { metrics, samplesOf } = setUp();
    const refused = new ApiError("no", { status: 403, reason: "Forbidden" });
    const proxy = new ApiError("no", { status: 502, reason: "HTTP 502" });
    const reset = Object.assign(new Error("reset"), { code: "ECONNRESET" });
    for (const error of [
      refused,
      new Error("wrapped", { cause: refused }),
      proxy,
      new UnreachableError("gone"),
      reset,
      new Error("a fault"),
      "thrown",
    ]) {
      metrics.failed("credentials", error);
    }
    const counted = (await samplesOf("errors_total")).map(({ labels, value }) => [
      labels.reason,
      value,
    ]);
    expect(counted).toEqual([
      ["Forbidden", 2],
      ["BadGateway", 1],
      ["Unreachable", 2],
      ["Internal", 2],
    ]);
  });
});

describe("metrics of queues", () => {
  it("begin at zero and count what came of runs", async () => {
    const { metrics, samplesOf } = setUp();
    const depth = { ready: 1, running: 2, waiting: 3 };
    const queue = metrics.queue("credentials", () => depth);
    expect(await samplesOf("queue_retries_total")).toEqual([
      { labels: { queue: "credentials" }, value: 0 },
    ]);
    queue.started(10);
    queue.ended("retry", 20, new UnreachableError("gone"));
    expect(await samplesOf("queue_retries_total")).toEqual([
      { labels: { queue: "credentials" }, value: 1 },
    ]);
    expect(await samplesOf("errors_total")).toEqual([
      { labels: { component: "credentials", reason: "Unreachable" }, value: 1 },
    ]);
    expect((await samplesOf("queue_depth")).map(({ value }) => value)).toEqual([1, 2, 3]);
  });
});

describe("metrics of watches", () => {
  const minuteMs = 60_000;

  it("show the most silent watch of a kind", async () => {
    const { watches, samplesOf, advance } = setUp();
    watches.open("Service", minuteMs);
    advance(10_000);
    watches.open("Service", minuteMs);
    advance(10_000);
    expect(await samplesOf("watch_silence_seconds")).toEqual([
      { labels: { kind: "Service" }, value: 20 },
    ]);
    expect(await samplesOf("watch_overdue_seconds")).toEqual([
      { labels: { kind: "Service" }, value: 0 },
    ]);
  });

  it("count from the end of the limit, which a broken watch's attempts don't move", async () => {
    const { watches, samplesOf, advance } = setUp();
    const tracker = watches.open("Service", minuteMs);
    tracker.heard(60 * minuteMs);
    advance(10 * minuteMs);
    tracker.broken(minuteMs);
    advance(minuteMs);
    tracker.broken(minuteMs);
    advance(minuteMs);
    expect(await samplesOf("watch_overdue_seconds")).toEqual([
      { labels: { kind: "Service" }, value: 60 },
    ]);
    tracker.heard(60 * minuteMs);
    expect(await samplesOf("watch_overdue_seconds")).toEqual([
      { labels: { kind: "Service" }, value: 0 },
    ]);
  });

  it("go with the watch", async () => {
    const { watches, samplesOf } = setUp();
    watches.open("Service", minuteMs).close();
    expect(await samplesOf("watch_silence_seconds")).toEqual([]);
  });
});

describe("the page", () => {
  it("holds Pepr's metrics and fairlead's, and all that are defined", async () => {
    const { metrics } = setUp();
    metrics.observeProcess();
    const page = { getMetrics: () => Promise.resolve("# HELP pepr_errors x\npepr_errors 0\n") };
    addToPage(page, metrics);
    const text = await page.getMetrics();

    expect(text).toMatch(/^# HELP pepr_errors x\npepr_errors 0\n# HELP /);
    expect(text).toContain("\nprocess_cpu_seconds_total ");
    const helps = [...text.matchAll(/^# HELP (fairlead_\S+)/gm)].map(([, name]) => name);
    expect(helps.sort()).toEqual(
      Object.keys(METRICS)
        .map((name) => exportedName(name as MetricName))
        .sort(),
    );
  });
});
