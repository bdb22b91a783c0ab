import type { Clock } from "../../lib/cluster";

/** A clock that runs like the machine's and can be put forward. */
export interface AdvancingClock extends Clock {
  /** Puts it forward; what is due by then runs at once. */
  advance(ms: number): void;
  /** Nothing runs any more. */
  stop(): void;
}

interface Pending {
  readonly dueMs: number;
  readonly run: () => void;
  timer: NodeJS.Timeout | undefined;
}

/** Node's timers take no more; what is due later is armed again by `advance`, or never in a test. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Makes a clock that shows the machine's time as long as it is not put forward. */
export function createAdvancingClock(): AdvancingClock {
  let aheadMs = 0;
  let isStopped = false;
  const pending = new Set<Pending>();
  const nowMs = () => Date.now() + aheadMs;
  const arm = (entry: Pending): void => {
    clearTimeout(entry.timer);
    const leftMs = Math.max(0, entry.dueMs - nowMs());
    if (leftMs > MAX_TIMER_MS) return;
    entry.timer = setTimeout(() => {
      pending.delete(entry);
      entry.run();
    }, leftMs);
    entry.timer.unref();
  };
  return {
    nowMs,
    after(delayMs, run) {
      if (isStopped) return () => undefined;
      const entry: Pending = { dueMs: nowMs() + delayMs, run, timer: undefined };
      pending.add(entry);
      arm(entry);
      return () => {
        clearTimeout(entry.timer);
        pending.delete(entry);
      };
    },
    advance(ms) {
      aheadMs += ms;
      pending.forEach(arm);
    },
    stop() {
      isStopped = true;
      for (const { timer } of pending) clearTimeout(timer);
      pending.clear();
    },
  };
}
