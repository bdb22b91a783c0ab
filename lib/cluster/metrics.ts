import type { Admission } from "../domain/admission";
import type { QueueDepth } from "./queue";

/** A decision, to be counted. Every word is one of a fixed set: no names of objects, no hosts, no messages. */
export interface CountedDecision {
  /** Who decided: `pods`, `services`, `credentials`, … */
  readonly capability: string;
  /** What is done: `change`, `keep`, `deny`, … */
  readonly action: string;
  /** Why, in CamelCase. */
  readonly reason: string;
}

/** How a run of a queue's reconcile ended. */
export type ReconcileResult = "done" | "again" | "retry" | "terminal";

/** What a queue tells of itself. Times are in milliseconds. */
export interface QueueMetrics {
  /** A key was taken up after it had been ready for so long. */
  started(waitedMs: number): void;
  /** @param error What was thrown, where the result is "retry" or "terminal". */
  ended(result: ReconcileResult, tookMs: number, error?: unknown): void;
}

/** A certificate's validity, in milliseconds since the epoch. */
export interface Validity {
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/**
 * What the parts of fairlead tell of themselves, to be seen from outside. They know no metrics system, and need not be
 * given any: every context has it as an option.
 */
export interface Metrics {
  /** An admission request was decided. */
  admissionDecided(decision: CountedDecision): void;
  /** The watch decided about an object; not told where nothing was decided anew. */
  reconcileDecided(decision: CountedDecision): void;
  /** Something failed. @param component A queue's name, `watch`, `admission`, `start`. */
  failed(component: string, error: unknown): void;
  /** A queue was made. @param depth How many keys are where, as of the time of the call. */
  queue(name: string, depth: () => QueueDepth): QueueMetrics;
  /** The credentials of a HostedAPIServer (`namespace/name`) were found, or brought, in line just now. */
  credentialsConfirmed(key: string): void;
  /**
   * How many Pods of a HostedAPIServer (`namespace/name`) are stale, by reason in CamelCase; what was told before is
   * forgotten. What is told of a HostedAPIServer that is gone is never shown.
   */
  stalePods(key: string, counts: Readonly<Record<string, number>>): void;
  /** By what Pods and Services are admitted from now on. */
  admittedBy(admission: Admission): void;
  /** The certificate that this process serves from now on. */
  servingCertificate(validity: Validity): void;
}
