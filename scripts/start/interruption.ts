import { constants } from "node:os";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/** This process was told to end. */
export class InterruptedError extends Error {
  override readonly name = "InterruptedError";

  constructor(readonly signalName: (typeof SIGNALS)[number]) {
    super(`Ended by ${signalName}.`);
  }

  /** What a shell shows for it: 130 for Ctrl-C. */
  get exitCode(): number {
    return 128 + constants.signals[this.signalName];
  }
}

/** How the user ends this process. */
export interface Interruption {
  /** Aborted, with an InterruptedError as its reason, by the first signal. */
  readonly signal: AbortSignal;
  /** Resolves when a signal has come, and keeps the process alive until then. */
  wait(): Promise<void>;
}

/** npm and tsx pass on what a terminal has sent to every process already: that is the same Ctrl-C, and no second one. */
const SAME_SIGNAL_MS = 1_000;

/** Takes Ctrl-C and its like as a wish to end in good order, and a second one as a wish to end at once. */
export function listenForInterruption(): Interruption {
  const controller = new AbortController();
  let firstMs: number | undefined;
  for (const name of SIGNALS) {
    process.on(name, () => {
      const interrupted = new InterruptedError(name);
      firstMs ??= performance.now();
      if (performance.now() - firstMs > SAME_SIGNAL_MS) process.exit(interrupted.exitCode);
      controller.abort(interrupted);
    });
  }
  const { signal } = controller;
  return {
    signal,
    async wait() {
      if (signal.aborted) return;
      const keepAlive = setInterval(() => undefined, 60_000);
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => {
          resolve();
        });
      });
      clearInterval(keepAlive);
    },
  };
}

/** Steps that undo what was done, in reverse. */
export class CleanUps {
  readonly #steps: (() => Promise<void>)[] = [];

  /** Adds what has to be undone from here on. */
  add(step: () => Promise<void>): void {
    this.#steps.push(step);
  }

  /** Undoes everything; a step that fails does not keep the others from being taken. Answers what failed. */
  async run(): Promise<readonly unknown[]> {
    const errors: unknown[] = [];
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      await step().catch((error: unknown) => {
        errors.push(error);
      });
    }
    return errors;
  }
}
