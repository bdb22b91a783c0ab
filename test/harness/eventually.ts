import { setTimeout as sleep } from "node:timers/promises";

/** How long is waited, in milliseconds. */
export interface Patience {
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

/**
 * Repeats an expectation until it holds. The limit only bounds how long a failure takes; nothing is said about time.
 * @returns What `expectation` returned.
 * @throws What it threw last.
 */
export async function eventually<T>(
  expectation: () => T | Promise<T>,
  { timeoutMs = 60_000, pollMs = 100 }: Patience = {},
): Promise<T> {
  const limitMs = Date.now() + timeoutMs;
  for (;;) {
    try {
      return await expectation();
    } catch (error) {
      if (Date.now() > limitMs) throw error;
    }
    await sleep(pollMs);
  }
}

/**
 * Waits until a value has been the same for a while, however long it changes before.
 * @throws Error when it does not come to rest.
 */
export async function settled<T>(
  read: () => Promise<T>,
  { quietMs, timeoutMs = 60_000 }: { readonly quietMs: number; readonly timeoutMs?: number },
): Promise<T> {
  const limitMs = Date.now() + timeoutMs;
  let value = await read();
  let sinceMs = Date.now();
  while (Date.now() - sinceMs < quietMs) {
    await sleep(Math.min(quietMs, 200));
    const next = await read();
    if (JSON.stringify(next) !== JSON.stringify(value)) sinceMs = Date.now();
    value = next;
    if (Date.now() > limitMs) throw new Error(`still changing after ${timeoutMs} ms`);
  }
  return value;
}
