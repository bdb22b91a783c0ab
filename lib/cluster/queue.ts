import { Backoff } from "./backoff";
import type { Clock } from "./clock";
import { ApiError, TerminalError, describeError } from "./errors";
import type { Logger } from "./logger";
import type { Metrics, QueueMetrics } from "./metrics";

/** What a reconcile came to: nothing more to do, or look again after `afterMs`. */
export type Outcome =
  | { readonly kind: "done" }
  | { readonly kind: "again"; readonly afterMs: number };

/** What a queue needs. */
export interface QueueOptions {
  readonly name: string;
  /**
   * Brings the world in line for a key, by the state that it reads itself, never by the event. Throws what a retry may
   * mend; throws TerminalError for what only another input can.
   */
  readonly reconcile: (key: string) => Promise<Outcome>;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  /** How many keys are worked on at once; one key never twice at once. Default 8. */
  readonly concurrency?: number;
  /** Bounds of the wait after a failure. Default 100 ms to 30 s. */
  readonly backoff?: { readonly initialDelayMs: number; readonly maxDelayMs: number };
}

interface Entry {
  state: "waiting" | "ready" | "running";
  /** Asked for again while running. */
  dirty: boolean;
  /** Set while `state` is "waiting", and while running if a later run is asked for. */
  dueMs: number | undefined;
  /** Since when it is, or was last, ready. */
  readyMs: number;
  cancel: (() => void) | undefined;
  backoff: Backoff | undefined;
}

/** Keys at one moment. */
export interface QueueDepth {
  readonly ready: number;
  readonly running: number;
  readonly waiting: number;
}

const DEFAULT_BACKOFF = { initialDelayMs: 100, maxDelayMs: 30_000 };
const DEFAULT_CONCURRENCY = 8;

/**
 * A keyed, level-based work queue: a key is in it once however often it is added, is never worked on twice at once,
 * and is worked on again when it was added meanwhile. No library has these semantics; the waits are cockatiel's.
 * @see https://pkg.go.dev/k8s.io/client-go/util/workqueue
 */
export class Queue {
  readonly #entries = new Map<string, Entry>();
  readonly #ready: string[] = [];
  #running = 0;
  #stopped = false;
  #idleWaiters: (() => void)[] = [];
  readonly #metrics: QueueMetrics | undefined;

  /** @param options How to reconcile a key. */
  constructor(readonly options: QueueOptions) {
    this.#metrics = options.metrics?.queue(options.name, () => this.depth());
  }

