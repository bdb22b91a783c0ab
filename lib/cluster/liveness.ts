import type { Clock } from "./clock";
import { overdueMs, type WatchFreshness } from "./freshness";
import type { Logger } from "./logger";

/** Whether a process is still of use. */
export type LivenessVerdict =
  | { readonly kind: "alive" }
  /** Watches could not be started anew, though the API server answers: only a new process helps. */
  | { readonly kind: "dead"; readonly watches: readonly string[] };

/** What liveness is judged by; times in milliseconds since the epoch. */
export interface LivenessFacts {
  readonly watches: readonly WatchFreshness[];
  readonly nowMs: number;
  /** When the API server last answered anything, a refusal included. */
  readonly answeredMs: number;
  /** How long a watch may be overdue. */
  readonly graceMs: number;
}

/**
 * A watch is dead when it has been overdue for longer than the grace, and the API server has answered something since.
 * While the API server is away all watches are overdue, and a new process would wait for it like the old one.
 */
export function judgeLiveness({
  watches,
  nowMs,
  answeredMs,
  graceMs,
}: LivenessFacts): LivenessVerdict {
  const dead = watches.filter((watch) => {
    const deadSinceMs = watch.lastSeenMs + watch.limitMs + graceMs;
    return overdueMs(watch, nowMs) > graceMs && answeredMs > deadSinceMs;
  });
  if (dead.length === 0) return { kind: "alive" };
  return { kind: "dead", watches: [...new Set(dead.map(({ kind }) => kind))].sort() };
}

/** What liveness needs. */
export interface LivenessContext {
  readonly clock: Pick<Clock, "nowMs">;
  readonly log: Logger;
  readonly watches: { list(): readonly WatchFreshness[] };
  readonly graceMs: number;
}

/** Answers whether this process is still of use, for a kubelet's liveness probe. */
export class Liveness {
  #answeredMs = 0;

  /** @param context What it looks at. */
  constructor(private readonly context: LivenessContext) {}

  /** The API server has answered. */
  noteAnswer(): void {
    this.#answeredMs = this.context.clock.nowMs();
  }

  /** Judges by what is known now; death is logged, since the kubelet ends the process for it. */
  check(): LivenessVerdict {
    const { clock, log, watches, graceMs } = this.context;
    const verdict = judgeLiveness({
      watches: watches.list(),
      nowMs: clock.nowMs(),
      answeredMs: this.#answeredMs,
      graceMs,
    });
    if (verdict.kind === "dead") {
      log.error({ watches: verdict.watches }, "watches are dead though the API server answers");
    }
    return verdict;
  }
}
