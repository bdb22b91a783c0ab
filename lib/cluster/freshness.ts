import type { Clock } from "./clock";

/** How fresh one watch is. */
export interface WatchFreshness {
  /** What is watched; several watches may be of one kind. */
  readonly kind: string;
  /** When an event, a bookmark or a whole list was last received, or the watch was last taken up; ms since the epoch. */
  readonly lastSeenMs: number;
  /** How long it may be silent before it is given up and started anew. */
  readonly limitMs: number;
}

/** What a cache tells of its watch. */
export interface WatchTracker {
  /** Something came of the server. @param limitMs How long it may be silent from now on. */
  heard(limitMs: number): void;
  /** The watch broke. @param limitMs How long it may take from now on until something is heard again. */
  broken(limitMs: number): void;
  /** Nobody watches any more. */
  close(): void;
}

/**
 * The watches of this process: one that is silent for longer than its limit could not be started anew, so what is
 * known of its kind is old. For metrics, and for whoever decides that the process is of no use any more.
 */
export class WatchList {
  readonly #watches = new Set<WatchFreshness>();
  #brokenMs = Number.NEGATIVE_INFINITY;

  /** @param clock What silence is measured by. */
  constructor(private readonly clock: Pick<Clock, "nowMs">) {}

  /** Notes a watch that is about to be opened. @param limitMs How long its first answer may take. */
  open(kind: string, limitMs: number): WatchTracker {
    const { clock } = this;
    const watch = { kind, lastSeenMs: clock.nowMs(), limitMs };
    let isBroken = false;
    this.#watches.add(watch);
    return {
      heard: (nextLimitMs) => {
        watch.lastSeenMs = clock.nowMs();
        watch.limitMs = nextLimitMs;
        isBroken = false;
      },
      broken: (nextLimitMs) => {
        // Attempts in vain give no more time.
        if (!isBroken) watch.limitMs = clock.nowMs() - watch.lastSeenMs + nextLimitMs;
        isBroken = true;
        this.#brokenMs = clock.nowMs();
      },
      close: () => {
        this.#watches.delete(watch);
      },
    };
  }

  /** All watches that are open, as of now. */
  list(): readonly WatchFreshness[] {
    return [...this.#watches];
  }

  /** Whether a watch has broken at that time or since, or is overdue: the API server that it came from may be gone. */
  isUneasySince(sinceMs: number): boolean {
    const nowMs = this.clock.nowMs();
    return this.#brokenMs >= sinceMs || this.list().some((watch) => overdueMs(watch, nowMs) > 0);
  }
}

/** For how long a watch has been silent beyond its limit, in milliseconds; 0 for one that is well. */
export function overdueMs({ lastSeenMs, limitMs }: WatchFreshness, nowMs: number): number {
  return Math.max(0, nowMs - lastSeenMs - limitMs);
}
