import { setTimeout as sleep } from "node:timers/promises";
import { describeDataPlane } from "../e2e/data-plane-choice";
import type { LoadReport } from "../harness/load";
import { START_TIMEOUT_MS } from "../harness/stage";
import { setExposedFaultStage, type ExposedFaultStage } from "./exposed-stage";
import { fault } from "./fault";
import { liveOneWriteEach } from "./kills";

jest.setTimeout(900_000);

const OUTAGE_MS = 15_000;

/** What clients have lost. */
function lossesOf({ failed, failures, watches, watchFailures }: LoadReport): readonly string[] {
  const samples = [...failures, ...watchFailures].map(({ request, what }) => `${request}: ${what}`);
  return failed + watches.failed === 0 ? [] : [`${failed} requests`, ...samples];
}

describeDataPlane("while clients are at work through the gateway", () => {
  let stage: ExposedFaultStage;

  beforeAll(async () => {
    stage = await setExposedFaultStage();
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  fault("watch process killed at every write, clients at work", async () => {
    const load = await stage.startLoad();
    const steps = [
      async () => stage.rotate(),
      async () => stage.tenant.patchSpec({ loadBalancing: "L4" }),
      async () => stage.tenant.patchSpec({ loadBalancing: "L7" }),
    ];
    let kills = 0;
    for (const step of steps) {
      await stage.fairlead.watch.stop("SIGKILL");
      await step();
      kills += await liveOneWriteEach(stage);
      await load.untilMore(50);
    }
    expect(kills).toBeGreaterThan(5);
    const verdict = await stage.witness.verdict();
    const report = await load.stop();
    return {
      did: `SIGKILL ${kills} times through a rotation and a switch to L4 and back; ${report.requests} requests through the gateway`,
      lost: [...lossesOf(report), ...verdict.lost],
      convergedMs: verdict.convergedMs,
    };
  });

  fault("management API server killed, clients at work", async () => {
    const load = await stage.startLoad();
    await stage.rotate();
    await stage.cluster.apiServer.stop("SIGKILL");
    await sleep(OUTAGE_MS);
    await load.untilMore(50);
    await stage.cluster.apiServer.start();
    await stage.rotate();
    const verdict = await stage.witness.verdict();
    await load.untilMore(50);
    const report = await load.stop();
    return {
      did: `SIGKILL in the middle of a rotation, away for ${OUTAGE_MS / 1000} s; ${report.requests} requests through the gateway`,
      lost: [...lossesOf(report), ...verdict.lost],
      convergedMs: verdict.convergedMs,
    };
  });
});
