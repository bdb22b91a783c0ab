import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../test/harness/eventually";
import type { LoadRequest, RequestReport } from "./load";
import { startLoad, type Load } from "./load-client";
import { difference, skewOf, sumOf, type PerServer } from "./spread";
import type { Mode } from "./configuration";
import { LOAD_NAMESPACE, type Stage } from "./stage";

/** What is sent, and over how many connections. */
export interface Amounts {
  readonly connections: number;
  /** Of all connections together, at least. */
  readonly requests: number;
  readonly watches: number;
}

/** One measurement of how requests spread. */
export interface Spread {
  /** By `apiserver_request_total`, without watches. */
  readonly requests: PerServer;
  readonly skew: number;
  /** Open at the end. */
  readonly watches: PerServer;
  readonly watchSkew: number;
  /** Requests that had another answer than 200, or none; nothing is sent again. */
  readonly failedRequests: number;
  readonly outcomes: RequestReport["outcomes"];
  readonly requestsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Requests under way at once on each connection. */
const streamsPerConnection = 4;

const configMaps = `/api/v1/namespaces/${LOAD_NAMESPACE}/configmaps`;
const get: LoadRequest = { method: "GET", path: `${configMaps}/subject` };
const list: LoadRequest = { method: "GET", path: configMaps };
const patch: LoadRequest = {
  method: "PATCH",
  path: `${configMaps}/subject`,
  body: JSON.stringify({ metadata: { labels: { load: "on" } } }),
};
/** Mostly reads; the patch is written by the first one only, so that the disk is not what is measured. */
const mix: readonly LoadRequest[] = [get, get, get, get, list, get, get, get, get, patch];
const watched = `/api/v1/namespaces/${LOAD_NAMESPACE}/secrets`;

async function send(load: Load, { connections, requests }: Amounts): Promise<RequestReport> {
  const requestsPerConnection = Math.ceil(requests / connections);
  return load.request({ requestsPerConnection, streams: streamsPerConnection, requests: mix });
}

async function spreadOf(stage: Stage, work: () => Promise<RequestReport>): Promise<Spread> {
  const before = await stage.counts();
  const { outcomes, elapsedMs, p50Ms, p99Ms } = await work();
  const after = await stage.counts();
  const requests = difference(after.requests, before.requests);
  const answered = outcomes["200"] ?? 0;
  if (sumOf(requests) < answered) throw new Error("API servers counted less than was answered");
  const sent = sumOf(Object.values(outcomes));
  return {
    requests,
    skew: skewOf(requests),
    watches: after.watches,
    watchSkew: skewOf(after.watches),
    failedRequests: sent - answered,
    outcomes,
    requestsPerSecond: (sent / elapsedMs) * 1000,
    p50Ms,
    p99Ms,
  };
}

async function untilWatches(stage: Stage, count: number): Promise<PerServer> {
  return eventually(async () => {
    const { watches } = await stage.counts();
    if (sumOf(watches) === count) return watches;
    throw new Error(`${sumOf(watches)} watches are open instead of ${count}`);
  });
}

async function withLoad<T>(
  stage: Stage,
  connections: number,
  work: (load: Load) => Promise<T>,
): Promise<T> {
  const load = startLoad(stage.client, stage.targetOf(connections));
  try {
    return await work(load);
  } finally {
    await load.stop();
    await untilWatches(stage, 0);
  }
}

/** How requests and watches spread at one moment of a scene. */
export interface Moment {
  readonly label: string;
  readonly spread: Spread;
  /** Those that a new client opened meanwhile, on connections of its own. */
  readonly newWatches?: PerServer;
}

/** Makes load, and says how it spread. */
type Scene = (stage: Stage, mode: Mode, amounts: Amounts) => Promise<readonly Moment[]>;

/** Half of the watches are open before the requests, the others are opened while they run. */
const steady: Scene = async (stage, _mode, amounts) =>
  withLoad(stage, amounts.connections, async (load) => {
    const half = Math.floor(amounts.watches / 2);
    await load.watch({ count: half, path: watched });
    const spread = await spreadOf(stage, async () => {
      const opened = load.watch({ count: amounts.watches - half, path: watched });
      const [report] = await Promise.all([send(load, amounts), opened]);
      return report;
    });
    return [{ label: "steady", spread }];
  });

const settleMs = 30_000;

/** Restarts the first API server under open watches; its watches are opened again elsewhere. */
const restartAs =
  (as: "same" | "moved"): Scene =>
  async (stage, mode, amounts) =>
    withLoad(stage, amounts.connections, async (load) => {
      await load.watch({ count: amounts.watches, path: watched });
      const before = await spreadOf(stage, async () => send(load, amounts));
      await stage.restartFirst(mode, as);
      const old = await untilWatches(stage, amounts.watches);
      const after = await spreadOf(stage, async () => send(load, amounts));
      await sleep(settleMs);
      const newcomer = startLoad(stage.client, stage.targetOf(amounts.connections));
      try {
        const later = await spreadOf(stage, async () => {
          const opened = newcomer.watch({ count: Math.ceil(amounts.watches / 2), path: watched });
          const [report] = await Promise.all([send(load, amounts), opened]);
          return report;
        });
        const newWatches = difference(later.watches, old);
        return [
          { label: "before", spread: before },
          { label: "at once", spread: after },
          { label: "30 s later", spread: later, newWatches },
        ];
      } finally {
        await newcomer.stop();
      }
    });

/** Least and most time until a watch ends by itself: a tenth of client-go's. */
const renewalSeconds = [30, 60] as const;
const renewalSteps = [0, 20, 40, 60, 80];

/** As `restart` of the same, with watches that end by themselves and are opened again, as client-go's reflectors do. */
const renewal: Scene = async (stage, mode, amounts) =>
  withLoad(stage, amounts.connections, async (load) => {
    await load.watch({ count: amounts.watches, path: watched, timeoutSeconds: renewalSeconds });
    await send(load, amounts);
    await stage.restartFirst(mode, "same");
    const startMs = Date.now();
    const moments: Moment[] = [];
    for (const seconds of renewalSteps) {
      await sleep(Math.max(0, startMs + seconds * 1000 - Date.now()));
      const spread = await spreadOf(stage, async () => send(load, amounts));
      moments.push({ label: `${seconds} s after`, spread });
    }
    return moments;
  });

/** What can be measured, by the names of `--scene`. */
export const SCENES = {
  steady,
  restart: restartAs("same"),
  replacement: restartAs("moved"),
  renewal,
} as const satisfies Readonly<Record<string, Scene>>;

export type SceneName = keyof typeof SCENES;
