import { setTimeout as sleep } from "node:timers/promises";
import type { ProbeSpec } from "./pod";

/** What probes have come to so far. */
export interface ProbeState {
  readonly verdict: "unknown" | "success" | "failure";
  /** How many in a row had the last outcome. */
  readonly run: number;
  readonly last: "success" | "failure" | undefined;
}

/** Before the first probe. */
export const unprobed: ProbeState = { verdict: "unknown", run: 0, last: undefined };

/** What becomes of the state by another outcome: a verdict takes as many in a row as its threshold says. */
export function countProbe(
  state: ProbeState,
  outcome: "success" | "failure",
  { successThreshold = 1, failureThreshold = 3 }: ProbeSpec,
): ProbeState {
  const run = state.last === outcome ? state.run + 1 : 1;
  const threshold = outcome === "success" ? successThreshold : failureThreshold;
  return { verdict: run >= threshold ? outcome : state.verdict, run, last: outcome };
}

/** What a probe does. */
export interface ProbeRequest {
  readonly spec: ProbeSpec;
  /** Asks once, within a time. */
  readonly ask: (timeoutMs: number) => Promise<boolean>;
  /** Told of each new verdict. */
  readonly onVerdict: (verdict: "success" | "failure") => void;
  readonly signal: AbortSignal;
}

/** Probes until it is ended. */
export async function keepProbing(request: ProbeRequest): Promise<void> {
  const { spec, ask, onVerdict, signal } = request;
  const ms = (seconds: number) => seconds * 1_000;
  const isOver = () => signal.aborted;
  const pause = async (seconds: number) =>
    sleep(ms(seconds), undefined, { signal, ref: false }).catch(() => undefined);
  let state = unprobed;
  await pause(spec.initialDelaySeconds ?? 0);
  while (!isOver()) {
    const isWell = await ask(ms(spec.timeoutSeconds ?? 1));
    if (isOver()) return;
    const next = countProbe(state, isWell ? "success" : "failure", spec);
    if (next.verdict !== state.verdict && next.verdict !== "unknown") onVerdict(next.verdict);
    state = next;
    await pause(spec.periodSeconds ?? 10);
  }
}
