import { collectDefaultMetrics, Counter, Gauge, Histogram, Registry } from "prom-client";
import type { HostedAPIServer, InternalGateway } from "../api";
import type { Admission } from "../domain/admission";
import { keyOf } from "../domain/keys";
import type { Cache } from "./cache";
import type { Clock } from "./clock";
import { errorReason } from "./errors";
import type { WatchList } from "./freshness";
import {
  exportedName,
  METRICS,
  type MetricDefinition,
  type MetricName,
} from "./metric-definitions";
import {
  admissionSamples,
  certificateSamples,
  conditionSamples,
  infoSamples,
  OTHER,
  overdueSamples,
  readySamples,
  reasonLabel,
  silenceSamples,
  stalePodsSamples,
  syncAgeSamples,
  type Labels,
  type Sample,
} from "./metric-samples";
import type { CountedDecision, Metrics, QueueMetrics, Validity } from "./metrics";
import type { QueueDepth } from "./queue";

/** What metrics are made of. */
export interface PrometheusOptions {
  readonly clock: Pick<Clock, "nowMs">;
  readonly version: string;
  readonly watches: Pick<WatchList, "list">;
}

/** Objects that metrics are read off when they are asked for. */
export interface MetricObjects {
  readonly hostedAPIServers: Pick<Cache<HostedAPIServer>, "list">;
  readonly internalGateways: Pick<Cache<InternalGateway>, "list">;
}

type NamesOf<Type extends MetricDefinition["type"]> = {
  [Name in MetricName]: (typeof METRICS)[Name]["type"] extends Type ? Name : never;
}[MetricName];

/** More than there are words in the code: what comes beyond is counted, but not told apart. */
const MAX_COUNTER_SERIES = 256;
const QUEUE_STATES = ["ready", "running", "waiting"] as const;

function configOf(name: MetricName, registry: Registry) {
  const { help, labels } = METRICS[name];
  return { name: exportedName(name), help, labelNames: [...labels], registers: [registry] };
}

/** A counter that has no more than so many series, whatever it is told. */
class BoundedCounter {
  readonly #counter: Counter;
  readonly #known = new Set<string>();

  constructor(name: NamesOf<"counter">, registry: Registry) {
    this.#counter = new Counter(configOf(name, registry));
  }

  inc(labels: Labels, count = 1): void {
    this.#counter.inc(this.#bound(labels), count);
  }

  #bound(labels: Labels): Labels {
    const { reason } = labels;
    const words = reason === undefined ? labels : { ...labels, reason: reasonLabel(reason) };
    const series = Object.values(words).join("\n");
    if (this.#known.has(series)) return words;
    if (this.#known.size >= MAX_COUNTER_SERIES) {
      return Object.fromEntries(Object.keys(labels).map((label) => [label, OTHER]));
    }
    this.#known.add(series);
    return words;
  }
}

/** fairlead's metrics in Prometheus' text format. */
export class PrometheusMetrics implements Metrics {
  readonly #registry = new Registry();
  readonly #admissionDecisions = new BoundedCounter("admission_decisions_total", this.#registry);
  readonly #reconcileDecisions = new BoundedCounter("reconcile_decisions_total", this.#registry);
  readonly #errors = new BoundedCounter("errors_total", this.#registry);
  readonly #reconciles = new BoundedCounter("reconciles_total", this.#registry);
  readonly #retries = new BoundedCounter("queue_retries_total", this.#registry);
  readonly #admissionDuration = this.#histogram("admission_duration_seconds");
  readonly #queueLatency = this.#histogram("queue_latency_seconds");
  readonly #reconcileDuration = this.#histogram("reconcile_duration_seconds");
  readonly #queues = new Map<string, () => QueueDepth>();
  readonly #confirmedMs = new Map<string, number>();
  readonly #stalePods = new Map<string, Readonly<Record<string, number>>>();
  readonly #startedMs: number;
  #serving: Validity | undefined;
  #admission: Admission | undefined;

