import { createHistogram } from "node:perf_hooks";
import type { ConnectionReport, FailureSample, LoadReport, Progress, WatchEndings } from "./report";

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };
type Endings = Writable<WatchEndings>;

/** What is counted of a connection, while it goes on. */
export type ConnectionCounts = Writable<Omit<ConnectionReport, "watches">> & {
  readonly watches: Endings;
};

type Second = Writable<LoadReport["perSecond"][number]>;

const MAX_SAMPLES = 10;
const MAX_LATENCY_US = 3_600_000_000;
const US_PER_MS = 1000;

/** Counts all that happens. */
export class Tally {
  readonly #startedAtMs = Date.now();
  readonly #latencies = createHistogram({ lowest: 1, highest: MAX_LATENCY_US, figures: 3 });
  readonly #byStatus: Record<string, number> = {};
  readonly #failures: FailureSample[] = [];
  readonly #watchFailures: FailureSample[] = [];
  readonly #connections: ConnectionCounts[] = [];
  readonly #perSecond: Second[] = [];
  readonly #watches = { started: 0, eof: 0, goaway: 0, failed: 0 };
  #requests = 0;
  #failed = 0;
  #refused = 0;

  /** A new connection, whose counts are kept from now on. */
  open(index: number, issuer: string): ConnectionCounts {
    const counts: ConnectionCounts = {
      id: this.#connections.length,
      index,
      openedAtMs: Date.now(),
      issuer,
      requests: 0,
      failed: 0,
      refused: 0,
      watches: { eof: 0, goaway: 0, failed: 0 },
    };
    this.#connections.push(counts);
    return counts;
  }

  /** A request got an answer, the expected one or another. */
  answered(status: number, latencyMs: number): void {
    this.#byStatus[status] = (this.#byStatus[status] ?? 0) + 1;
    this.#latencies.record(Math.max(1, Math.round(latencyMs * US_PER_MS)));
  }

  /** A request is over: with `failure`, it has failed. */
  finished(connection: ConnectionCounts | undefined, failure?: FailureSample): void {
    this.#requests += 1;
    const second = this.#second();
    second.requests += 1;
    if (connection !== undefined) connection.requests += 1;
    if (failure === undefined) return;
    this.#failed += 1;
    second.failed += 1;
    if (connection !== undefined) connection.failed += 1;
    if (this.#failures.length < MAX_SAMPLES) this.#failures.push(failure);
  }

  /** A request was refused, certainly not seen. */
  refused(connection: ConnectionCounts): void {
    this.#refused += 1;
    connection.refused += 1;
  }

  /** A watch was answered. */
  watchStarted(): void {
    this.#watches.started += 1;
  }

  /** A watch has ended, or could not begin. */
  watchEnded(
    connection: ConnectionCounts | undefined,
    how: keyof WatchEndings,
    failure?: FailureSample,
  ): void {
    this.#watches[how] += 1;
    if (connection !== undefined) connection.watches[how] += 1;
    if (failure !== undefined && this.#watchFailures.length < MAX_SAMPLES) {
      this.#watchFailures.push(failure);
    }
  }

  progress(open: Pick<Progress, "openConnections" | "openWatches">): Progress {
    const counts = { requests: this.#requests, failed: this.#failed, refused: this.#refused };
    return { atMs: Date.now(), ...counts, ...open };
  }

  report(): LoadReport {
    const ms = (us: number) => Math.round(us) / US_PER_MS;
    const latencies = this.#latencies;
    const percentile = (share: number) => ms(latencies.percentile(share));
    return {
      startedAtMs: this.#startedAtMs,
      endedAtMs: Date.now(),
      requests: this.#requests,
      byStatus: this.#byStatus,
      failed: this.#failed,
      failures: this.#failures,
      refused: this.#refused,
      watches: this.#watches,
      watchFailures: this.#watchFailures,
      latencyMs: {
        mean: latencies.count === 0 ? 0 : ms(latencies.mean),
        p50: percentile(50),
        p90: percentile(90),
        p99: percentile(99),
        max: latencies.count === 0 ? 0 : ms(latencies.max),
      },
      perSecond: this.#perSecond,
      connections: this.#connections,
    };
  }

  #second(): Second {
    const sinceMs = Date.now() - this.#startedAtMs;
    let second = this.#perSecond.at(-1);
    while (second === undefined || this.#perSecond.length * 1000 <= sinceMs) {
      const atMs = this.#startedAtMs + this.#perSecond.length * 1000;
      second = { atMs, requests: 0, failed: 0 };
      this.#perSecond.push(second);
    }
    return second;
  }
}