  /** Asks for a key to be reconciled, now or after `afterMs`; the earlier of two wishes counts. */
  add(key: string, afterMs = 0): void {
    if (this.#stopped) return;
    const entry = this.#entry(key);
    if (entry.state === "running") {
      this.#askAgain(entry, afterMs);
      return;
    }
    if (entry.state === "ready") return;
    if (afterMs <= 0) this.#makeReady(key, entry);
    else this.#wait(key, entry, afterMs);
  }

  /** How many keys are where. */
  depth(): QueueDepth {
    const ready = this.#ready.length;
    return { ready, running: this.#running, waiting: this.#entries.size - ready - this.#running };
  }

  /** Resolves when nothing runs or is ready to; keys that wait for a time do not count. */
  idle(): Promise<void> {
    if (this.#ready.length === 0 && this.#running === 0) return Promise.resolve();
    return new Promise((resolve) => this.#idleWaiters.push(resolve));
  }

  /** Starts nothing any more. */
  stop(): void {
    this.#stopped = true;
    for (const entry of this.#entries.values()) entry.cancel?.();
    this.#ready.length = 0;
  }

  #entry(key: string): Entry {
    const known = this.#entries.get(key);
    if (known !== undefined) return known;
    const entry: Entry = {
      state: "waiting",
      dirty: false,
      dueMs: undefined,
      readyMs: 0,
      cancel: undefined,
      backoff: undefined,
    };
    this.#entries.set(key, entry);
    return entry;
  }

  #askAgain(entry: Entry, afterMs: number): void {
    if (afterMs <= 0) entry.dirty = true;
    else entry.dueMs = Math.min(entry.dueMs ?? Infinity, this.options.clock.nowMs() + afterMs);
  }

  #makeReady(key: string, entry: Entry): void {
    entry.cancel?.();
    entry.cancel = undefined;
    entry.dueMs = undefined;
    entry.state = "ready";
    entry.readyMs = this.options.clock.nowMs();
    this.#ready.push(key);
    // Not within the caller's turn: many events of one turn become one run.
    setImmediate(() => {
      this.#pump();
    });
  }

  #wait(key: string, entry: Entry, afterMs: number): void {
    const dueMs = this.options.clock.nowMs() + afterMs;
    if (entry.dueMs !== undefined && entry.dueMs <= dueMs) return;
    entry.cancel?.();
    entry.state = "waiting";
    entry.dueMs = dueMs;
    entry.cancel = this.options.clock.after(afterMs, () => {
      if (!this.#stopped && entry.state === "waiting") this.#makeReady(key, entry);
    });
  }

  #pump(): void {
    const limit = this.options.concurrency ?? DEFAULT_CONCURRENCY;
    while (this.#running < limit) {
      const key = this.#ready.shift();
      if (key === undefined) break;
      const entry = this.#entry(key);
      entry.state = "running";
      this.#running += 1;
      void this.#run(key, entry);
    }
    if (this.#running === 0 && this.#ready.length === 0) {
      const waiters = this.#idleWaiters;
      this.#idleWaiters = [];
      for (const resolve of waiters) resolve();
    }
  }

  async #run(key: string, entry: Entry): Promise<void> {
    const startedMs = this.options.clock.nowMs();
    this.#metrics?.started(startedMs - entry.readyMs);
    const retryMs = await this.#attempt(key, entry, startedMs);
    this.#running -= 1;
    entry.state = "waiting";
    const askedMs =
      entry.dueMs === undefined ? undefined : entry.dueMs - this.options.clock.nowMs();
    const dirty = entry.dirty;
    entry.dirty = false;
    entry.dueMs = undefined;
    const nextMs = [retryMs, askedMs].filter((ms) => ms !== undefined);
    // A key that failed keeps its wait even when it was asked for meanwhile: no hot loop by a stream of events.
    if (dirty && entry.backoff === undefined) this.add(key);
    else if (nextMs.length > 0) this.add(key, Math.max(1, Math.min(...nextMs)));
    else if (entry.backoff === undefined) this.#entries.delete(key);
    this.#pump();
  }

  async #attempt(key: string, entry: Entry, startedMs: number): Promise<number | undefined> {
    const tookMs = (): number => this.options.clock.nowMs() - startedMs;
    try {
      const outcome = await this.options.reconcile(key);
      entry.backoff = undefined;
      this.#metrics?.ended(outcome.kind, tookMs());
      return outcome.kind === "again" ? outcome.afterMs : undefined;
    } catch (error) {
      const about = { queue: this.options.name, key, error: describeError(error) };
      this.#metrics?.ended(error instanceof TerminalError ? "terminal" : "retry", tookMs(), error);
      if (error instanceof TerminalError) {
        entry.backoff = undefined;
        this.options.log.error(about, "waits for its inputs to change");
        return undefined;
      }
      entry.backoff ??= new Backoff(this.options.backoff ?? DEFAULT_BACKOFF);
      const askedMs = error instanceof ApiError ? (error.options.retryAfterMs ?? 0) : 0;
      const delayMs = Math.max(askedMs, entry.backoff.nextMs());
      this.options.log.warn({ ...about, delayMs }, "failed, trying again");
      return delayMs;
    }
  }
}

/** Makes a queue. */
export function createQueue(options: QueueOptions): Queue {
  return new Queue(options);
}
