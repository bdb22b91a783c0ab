/** Node's timers take at most this; a longer delay is waited for in pieces. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** The time and timers, so that tests can have their own. */
export interface Clock {
  /** Milliseconds since the epoch. */
  nowMs(): number;
  /** Runs `run` once after `delayMs`, however long that is; the answer cancels it. */
  after(delayMs: number, run: () => void): () => void;
}

/** The machine's clock. */
export const systemClock: Clock = {
  nowMs: () => Date.now(),
  after: (delayMs, run) => {
    const dueMs = Date.now() + delayMs;
    let timer: NodeJS.Timeout;
    const arm = (): void => {
      const leftMs = Math.max(0, dueMs - Date.now());
      timer = leftMs > MAX_TIMER_MS ? setTimeout(arm, MAX_TIMER_MS) : setTimeout(run, leftMs);
    };
    arm();
    return () => {
      clearTimeout(timer);
    };
  },
};
