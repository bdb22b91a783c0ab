import type { PassingRequest } from "../harness/fault-proxy";
import type { FairleadProcess } from "../harness/fairlead-process";
import type { FaultStage } from "./stage";

/** What kills are arranged on. */
type KillStage = Pick<FaultStage, "httpProxy" | "fairlead" | "witness">;

/** When a process is killed: around which of its writes, counted from 1. */
export interface KillPoint {
  readonly write: number;
  /** Before the API server hears of the write, or after it has carried it out and before the answer arrives. */
  readonly when: "before" | "after";
}

/** A kill that was arranged. */
interface ArrangedKill {
  /** Resolves when the process was killed. */
  readonly killed: Promise<PassingRequest>;
  /** Kills no more. @returns whether it has, or is about to. */
  readonly disarm: () => boolean;
}

/**
 * Whether a write is one of those that bring objects in line. Events are told again by each life, and Pepr's store and
 * the definitions are written at each start: a process that dies of these would never come further.
 */
function isProgress({ isWrite, path }: PassingRequest): boolean {
  return isWrite && !/\/(events|peprstores|customresourcedefinitions)\b/.test(path);
}

/** Kills a process with SIGKILL at one of its writes from now on. */
function arrangeKill(
  { httpProxy }: KillStage,
  process: FairleadProcess,
  point: KillPoint,
): ArrangedKill {
  if (httpProxy === undefined)
    throw new Error("nothing stands between fairlead and the API server");
  let writes = 0;
  let answers = 0;
  let isStruck = false;
  let isOver = false;
  let tell: (request: PassingRequest) => void = () => undefined;
  const killed = new Promise<PassingRequest>((resolve) => {
    tell = resolve;
  });
  const kill = async (request: PassingRequest) => {
    isStruck = true;
    await process.stop("SIGKILL");
    tell(request);
    return { kind: "cut" } as const;
  };
  const pass = { kind: "pass" } as const;
  httpProxy.intercept({
    async before(request) {
      if (isOver || !isProgress(request)) return pass;
      writes += 1;
      return point.when === "before" && writes === point.write ? kill(request) : pass;
    },
    async after(request) {
      // One that was under way when it was over comes here all the same.
      if (isOver || !isProgress(request)) return pass;
      answers += 1;
      return point.when === "after" && answers === point.write ? kill(request) : pass;
    },
  });
  return {
    killed,
    disarm() {
      isOver = true;
      httpProxy.intercept({});
      return isStruck;
    },
  };
}

/**
 * Starts the watch process to be killed at a write.
 * @returns false where everything converged before it came there; it goes on then.
 */
async function liveUntil(stage: KillStage, point: KillPoint): Promise<boolean> {
  const { fairlead, witness } = stage;
  const { killed, disarm } = arrangeKill(stage, fairlead.watch, point);
  let isDead = false;
  const death = killed.then(() => {
    isDead = true;
    return true;
  });
  // It may be killed before it is ready.
  const starting = fairlead.watch.start().catch((error: unknown) => {
    if (!isDead) throw error;
  });
  const converged = starting.then(async () =>
    isDead ? death : witness.converged(() => isDead).then(() => isDead),
  );
  await Promise.race([death, converged]);
  await starting;
  // Its last write may strike it while everything is seen to be in line: it does not go on then.
  return disarm() ? death : false;
}

/** More lives than any change needs: each would begin with the same write, and none would come further. */
const MAX_LIVES = 100;

/**
 * Lets the watch process make one write a life, until everything has converged: it dies after its first write, or before
 * its second one arrives, in turn.
 * @returns how often it died.
 * @throws Error when it does not come further.
 */
export async function liveOneWriteEach(stage: KillStage): Promise<number> {
  for (let kills = 0; kills < MAX_LIVES; kills += 1) {
    const point: KillPoint =
      kills % 2 === 0 ? { write: 1, when: "after" } : { write: 2, when: "before" };
    if (!(await liveUntil(stage, point))) return kills;
  }
  throw new Error(
    `not converged after ${MAX_LIVES} lives: ${(await stage.witness.differences()).join("; ")}`,
  );
}

/**
 * Takes steps, each of which has to converge, and kills the watch process once at the write that is given, wherever in
 * them that is; it is started again at once. It must be running.
 * @returns whether it was killed: not, where there are fewer writes.
 */
export async function liveThrough(
  stage: KillStage,
  steps: readonly (() => Promise<void>)[],
  point: KillPoint,
): Promise<boolean> {
  const { fairlead, witness } = stage;
  const { killed, disarm } = arrangeKill(stage, fairlead.watch, point);
  const death = killed.then(() => "killed" as const);
  let wasKilled = false;
  for (const step of steps) {
    await step();
    const converged = witness.converged().then(() => "converged" as const);
    if (wasKilled || (await Promise.race([death, converged])) === "converged") {
      await converged;
      continue;
    }
    wasKilled = true;
    await fairlead.watch.start();
    await converged;
  }
  const isStruck = disarm();
  if (isStruck && !wasKilled) {
    // At the last write of all, while everything was seen to be in line.
    await death;
    await fairlead.watch.start();
    await witness.converged();
  }
  return isStruck;
}
