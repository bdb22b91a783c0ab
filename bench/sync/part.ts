import { startFairlead } from "../../test/harness/fairlead";
import { keepLogs } from "../../test/harness/stage";
import { estimateQuantile } from "../framework/statistics";
import type { Chart, Figure, Part, PartContext, PartResult } from "../framework/part";
import { Convergence } from "../scale/convergence";
import { CopyWatch } from "../scale/copies";
import { Landscape } from "../scale/landscape";
import { setScaleStage, type ScaleStage } from "../scale/stage";
import { issueAt, prepare, type Rate } from "./changes";
import { latenciesOf } from "./latencies";

const TENANTS = 20;
const READY_TIMEOUT_MS = 120_000;
const GOAL_RATE = 10;
const GOAL_MS = 100;

const rounded = (value: number): number => Number(value.toFixed(1));

interface Measured {
  readonly rate: Rate;
  readonly latenciesMs: readonly number[];
  /** Copies that were written: fewer than changes, where some did for several. */
  readonly copies: number;
  readonly lateMs: number;
}

function ratesOf(quick: boolean): readonly Rate[] {
  return quick
    ? [
        { perSecond: 1, changes: 8 },
        { perSecond: 10, changes: 120 },
        { perSecond: 100, changes: 500 },
      ]
    : [
        { perSecond: 1, changes: 100 },
        { perSecond: 10, changes: 900 },
        { perSecond: 100, changes: 2_000 },
      ];
}

async function measure(
  stage: ScaleStage,
  tenants: readonly string[],
  rate: Rate,
): Promise<Measured> {
  const renewals = await prepare(stage, tenants, rate);
  const copies = await CopyWatch.begin(stage.api);
  try {
    const { perSecond } = rate;
    const { changes, lateMs } = await issueAt(stage, renewals, { perSecond, copies });
    const issued = new Set(changes.map(({ certificate }) => certificate));
    const arrivals = copies.arrivals().filter(({ certificate }) => issued.has(certificate));
    const latenciesMs = latenciesOf(changes, arrivals);
    return { rate, latenciesMs, copies: arrivals.length, lateMs };
  } finally {
    copies.stop();
  }
}

async function measureAll(
  stage: ScaleStage,
  tenants: readonly string[],
  { quick, progress }: PartContext,
): Promise<readonly Measured[]> {
  const results: Measured[] = [];
  for (const rate of ratesOf(quick)) {
    const step = progress.step(`${rate.changes} certificates renewed, ${rate.perSecond} a second`);
    results.push(await measure(stage, tenants, rate));
    step.done();
  }
  return results;
}

const SHARES = [
  { share: 0.5, name: "p50" },
  { share: 0.99, name: "p99" },
] as const;

function estimateAt({ latenciesMs }: Measured, share: number) {
  const { value, interval } = estimateQuantile(latenciesMs, share);
  const [low, high] = interval ?? [value, value];
  return { value: rounded(value), interval: [rounded(low), rounded(high)] as const };
}

function figuresOf(measured: Measured): readonly Figure[] {
  const { rate, latenciesMs, copies, lateMs } = measured;
  const counted = `${latenciesMs.length} changes, ${copies} copies; sent at most ${rounded(lateMs)} ms late`;
  return SHARES.map(({ share, name }) => ({
    name: `source changed until its copy is there, ${rate.perSecond} a second, ${name}`,
    unit: "ms",
    ...estimateAt(measured, share),
    ...(name === "p99" && rate.perSecond === GOAL_RATE ? { goal: { atMost: GOAL_MS } } : {}),
    note: counted,
  }));
}

function chartOf(all: readonly Measured[]): Chart {
  return {
    name: "latency",
    title: "From a renewed certificate to its copy, by the rate of changes",
    kind: "lines",
    xLabel: "changes a second",
    yLabel: "time until the copy was seen (ms)",
    log: { x: true, y: true },
    series: SHARES.map(({ share, name }) => ({
      name,
      points: all.map((measured) => {
        const { value, interval } = estimateAt(measured, share);
        return { x: measured.rate.perSecond, y: value, low: interval[0], high: interval[1] };
      }),
    })),
  };
}

async function run(context: PartContext): Promise<PartResult> {
  const { progress } = context;
  const stage = await setScaleStage(progress);
  try {
    const landscape = new Landscape(stage, { pods: 0 });
    await landscape.growTo(TENANTS, () => undefined);
    const convergence = await Convergence.begin(stage.api);
    const fairlead = await startFairlead(stage.cluster, { dataPlane: stage.plane });
    try {
      const step = progress.step(`${TENANTS} control planes until they are Ready`);
      await convergence.untilAllReady(TENANTS, {
        timeoutMs: READY_TIMEOUT_MS,
        onProgress: (fraction) => {
          step.update({ fraction });
        },
      });
      step.done();
      const measured = await measureAll(stage, landscape.tenants, context);
      return { figures: measured.flatMap(figuresOf), charts: [chartOf(measured)] };
    } finally {
      convergence.stop();
      await fairlead.stop();
      keepLogs(stage.cluster, fairlead);
    }
  } finally {
    await stage.stop();
  }
}

/** From a source's change to its copy, at several rates. */
export const part: Part = {
  name: "sync",
  title: "Sync: from a source's change to its copy",
  run,
};
