import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../harness/eventually";
import { routeConfigMap, routedPod } from "../harness/objects";
import { namespace } from "../harness/objects";
import { randomFrom } from "../harness/random";
import { START_TIMEOUT_MS } from "../harness/stage";
import { changes, churn, type Change } from "./changes";
import { compact, watchFrom } from "./compaction";
import { fault, type FaultRun } from "./fault";
import { setFaultStage, GATEWAYS, type FaultStage, type Line } from "./stage";
import { throttle } from "./throttling";

jest.setTimeout(600_000);

const FREEZE_MS = 60_000;
const PAUSE_MS = 30_000;
const OUTAGE_MS = 10_000;
/** As long as a read may hang that began during an outage, twice, and then some. */
const ADMISSION_PATIENCE = { timeoutMs: 90_000 };
const tenants = ["tenant-1", "tenant-2", "tenant-3"];

describe("fairlead while its API server, or the way there, fails", () => {
  let stage: FaultStage;
  let line: Line;
  const random = randomFrom(20_261_128);

  const change = async (count: number): Promise<void> => churn(stage, { count, tenants, random });

  const all = async (made: Change): Promise<void> => {
    for (const tenant of tenants) await made(stage, tenant);
  };

  /** Waits until everything is as it should be, admission included, and both processes are those that they were. */
  const verdict = async (
    pids: readonly number[],
  ): Promise<Pick<FaultRun, "lost" | "convergedMs">> => {
    const { lost, convergedMs } = await stage.witness.verdict();
    await eventually(async () => {
      const { body } = await stage.api.tryToCreate(routedPod("routed", "component"));
      const aliases = body.spec?.hostAliases as readonly { hostnames: readonly string[] }[];
      expect(aliases[0]?.hostnames).toEqual(["api.example.com"]);
    }, ADMISSION_PATIENCE);
    expect([stage.fairlead.admission.pid, stage.fairlead.watch.pid]).toEqual(pids);
    return { lost, convergedMs };
  };

  const pids = (): readonly number[] => [stage.fairlead.admission.pid, stage.fairlead.watch.pid];

  beforeAll(async () => {
    stage = await setFaultStage({ tenants, between: "line" });
    if (stage.line === undefined) throw new Error("there is no line");
    ({ line } = stage);
    await stage.api.createAll([
      namespace("routed"),
      routeConfigMap("routed", { hosts: "api.example.com", "istio-namespace": GATEWAYS }),
    ]);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  fault("API server killed and restarted", async () => {
    const before = pids();
    await change(6);
    await stage.cluster.apiServer.stop("SIGKILL");
    await sleep(OUTAGE_MS);
    await stage.cluster.apiServer.start();
    await all(changes.renewServer);
    return {
      ...(await verdict(before)),
      did: `SIGKILL in the middle of changes, away for ${OUTAGE_MS / 1000} s`,
    };
  });

  fault("API server frozen", async () => {
    const before = pids();
    await change(6);
    process.kill(stage.cluster.apiServer.pid, "SIGSTOP");
    await sleep(FREEZE_MS);
    process.kill(stage.cluster.apiServer.pid, "SIGCONT");
    await all(changes.renewServer);
    return {
      ...(await verdict(before)),
      did: `SIGSTOP in the middle of changes, for ${FREEZE_MS / 1000} s`,
    };
  });

  fault("etcd paused", async () => {
    const before = pids();
    await change(6);
    process.kill(stage.cluster.etcd.pid, "SIGSTOP");
    await sleep(PAUSE_MS);
    process.kill(stage.cluster.etcd.pid, "SIGCONT");
    await eventually(async () => all(changes.renewServer));
    return {
      ...(await verdict(before)),
      did: `SIGSTOP in the middle of changes, for ${PAUSE_MS / 1000} s`,
    };
  });

  fault("watch connections cut", async () => {
    const before = pids();
    let cuts = 0;
    const over = new AbortController();
    const cutting = (async () => {
      while (!over.signal.aborted) {
        line.cut();
        cuts += 1;
        await sleep(100 * random());
      }
    })();
    await change(120);
    over.abort();
    await cutting;
    return {
      ...(await verdict(before)),
      did: `all of fairlead's connections cut ${cuts} times during 120 changes`,
    };
  });

  fault("history compacted (410)", async () => {
    const before = pids();
    const { metadata } = await stage.api.read<{ metadata: { resourceVersion: string } }>(
      "/api/v1/secrets?limit=1",
    );
    line.hold();
    await change(12);
    await all(changes.removeServer);
    await compact(stage.cluster);
    // Its own memory of the past goes with it.
    await stage.cluster.apiServer.restart("SIGKILL");
    const { resourceVersion } = metadata;
    // At first it says 429, as long as it fills its caches.
    await eventually(async () => {
      for (const path of ["/api/v1/secrets", "/apis/fairlead.dev/v1alpha1/hostedapiservers"]) {
        expect(await watchFrom(stage, path, resourceVersion)).toBe(410);
      }
    });
    await all(changes.addServer);
    line.release();
    return {
      ...(await verdict(before)),
      did: "cut off during changes and deletions, etcd compacted meanwhile: its watches' versions are gone",
    };
  });

  fault("API Priority and Fairness says 429", async () => {
    const before = pids();
    const { refused, rounds } = await throttle(stage, 10, async () => change(4));
    expect(refused).toBeGreaterThanOrEqual(10);
    return {
      ...(await verdict(before)),
      did: `a priority level of the fewest seats, filled by others: ${refused} of fairlead's requests refused during ${rounds * 4} changes`,
    };
  });
});
