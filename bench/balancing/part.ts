import type { Figure, Part, PartContext, PartResult } from "../framework/part";
import { CHOSEN } from "./algorithms";
import type { Mode } from "./configuration";
import { measureConsumption, type ConsumptionPlan } from "./consumption";
import { consumptionResult, speedResult, spreadResult, type SpreadRuns } from "./results";
import { measureAftermath, SCENES, type ShapeSpread, type Spread } from "./scenes";
import { CONTROLLERS, evenly, type Shape } from "./shapes";
import { measureSpeed, type SpeedPlan } from "./speed";
import { setStage, type Stage } from "./stage";

interface Amounts {
  readonly runs: number;
  readonly requests: number;
  readonly watches: number;
}

interface GoawayPlan extends Amounts {
  readonly chances: readonly number[];
}

/** How much is measured. */
interface Plan {
  /** Of how requests spread, in each mode. */
  readonly spread: Amounts;
  readonly aftermath: Amounts & { readonly modes: readonly Mode[] };
  readonly speed: SpeedPlan;
  readonly consumption: ConsumptionPlan;
  /** kube-apiserver's `--goaway-chance`, in L4; nothing of it where this is left out. */
  readonly goaway?: GoawayPlan;
}

const FULL: Plan = {
  spread: { runs: 5, requests: 20_000, watches: 60 },
  aftermath: { modes: ["L4", "L7"], runs: 3, requests: 10_000, watches: 30 },
  speed: { rounds: 10, fullRequests: 12_000, serialRequests: 600 },
  consumption: { seconds: 60, intervalMs: 1_000, requestsPerSecond: 1_000 },
  // What kube-apiserver's help advises to start with, and the most that it takes.
  goaway: { chances: [0.001, 0.02], runs: 3, requests: 10_000, watches: 60 },
};

const QUICK: Plan = {
  spread: { runs: 2, requests: 2_000, watches: 30 },
  aftermath: { modes: ["L7"], runs: 1, requests: 2_000, watches: 30 },
  speed: { rounds: 5, fullRequests: 2_000, serialRequests: 100 },
  consumption: { seconds: 4, intervalMs: 500, requestsPerSecond: 1_000 },
};

const SHAPES: readonly Shape[] = [evenly(1), evenly(4), evenly(30), CONTROLLERS];
const MODES: readonly Mode[] = ["L4", "L7"];

/** Runs one thing after another, each as a step that is shown. */
type InStep = <T>(
  title: string,
  work: (note: (detail: string) => void) => Promise<T>,
) => Promise<T>;

function stepsOf({ progress }: PartContext): InStep {
  return async (title, work) => {
    const step = progress.step(title);
    try {
      const result = await work((detail) => {
        step.update({ detail });
      });
      step.done();
      return result;
    } catch (error) {
      step.fail();
      throw error;
    }
  };
}

interface SpreadRequest {
  readonly stage: Stage;
  readonly mode: Mode;
  readonly series: string;
  readonly amounts: Amounts;
}

async function measureSteady(request: SpreadRequest): Promise<readonly SpreadRuns[]> {
  const { stage, mode, series, amounts } = request;
  const { requests, watches } = amounts;
  await stage.configure(mode, CHOSEN[mode]);
  const all: SpreadRuns[] = [];
  for (const shape of SHAPES) {
    const runs: Spread[] = [];
    for (let run = 0; run < amounts.runs; run += 1) {
      const moments = await SCENES.steady(stage, mode, { shape, requests, watches });
      runs.push(...moments.map(({ spread }) => spread));
    }
    all.push({ series, mode, when: "steady", shape, runs });
  }
  return all;
}

async function measureRestarts(
  stage: Stage,
  { modes, runs, requests, watches }: Plan["aftermath"],
): Promise<readonly SpreadRuns[]> {
  const all: SpreadRuns[] = [];
  for (const mode of modes) {
    await stage.configure(mode, CHOSEN[mode]);
    const measured: ShapeSpread[] = [];
    for (let run = 0; run < runs; run += 1) {
      measured.push(
        ...(await measureAftermath(stage, mode, { shapes: SHAPES, requests, watches })),
      );
    }
    const spreadsOf = (shape: Shape): readonly Spread[] =>
      measured.filter((one) => one.shape === shape).map(({ spread }) => spread);
    all.push(
      ...SHAPES.map((shape) => ({
        series: mode,
        mode,
        when: "30 s after a restart" as const,
        shape,
        runs: spreadsOf(shape),
      })),
    );
  }
  return all;
}

async function measureGoaway(
  stage: Stage,
  { chances, ...amounts }: GoawayPlan,
): Promise<readonly SpreadRuns[]> {
  const all: SpreadRuns[] = [];
  for (const chance of chances) {
    await stage.replaceServers([`--goaway-chance=${chance}`]);
    const series = `L4, --goaway-chance=${chance}`;
    all.push(...(await measureSteady({ stage, mode: "L4", series, amounts })));
  }
  return all;
}

async function measureAll(stage: Stage, plan: Plan, inStep: InStep): Promise<PartResult> {
  const spreads: SpreadRuns[] = [];
  for (const mode of MODES) {
    const request = { stage, mode, series: mode, amounts: plan.spread };
    const measure = async () => measureSteady(request);
    spreads.push(...(await inStep(`how requests spread in ${mode}`, measure)));
  }
  const speeds = await inStep("throughput and latency: direct, L4, L7", async (note) =>
    measureSpeed(stage, plan.speed, (done) => {
      note(`round ${done} of ${plan.speed.rounds}`);
    }),
  );
  const [L4, L7] = await inStep("what each API server uses: L4, L7", async () => [
    await measureConsumption(stage, "L4", plan.consumption),
    await measureConsumption(stage, "L7", plan.consumption),
  ]);
  const restarts = async () => measureRestarts(stage, plan.aftermath);
  spreads.push(...(await inStep("how requests spread 30 s after a restart", restarts)));
  const { goaway } = plan;
  if (goaway !== undefined) {
    const measure = async () => measureGoaway(stage, goaway);
    spreads.push(...(await inStep("how requests spread with --goaway-chance", measure)));
  }
  return merge([spreadResult(spreads), speedResult(speeds), consumptionResult({ L4, L7 })]);
}

function merge(results: readonly PartResult[]): PartResult {
  return {
    figures: results.flatMap(({ figures }) => figures),
    charts: results.flatMap(({ charts }) => charts),
  };
}

function lineOf({ name, value, unit, interval }: Figure): string {
  const spread = interval?.map((end) => end.toFixed(3)).join(" to ");
  return `${name}: ${value.toFixed(3)} ${unit}${spread === undefined ? "" : ` (${spread})`}`;
}

/** How requests spread over API servers behind the gateway, and what the gateway costs. */
export const part: Part = {
  name: "balancing",
  title: "Data plane",
  async run(context) {
    const plan = context.quick ? QUICK : FULL;
    const stage = await setStage({
      gatewayPods: 1,
      zones: ["zone-1", "zone-1", "zone-1"],
      flags: [],
      progress: context.progress,
    });
    try {
      const result = await measureAll(stage, plan, stepsOf(context));
      for (const figure of result.figures) {
        if (figure.unit === "max/mean" || figure.goal !== undefined) context.say(lineOf(figure));
      }
      return result;
    } finally {
      await stage.stop();
    }
  },
};
