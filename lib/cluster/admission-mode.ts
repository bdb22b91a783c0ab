import { equals } from "ramda";
import type { Admission } from "../domain/admission";

/** By what Pods and Services are admitted: one part of fairlead decides it, others act by it. */
export class AdmissionMode {
  #current: Admission | undefined;
  readonly #listeners: (() => void)[] = [];

  /** Undefined before it was decided. */
  get current(): Admission | undefined {
    return this.#current;
  }

  /** Decides; who listens is told where it is another decision. */
  decide(admission: Admission): void {
    if (equals(this.#current, admission)) return;
    this.#current = admission;
    for (const listener of this.#listeners) listener();
  }

  /** Calls back whenever it is decided otherwise. */
  onChange(listener: () => void): void {
    this.#listeners.push(listener);
  }
}
