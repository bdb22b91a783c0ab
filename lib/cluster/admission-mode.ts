import { equals } from "ramda";
import type { Admission } from "../domain/admission";

/** By what Pods and Services are admitted: one part of fairlead decides it, others act by it. */
export class AdmissionMode {
  #current: Admission | undefined;
  readonly #listeners: (() => void)[] = [];
  #markKnown: () => void = () => undefined;
  /** Resolves once it was decided. */
  readonly synced: Promise<void>;

  constructor() {
    this.synced = new Promise((resolve) => {
      this.#markKnown = resolve;
    });
  }

  /** Undefined before it was decided. */
  get current(): Admission | undefined {
    return this.#current;
  }

  get isSynced(): boolean {
    return this.#current !== undefined;
  }

  /** Decides; who listens is told where it is another decision. */
  decide(admission: Admission): void {
    if (equals(this.#current, admission)) return;
    this.#current = admission;
    this.#markKnown();
    for (const listener of this.#listeners) listener();
  }

  /** Calls back whenever it is decided otherwise. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
}
