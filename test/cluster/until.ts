import { setTimeout as sleep } from "node:timers/promises";

/** What was waited for did not come. */
class TooLateError extends Error {
  override readonly name = "TooLateError";
}

/** What is waited for, in words that follow "waited for", and for how long (default 60 s). */
export interface Waiting {
  readonly what: string;
  readonly timeoutMs?: number;
  readonly pollMs?: number;
}

/**
 * Polls until a condition holds.
 * @throws {TooLateError}, and what the condition throws.
 */
export async function until(condition: () => Promise<boolean>, waiting: Waiting): Promise<void> {
  const { timeoutMs = 60_000, pollMs = 50 } = waiting;
  const deadlineMs = Date.now() + timeoutMs;
  while (!(await condition())) {
    if (Date.now() > deadlineMs) {
      throw new TooLateError(`Waited ${timeoutMs / 1000} s in vain for ${waiting.what}.`);
    }
    await sleep(pollMs);
  }
}
