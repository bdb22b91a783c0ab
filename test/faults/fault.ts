import { appendFileSync } from "node:fs";
import type { Verdict } from "./witness";

/** What a fault came to: a row of the table in docs/reliability.md. */
export interface FaultResult {
  readonly fault: string;
  /** What was done, with figures of this run. */
  readonly did: string;
  /** How many things were lost or wrongly touched. */
  readonly lost: number;
  /** From the fault's end until everything was as it should be; undefined where nothing has to converge. */
  readonly convergedMs: number | undefined;
}

/** What a fault's run hands back. */
export interface FaultRun extends Pick<Verdict, "lost"> {
  readonly did: string;
  readonly convergedMs?: number;
}

/** The times that a run in continuous integration has for each fault: once, and where there are many of a kind, some. */
export const isOnce = process.env.FAIRLEAD_FAULTS === "once";

/** `FAIRLEAD_FAULTS_RESULTS`: the file that rows are added to, a line of JSON each. */
function record(result: FaultResult): void {
  const path = process.env.FAIRLEAD_FAULTS_RESULTS;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify(result)}\n`);
  const { fault, did, lost, convergedMs = 0 } = result;
  process.stderr.write(`${fault}: ${did}; ${lost} lost; converged after ${convergedMs} ms\n`);
}

/**
 * Registers a fault as a test. It fails where anything was lost; what it came to is recorded in any case.
 * @param fault Its name in the table, unique.
 */
export function fault(fault: string, run: () => Promise<FaultRun>): void {
  it(`${fault}: nothing is lost`, async () => {
    const { did, lost, convergedMs } = await run();
    record({ fault, did, lost: lost.length, convergedMs });
    expect(lost).toEqual([]);
  });
}
