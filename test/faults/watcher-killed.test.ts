import { START_TIMEOUT_MS } from "../harness/stage";
import { randomFrom } from "../harness/random";
import { changes, churn, type Change } from "./changes";
import { fault, isOnce } from "./fault";
import { liveOneWriteEach, liveThrough } from "./kills";
import { failSome } from "./server-errors";
import { setFaultStage, type FaultStage } from "./stage";

jest.setTimeout(7_200_000);

const TENANT = "tenant-1";

/** A tenant's life; after each change everything has to converge. */
const life: readonly (readonly Change[])[] = [
  [changes.addServer],
  [changes.renewServer, changes.changeClientCA, changes.changeServerCA, changes.changeFrontProxyCA],
  [changes.switchToL4, changes.setTopologyAware],
  [changes.switchToL7, changes.unsetTopologyAware],
  [changes.removeServer],
];

describe("the watch process, on a line that it does not survive", () => {
  let stage: FaultStage;
  const random = randomFrom(2);

  const make = async (made: readonly Change[]): Promise<void> => {
    for (const change of made) await change(stage, TENANT);
  };

  beforeAll(async () => {
    stage = await setFaultStage({
      tenants: [TENANT, "tenant-2"],
      between: "http-proxy",
      fairlead: { processes: ["watch"] },
    });
    await make([changes.removeServer]);
    await stage.witness.converged();
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  fault("watch process killed at every write", async () => {
    let kills = 0;
    for (const made of life) {
      await stage.fairlead.watch.stop("SIGKILL");
      await make(made);
      kills += await liveOneWriteEach(stage);
    }
    expect(kills).toBeGreaterThan(20);
    const did = `SIGKILL around each write in a tenant's life, ${kills} times: a life, a write`;
    return { ...(await stage.witness.verdict()), did };
  });

  // Half an hour or more: the fault before comes past the same writes.
  if (!isOnce) {
    fault("watch process killed once, at each write in turn", async () => {
      const steps = life.map((made) => async () => make(made));
      let lives = 0;
      for (const when of ["before", "after"] as const) {
        for (let write = 1; await liveThrough(stage, steps, { write, when }); write += 1)
          lives += 1;
      }
      expect(lives).toBeGreaterThan(40);
      const did = `SIGKILL once in each of ${lives} tenants' lives, around another write each time`;
      return { ...(await stage.witness.verdict()), did };
    });
  }

  fault("API server's answers replaced by errors", async () => {
    await make([changes.addServer]);
    const failed = await failSome(stage, async () =>
      churn(stage, { count: 100, tenants: [TENANT, "tenant-2"], random }),
    );
    expect(failed).toBeGreaterThan(5);
    const did = `500, 502, 503, 504, pages that are no answers, and resets: ${failed} of fairlead's requests during 100 changes`;
    return { ...(await stage.witness.verdict()), did };
  });
});
