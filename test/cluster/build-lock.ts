import { setTimeout as sleep } from "node:timers/promises";
import { lock } from "proper-lockfile";
import { errorCode } from "./error-code";
import type { Progress, Step } from "./progress";

/** How waiting for a lock is shown and ended. */
export interface LockOptions {
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

const retryMs = 500;
// A holder renews it every 5 s; one that was killed loses it after 15 s.
const staleMs = 15_000;
const renewMs = 5_000;

/**
 * Does work while holding the lock `<path>.lock`, which only one process on the machine can.
 * @throws what the work throws, and the signal's reason when that is aborted while waiting.
 */
export async function withLock<T>(
  path: string,
  options: LockOptions,
  work: () => Promise<T>,
): Promise<T> {
  const release = await acquire(path, options);
  try {
    return await work();
  } finally {
    // A lock that was lost meanwhile (the machine slept) needs no release.
    await release().catch(() => undefined);
  }
}

async function acquire(path: string, options: LockOptions): Promise<() => Promise<void>> {
  let waiting: Step | undefined;
  try {
    for (;;) {
      options.signal?.throwIfAborted();
      const release = await tryLock(path);
      if (release !== undefined) {
        waiting?.done();
        return release;
      }
      waiting ??= options.progress.step("wait for another process that is building");
      waiting.update({});
      await sleep(retryMs);
    }
  } catch (error) {
    waiting?.fail();
    throw error;
  }
}

async function tryLock(path: string): Promise<(() => Promise<void>) | undefined> {
  try {
    return await lock(path, {
      realpath: false,
      stale: staleMs,
      update: renewMs,
      // Two builders at once waste time but do no harm: programs are moved into place whole.
      onCompromised: () => undefined,
    });
  } catch (error) {
    if (errorCode(error) === "ELOCKED") return undefined;
    throw error;
  }
}
