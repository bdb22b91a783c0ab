import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import type { HostedAPIServer } from "../../lib/api";
import { systemClock, type KubernetesClient } from "../../lib/cluster";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import { startCluster, type EmbeddedCluster } from "../../test/cluster";
import { connectInProcess } from "../../test/harness/in-process";
import { hostedAPIServer } from "../../test/harness/objects";
import { inParallel } from "../../test/harness/parallel";
import type { Figure, Part, PartContext } from "../framework/part";
import { exactCpuMsOf } from "../framework/process-usage";
import { estimate } from "../framework/statistics";
import { START_REQUESTS } from "./requests";

/** How much is measured. */
interface Plan {
  readonly rounds: number;
  /** Of each request, in each round. */
  readonly count: number;
}

const FULL: Plan = { rounds: 20, count: 100 };
const QUICK: Plan = { rounds: 3, count: 50 };
const NAMESPACE = "bench";
const IN_FLIGHT = 4;
const REST_MS = 3_000;

interface Ground {
  readonly client: KubernetesClient;
  readonly cpuMs: () => number;
  /** What the API server uses while nobody asks it for anything, in milliseconds a millisecond. */
  readonly restCpuMsPerMs: number;
}

async function groundOf(cluster: EmbeddedCluster): Promise<Ground> {
  const { client } = await connectInProcess({
    kubeconfigPath: cluster.kubeconfigPath,
    clock: systemClock,
    drainMs: 0,
  });
  const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name: NAMESPACE } };
  await client.create(namespace, FIELD_MANAGERS.install);
  const cpuMs = (): number => exactCpuMsOf(cluster.apiServer.pid);
  // What a start leaves to be done is done by then.
  await sleep(REST_MS);
  const before = cpuMs();
  await sleep(REST_MS);
  return { client, cpuMs, restCpuMsPerMs: (cpuMs() - before) / REST_MS };
}

/** Sends each request for new HostedAPIServers. @returns The API server's CPU time of each, by name. */
async function measureRound(
  { client, cpuMs, restCpuMsPerMs }: Ground,
  round: number,
  count: number,
): Promise<ReadonlyMap<string, number>> {
  let servers = Array.from(
    { length: count },
    (_, index) =>
      hostedAPIServer(NAMESPACE, `main-${round}-${index}`) as unknown as HostedAPIServer,
  );
  const costs = new Map<string, number>();
  for (const { name, send } of START_REQUESTS) {
    const left: HostedAPIServer[] = [];
    const [startedMs, beforeMs] = [performance.now(), cpuMs()];
    await inParallel(servers, IN_FLIGHT, async (server) => {
      left.push(await send(client, server));
    });
    const restMs = (performance.now() - startedMs) * restCpuMsPerMs;
    costs.set(name, (cpuMs() - beforeMs - restMs) / count);
    servers = left;
  }
  return costs;
}

async function measure(cluster: EmbeddedCluster, context: PartContext): Promise<readonly Figure[]> {
  const { rounds, count } = context.quick ? QUICK : FULL;
  const ground = await groundOf(cluster);
  const step = context.progress.step(`${count} of each request, ${rounds} times`);
  await measureRound(ground, 0, count);
  const costs: ReadonlyMap<string, number>[] = [];
  for (let round = 1; round <= rounds; round += 1) {
    step.update({ fraction: round / (rounds + 1) });
    costs.push(await measureRound(ground, round, count));
  }
  step.done();
  return START_REQUESTS.map(({ name }) => ({
    name: `CPU of an API server, ${name}`,
    unit: "ms",
    ...estimate(costs.map((cost) => cost.get(name) ?? Number.NaN)),
  }));
}

/** What fairlead's requests cost an API server that has nothing else to do. */
export const part: Part = {
  name: "api-server",
  title: "What each request costs an API server",
  async run(context) {
    const cluster = await startCluster({ progress: context.progress });
    try {
      return { figures: await measure(cluster, context), charts: [] };
    } finally {
      await cluster.stop();
    }
  },
};
