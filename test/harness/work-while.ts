import { setTimeout as sleep } from "node:timers/promises";

/** What came of work that went on meanwhile. */
export interface Worked {
  readonly tried: number;
  /** What each failure said. */
  readonly lost: readonly string[];
}

const WORKERS = 4;
const PAUSE_MS = 10;

/** Works, several at a time and without a pause to speak of, while something is done. What `work` throws is lost. */
export async function workWhile(
  run: () => Promise<unknown>,
  work: () => Promise<unknown>,
): Promise<Worked> {
  const lost: string[] = [];
  let tried = 0;
  let isOver = false;
  const loop = async (): Promise<void> => {
    while (!isOver) {
      tried += 1;
      await work().catch((error: unknown) => lost.push(String(error)));
      await sleep(PAUSE_MS);
    }
  };
  const loops = Promise.all(Array.from({ length: WORKERS }, loop));
  try {
    await run();
  } finally {
    isOver = true;
    await loops;
  }
  return { tried, lost };
}
