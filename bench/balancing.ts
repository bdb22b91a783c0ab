import { createProgress } from "../test/cluster";
import { silentProgress } from "../test/cluster/progress";
import { CHOSEN } from "./balancing/algorithms";
import { parseOptions, type Options } from "./balancing/options";
import { groupRuns, tableOf, type Figure } from "./balancing/report";
import { SCENES } from "./balancing/scenes";
import { evenly } from "./balancing/shapes";
import { setStage, type Stage } from "./balancing/stage";
import { printFigures } from "./figures";

/** Of requests to three API servers in L7. */
const skewLimit = 1.05;
const serverCount = 3;

/** Measures all that was asked for; `note` is told what comes next, and how much is done. */
async function measure(
  stage: Stage,
  options: Options,
  note: (detail: string, fraction: number) => void,
): Promise<readonly Figure[]> {
  const { subjects, runs } = options;
  const total = subjects.length * options.connections.length * runs;
  const figures: Figure[] = [];
  let done = 0;
  for (const { mode, algorithm } of subjects) {
    await stage.configure(mode, algorithm);
    for (const connections of options.connections) {
      for (let run = 1; run <= runs; run += 1) {
        note(`${mode}, ${algorithm}, ${connections} connections, run ${run}`, done / total);
        const { requests, watches } = options;
        const amounts = { shape: evenly(connections), requests, watches };
        const moments = await SCENES[options.scene](stage, mode, amounts);
        figures.push(
          ...moments.map((moment) => ({ mode, algorithm, connections, run, ...moment })),
        );
        done += 1;
      }
    }
  }
  return figures;
}

/** Whether what fairlead configures keeps the limit in each run; other ways are compared, and may miss it. */
function isWithin(figures: readonly Figure[]): boolean {
  return figures.every(
    ({ mode, algorithm, spread }) =>
      mode !== "L7" || algorithm !== CHOSEN.L7 || spread.skew <= skewLimit,
  );
}

async function main(): Promise<void> {
  const options = parseOptions(process.argv.slice(2));
  const progress = options.output === "json" ? silentProgress : createProgress();
  const stage = await setStage({
    gatewayPods: options.gatewayPods,
    zones: Array.from({ length: serverCount }, (_, index) => `zone-${1 + (index % options.zones)}`),
    flags: options.goawayChance === 0 ? [] : [`--goaway-chance=${options.goawayChance}`],
    progress,
  });
  try {
    const step = progress.step(`measure: ${options.scene}`);
    const figures = await measure(stage, options, (detail, fraction) => {
      step.update({ detail, fraction });
    });
    step.done();
    if (options.output === "tables") console.log(tableOf(groupRuns(figures)));
    printFigures("balancing", { ...options, figures });
    process.exitCode = isWithin(figures) ? 0 : 1;
  } finally {
    await stage.stop();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
