import { setTimeout as sleep } from "node:timers/promises";
import { CHOSEN } from "./algorithms";
import type { Mode } from "./configuration";
import type { LoadRequest } from "./load";
import { usageOf } from "../../test/cluster/processes";
import { MIX, WATCHED, withLoad } from "./scenes";
import { CONTROLLERS } from "./shapes";
import { difference, type PerServer } from "./spread";
import { LISTED_NAMESPACE, type Stage } from "./stage";

/** What the API servers used in one interval. */
export interface Consumption {
  /** At the interval's end, since the load began. */
  readonly seconds: number;
  /** Busy cores. */
  readonly cores: PerServer;
  readonly residentBytes: PerServer;
}

/** How long a load goes on, and how much it is. */
export interface ConsumptionPlan {
  readonly seconds: number;
  readonly intervalMs: number;
  readonly requestsPerSecond: number;
}

/** A controller that lists now and then what it manages: 200 objects of 1 KiB. */
const list: LoadRequest = {
  method: "GET",
  path: `/api/v1/namespaces/${LISTED_NAMESPACE}/configmaps`,
};
const requests: readonly LoadRequest[] = [...MIX, ...MIX, list];
/** Six a controller. */
const watches = 60;

/**
 * Samples each API server under one hot controller among quiet ones, in one mode, at a rate that does not depend on the
 * mode. The API servers are started anew before it, so that none carries what another mode did to it.
 */
export async function measureConsumption(
  stage: Stage,
  mode: Mode,
  plan: ConsumptionPlan,
): Promise<readonly Consumption[]> {
  await stage.configure(mode, CHOSEN[mode]);
  await stage.restartAll(mode);
  return withLoad(stage, CONTROLLERS, async (load) => {
    await load.watch({ count: watches, path: WATCHED });
    const { turns, inFlight } = CONTROLLERS;
    const { requestsPerSecond: perSecond } = plan;
    const count = plan.seconds * perSecond;
    const [samples, { outcomes }] = await Promise.all([
      sample(stage, plan),
      load.request({ count, turns, inFlight, perSecond, requests }),
    ]);
    if (outcomes["200"] === count) return samples;
    throw new Error(`requests failed: ${JSON.stringify(outcomes)}`);
  });
}

interface Reading {
  readonly atMs: number;
  readonly cpuMs: PerServer;
  readonly residentBytes: PerServer;
}

function read(pids: readonly number[]): Reading {
  const usages = pids.map(usageOf);
  return {
    atMs: performance.now(),
    cpuMs: usages.map(({ cpuMs }) => cpuMs),
    residentBytes: usages.map(({ residentBytes }) => residentBytes),
  };
}

async function sample(stage: Stage, plan: ConsumptionPlan): Promise<readonly Consumption[]> {
  const { apiServers } = stage.programs();
  const samples: Consumption[] = [];
  const start = read(apiServers);
  let last = start;
  while (last.atMs - start.atMs < plan.seconds * 1000) {
    await sleep(plan.intervalMs);
    const next = read(apiServers);
    const elapsedMs = next.atMs - last.atMs;
    samples.push({
      seconds: (next.atMs - start.atMs) / 1000,
      cores: difference(next.cpuMs, last.cpuMs).map((cpuMs) => cpuMs / elapsedMs),
      residentBytes: next.residentBytes,
    });
    last = next;
  }
  return samples;
}
