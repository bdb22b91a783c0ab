import type { Part, PartContext, PartResult } from "../framework/part";
import { reportSizes } from "./figures";
import { Landscape } from "./landscape";
import { tally } from "./request-log";
import { SizeRun, type RunOptions, type SizeResult } from "./size-run";
import { setScaleStage } from "./stage";

const SHOWN = 12;

interface Plan {
  /** Rising: what is there of a smaller landscape is used again. */
  readonly sizes: readonly number[];
  readonly pods: number;
  readonly run: RunOptions;
}

/** From the options `--sizes` and `--pods`. */
function planOf(quick: boolean, environment: NodeJS.ProcessEnv): Plan {
  const { FAIRLEAD_BENCH_SIZES: sizes, FAIRLEAD_BENCH_PODS: pods = "0" } = environment;
  const usual = quick ? "10,100" : "10,100,300,1000";
  const numbers = (sizes ?? usual).split(",").map(Number);
  if (![...numbers, Number(pods)].every(Number.isInteger)) {
    throw new Error("--sizes and --pods are whole numbers");
  }
  return {
    sizes: numbers,
    pods: Number(pods),
    run: quick ? { changes: 3, idleSeconds: 5 } : { changes: 20, idleSeconds: 60 },
  };
}

async function run(context: PartContext): Promise<PartResult> {
  const { quick, progress } = context;
  const plan = planOf(quick, process.env);
  const stage = await setScaleStage(progress);
  try {
    const landscape = new Landscape(stage, { pods: plan.pods });
    const sizeRun = new SizeRun(stage, landscape, plan.run);
    const results: SizeResult[] = [];
    for (const [index, size] of plan.sizes.entries()) {
      const step = progress.step(`${size} control planes`);
      const clears = index < plan.sizes.length - 1;
      const result = await sizeRun.measure(size, { step, clears });
      results.push(result);
      step.done(`all Ready after ${result.reachedSeconds.Ready.toFixed(1)} s`);
      context.say(`${size} control planes, requests of the cold start:`);
      for (const [what, count] of tally(result.coldRequests).slice(0, SHOWN)) {
        context.say(`  ${count} × ${what}`);
      }
    }
    return reportSizes(results);
  } finally {
    await stage.stop();
  }
}

/** Cold start, memory and requests by the number of control planes. */
export const part: Part = {
  name: "scale",
  title: "Scale: cold start, memory and requests by the number of control planes",
  run,
};