  /** @param options What is measured by, and which watches there are. */
  constructor(private readonly options: PrometheusOptions) {
    const { clock, version, watches } = options;
    this.#startedMs = clock.nowMs();
    this.#gauge("build_info", () => [{ labels: { version }, value: 1 }]);
    this.#gauge("watch_silence_seconds", () => silenceSamples(watches.list(), clock.nowMs()));
    this.#gauge("watch_overdue_seconds", () => overdueSamples(watches.list(), clock.nowMs()));
    this.#gauge("queue_depth", () => this.#depthSamples());
    this.#gauge("admission_mode", () => admissionSamples(this.#admission));
    this.#gauge("serving_certificate_expiration_timestamp_seconds", () =>
      this.#servingSamples("notAfterMs"),
    );
    this.#gauge("serving_certificate_not_before_timestamp_seconds", () =>
      this.#servingSamples("notBeforeMs"),
    );
  }

  /** Everything in Prometheus' text format. */
  text(): Promise<string> {
    return this.#registry.metrics();
  }

  /** From now on, the process is measured too, by Node's own means. */
  observeProcess(): void {
    collectDefaultMetrics({ register: this.#registry });
  }

  /** From now on, objects are counted too: their series come and go with them. */
  observeObjects({ hostedAPIServers, internalGateways }: MetricObjects): void {
    const { clock } = this.options;
    const all = (): readonly HostedAPIServer[] => hostedAPIServers.list();
    this.#gauge("hosted_api_servers", () => conditionSamples(all()));
    this.#gauge("internal_gateways", () => conditionSamples(internalGateways.list()));
    this.#gauge("hosted_api_server_info", () => infoSamples(all()));
    this.#gauge("hosted_api_server_ready", () => readySamples(all()));
    this.#gauge("certificate_expiration_timestamp_seconds", () =>
      certificateSamples(all(), "notAfter"),
    );
    this.#gauge("certificate_not_before_timestamp_seconds", () =>
      certificateSamples(all(), "notBefore"),
    );
    this.#gauge("credentials_sync_age_seconds", () => {
      this.#forgetGone(all());
      const confirmations = { byKey: this.#confirmedMs, startedMs: this.#startedMs };
      return syncAgeSamples(all(), confirmations, clock.nowMs());
    });
    this.#gauge("stale_pods", () => stalePodsSamples(all(), this.#stalePods));
  }

  admissionDecided({ capability, action, reason }: CountedDecision): void {
    this.#admissionDecisions.inc({ capability, action, reason });
  }

  /** @param tookMs From a request to its answer, in milliseconds. */
  admissionAnswered(tookMs: number): void {
    this.#admissionDuration.observe(tookMs / 1_000);
  }

  reconcileDecided({ capability, action, reason }: CountedDecision): void {
    this.#reconcileDecisions.inc({ capability, action, reason });
  }

  failed(component: string, error: unknown): void {
    this.#errors.inc({ component, reason: errorReason(error) });
  }

  queue(name: string, depth: () => QueueDepth): QueueMetrics {
    this.#queues.set(name, depth);
    const labels = { queue: name };
    // From zero on, so that the first failure is an increase.
    this.#retries.inc(labels, 0);
    for (const result of ["done", "retry"]) this.#reconciles.inc({ ...labels, result }, 0);
    return {
      started: (waitedMs) => {
        this.#queueLatency.observe(labels, waitedMs / 1_000);
      },
      ended: (result, tookMs, error) => {
        this.#reconcileDuration.observe(labels, tookMs / 1_000);
        this.#reconciles.inc({ ...labels, result });
        if (result === "retry") this.#retries.inc(labels);
        if (result === "retry" || result === "terminal") this.failed(name, error);
      },
    };
  }

  credentialsConfirmed(key: string): void {
    this.#confirmedMs.set(key, this.options.clock.nowMs());
  }

  stalePods(key: string, counts: Readonly<Record<string, number>>): void {
    this.#stalePods.set(key, counts);
  }

  admittedBy(admission: Admission): void {
    this.#admission = admission;
  }

  servingCertificate(validity: Validity): void {
    this.#serving = validity;
  }

  #gauge(name: NamesOf<"gauge">, read: () => readonly Sample[]): void {
    new Gauge({
      ...configOf(name, this.#registry),
      collect() {
        this.reset();
        for (const { labels, value } of read()) this.set(labels, value);
      },
    });
  }

  #histogram(name: NamesOf<"histogram">): Histogram {
    return new Histogram({
      ...configOf(name, this.#registry),
      buckets: [...METRICS[name].buckets],
    });
  }

  #depthSamples(): readonly Sample[] {
    return [...this.#queues].flatMap(([queue, depth]) => {
      const now = depth();
      return QUEUE_STATES.map((state) => ({ labels: { queue, state }, value: now[state] }));
    });
  }

  #servingSamples(end: keyof Validity): readonly Sample[] {
    return this.#serving === undefined ? [] : [{ labels: {}, value: this.#serving[end] / 1_000 }];
  }

  /** What was told of HostedAPIServers that are gone takes no memory. */
  #forgetGone(servers: readonly HostedAPIServer[]): void {
    const keys = new Set(servers.map(keyOf));
    for (const known of [this.#confirmedMs, this.#stalePods]) {
      for (const key of known.keys()) if (!keys.has(key)) known.delete(key);
    }
  }
}

/** What Pepr answers `/metrics` with: it has an own registry, and no place for others. */
export interface MetricsPage {
  getMetrics: () => Promise<string>;
}

/** Adds metrics to Pepr's page. */
export function addToPage(page: MetricsPage, metrics: Pick<PrometheusMetrics, "text">): void {
  const { getMetrics } = page;
  page.getMetrics = async () => {
    const [theirs, ours] = await Promise.all([getMetrics(), metrics.text()]);
    return `${theirs.trimEnd()}\n${ours}`;
  };
}
