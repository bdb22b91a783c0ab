import type { EmbeddedCluster } from "../cluster";
import type { Api } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { judge, observeCluster, type Expectations, type ForeignObjects } from "../harness/oracle";

/** What a cluster came to after a fault. */
export interface Verdict {
  /** From when it was asked for until everything was as it should be. */
  readonly convergedMs: number;
  /** What was lost, or touched and not fairlead's; a sentence each. */
  readonly lost: readonly string[];
}

/** Sees whether everything has converged, nothing foreign was touched, and nothing is written any more. */
export interface Witness {
  /** What is not as it should be, now. */
  differences(): Promise<readonly string[]>;
  /**
   * Waits until everything is as it should be, or it is moot whether it is: then nobody reads any more.
   * @returns how long that took, in milliseconds.
   * @throws Error with what is not, after a few minutes.
   */
  converged(isMoot?: () => boolean): Promise<number>;
  /** Waits until everything has converged and nothing is written any more. */
  verdict(): Promise<Verdict>;
}

/** What a witness looks at. */
export interface WitnessContext {
  readonly cluster: EmbeddedCluster;
  readonly api: Api;
  readonly foreign: ForeignObjects;
  readonly expected: Expectations;
  /** Whose writes are to end: the watch process's. */
  readonly user: string;
}

/** Longer than the longest wait between two tries. */
const PATIENCE = { timeoutMs: 180_000, pollMs: 250 };
/** Nothing is written for so long. */
const QUIET_MS = 3_000;
const READING = new Set(["get", "list", "watch"]);

/** Makes the witness of a cluster. */
export function createWitness(context: WitnessContext): Witness {
  const { cluster, api, foreign, expected, user } = context;
  const differences = async () => judge(await observeCluster(api), expected);
  const converged = async (isMoot = () => false) => {
    const sinceMs = Date.now();
    await eventually(async () => {
      if (isMoot()) return;
      const found = await differences();
      if (found.length > 0) throw new Error(`not converged:\n  ${found.join("\n  ")}`);
    }, PATIENCE);
    return Date.now() - sinceMs;
  };
  const writes = async (since: Date): Promise<readonly string[]> => {
    const events = await cluster.auditEvents({ user, since });
    return events
      .filter(({ verb }) => !READING.has(verb))
      .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
  };
  return {
    differences,
    converged,
    async verdict() {
      const convergedMs = await converged();
      const since = new Date();
      await settled(async () => writes(since), { quietMs: QUIET_MS });
      // At rest it must be what it has been.
      const lost = [...(await differences()), ...(await foreign.touched())];
      return { convergedMs, lost };
    },
  };
}
