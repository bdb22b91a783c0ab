import { setTimeout as sleep } from "node:timers/promises";
import { eventually } from "../../test/harness/eventually";
import type { LoadRequest, RequestReport } from "./load";
import { startLoad, type Load } from "./load-client";
import type { Shape } from "./shapes";
import { difference, skewOf, sumOf, type PerServer } from "./spread";
import type { Mode } from "./configuration";
import { LOAD_NAMESPACE, type Stage } from "./stage";

/** What is sent, and by whom. */
export interface Amounts {
  readonly shape: Shape;
  /** Of all connections together. */
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

const configMaps = `/api/v1/namespaces/${LOAD_NAMESPACE}/configmaps`;
const get: LoadRequest = { method: "GET", path: `${configMaps}/subject` };
const list: LoadRequest = { method: "GET", path: configMaps };
const patch: LoadRequest = {
  method: "PATCH",
  path: `${configMaps}/subject`,
  body: JSON.stringify({ metadata: { labels: { load: "on" } } }),
};
/** Mostly reads; the patch is written by the first one only, so that the disk is not what is measured. */
export const MIX: readonly LoadRequest[] = [get, get, get, get, list, get, get, get, get, patch];
/** What watches are open on. */
export const WATCHED = `/api/v1/namespaces/${LOAD_NAMESPACE}/secrets`;

async function send(load: Load, { shape, requests: count }: Amounts): Promise<RequestReport> {
  const { turns, inFlight } = shape;
  return load.request({ count, turns, inFlight, requests: MIX });
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

/** Runs a client as long as work goes on, and waits until the API servers have seen it go. */
export async function withLoad<T>(
  stage: Stage,
  { connections }: Shape,
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
export type Scene = (stage: Stage, mode: Mode, amounts: Amounts) => Promise<readonly Moment[]>;

/** Half of the watches are open before the requests, the others are opened while they run. */
const steady: Scene = async (stage, _mode, amounts) =>
  withLoad(stage, amounts.shape, async (load) => {
    const half = Math.floor(amounts.watches / 2);
    await load.watch({ count: half, path: WATCHED });
    const spread = await spreadOf(stage, async () => {
      const opened = load.watch({ count: amounts.watches - half, path: WATCHED });
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
    withLoad(stage, amounts.shape, async (load) => {
      await load.watch({ count: amounts.watches, path: WATCHED });
      const before = await spreadOf(stage, async () => send(load, amounts));
      await stage.restartFirst(mode, as);
      const old = await untilWatches(stage, amounts.watches);
      const after = await spreadOf(stage, async () => send(load, amounts));
      await sleep(settleMs);
      const newcomer = startLoad(stage.client, stage.targetOf(amounts.shape.connections));
      try {
        const later = await spreadOf(stage, async () => {
          const opened = newcomer.watch({ count: Math.ceil(amounts.watches / 2), path: WATCHED });
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

/** How requests of one shape spread. */
export interface ShapeSpread {
  readonly shape: Shape;
  readonly spread: Spread;
}

/**
 * Restarts the first API server under the open watches of clients of several shapes, and looks 30 s later how the
 * requests of each spread, while it opens more watches.
 */
export async function measureAftermath(
  stage: Stage,
  mode: Mode,
  amounts: Omit<Amounts, "shape"> & { readonly shapes: readonly Shape[] },
): Promise<readonly ShapeSpread[]> {
  const { shapes, requests, watches } = amounts;
  const clients = shapes.map((shape) => ({
    shape,
    load: startLoad(stage.client, stage.targetOf(shape.connections)),
  }));
  try {
    for (const { load } of clients) await load.watch({ count: watches, path: WATCHED });
    await stage.restartFirst(mode, "same");
    await sleep(settleMs);
    await untilWatches(stage, watches * clients.length);
    const spreads: ShapeSpread[] = [];
    for (const { shape, load } of clients) {
      const spread = await spreadOf(stage, async () => {
        const opened = load.watch({ count: Math.ceil(watches / 2), path: WATCHED });
        const [report] = await Promise.all([send(load, { shape, requests, watches }), opened]);
        return report;
      });
      spreads.push({ shape, spread });
    }
    return spreads;
  } finally {
    await Promise.all(clients.map(async ({ load }) => load.stop()));
    await untilWatches(stage, 0);
  }
}

/** Least and most time until a watch ends by itself: a tenth of client-go's. */
const renewalSeconds = [30, 60] as const;
const renewalSteps = [0, 20, 40, 60, 80];

/** As `restart` of the same, with watches that end by themselves and are opened again, as client-go's reflectors do. */
const renewal: Scene = async (stage, mode, amounts) =>
  withLoad(stage, amounts.shape, async (load) => {
    await load.watch({ count: amounts.watches, path: WATCHED, timeoutSeconds: renewalSeconds });
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
