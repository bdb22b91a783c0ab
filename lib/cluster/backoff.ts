import { ExponentialBackoff, type IBackoff } from "cockatiel";

/** Bounds of a wait between tries. */
export interface BackoffOptions {
  readonly initialDelayMs: number;
  readonly maxDelayMs: number;
}

/** Waits that grow, with jitter, up to a cap, until `reset`. The growth is cockatiel's (decorrelated jitter). */
export class Backoff {
  readonly #factory: ExponentialBackoff<unknown>;
  #current: IBackoff<unknown> | undefined;

  /** @param options Bounds of each wait. */
  constructor(options: BackoffOptions) {
    this.#factory = new ExponentialBackoff({
      initialDelay: options.initialDelayMs,
      maxDelay: options.maxDelayMs,
    });
  }

  /** The next wait. */
  nextMs(): number {
    this.#current =
      this.#current === undefined ? this.#factory.next() : this.#current.next(undefined);
    return this.#current.duration;
  }

  /** What was waited for went well. */
  reset(): void {
    this.#current = undefined;
  }
}
