import { setTimeout as sleep } from "node:timers/promises";
import { isDeepStrictEqual } from "node:util";
import { Refusal, type Api } from "./api";
import { routedAliases, unscheduledPod } from "./node-stage";

/** What became of the Pods that were created. */
export interface AdmissionTally {
  readonly tried: number;
  /** Created, with their host aliases. */
  readonly routed: number;
  /** Created without them. */
  readonly missed: number;
  /** What the API server said where it refused one. */
  readonly refused: readonly string[];
  /** Requests that the API server did not answer. */
  readonly unanswered: readonly string[];
}

/** Pods that are created one after another. */
export interface AdmissionLoad {
  tried(): number;
  /** Ends it, and waits for what is under way. */
  stop(): Promise<AdmissionTally>;
}

const WORKERS = 4;
const PAUSE_MS = 10;

/** Creates routed Pods until it is ended, several at a time. */
export async function startAdmissionLoad(api: Api): Promise<AdmissionLoad> {
  const expected = await routedAliases(api);
  const counts = { tried: 0, routed: 0, missed: 0 };
  const [refused, unanswered]: string[][] = [[], []];
  let isOver = false;
  const createOne = async (): Promise<void> => {
    counts.tried += 1;
    try {
      const { body } = await api.create(unscheduledPod(`load-${counts.tried}`));
      if (isDeepStrictEqual(body.spec?.hostAliases, expected)) counts.routed += 1;
      else counts.missed += 1;
    } catch (error) {
      if (error instanceof Refusal) refused?.push(error.message);
      else unanswered?.push(String(error));
    }
  };
  const work = async (): Promise<void> => {
    while (!isOver) {
      await createOne();
      await sleep(PAUSE_MS);
    }
  };
  const workers = Array.from({ length: WORKERS }, work);
  return {
    tried: () => counts.tried,
    async stop() {
      isOver = true;
      await Promise.all(workers);
      return { ...counts, refused: refused ?? [], unanswered: unanswered ?? [] };
    },
  };
}
