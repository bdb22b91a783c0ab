import { join } from "node:path";
import { Command } from "commander";
import pico from "picocolors";
import { ensureModule } from "../scripts/start/module-build";
import { createProgress } from "../test/cluster";
import { currentCommit, currentVersions, thisMachine } from "./framework/machine";
import { paths, staleFiles, writeReport } from "./framework/report";
import { missed, putMeasured, type Circumstances } from "./framework/results";
import { runPart, type Outcome } from "./framework/run";
import { readResults, writeResults, writeRun } from "./framework/store";
import { figuresTable, missedLines } from "./framework/table";
import { loadPart, partNames, partOrder } from "./parts";

interface Options {
  readonly quick: boolean;
  readonly list: boolean;
  readonly report: boolean;
  readonly check: boolean;
  readonly strict: boolean;
  readonly pods?: string;
  readonly sizes?: string;
}

const root = join(__dirname, "..");
const results = join(root, paths.results);
const style = { color: pico.isColorSupported };

function chosen(names: readonly string[]): readonly string[] {
  const known = partNames();
  const unknown = names.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    throw new Error(`There is no part ${unknown.join(", ")}. Parts: ${known.join(", ")}.`);
  }
  return names.length === 0 ? known : known.filter((name) => names.includes(name));
}

async function list(): Promise<void> {
  for (const name of partNames()) console.log(`${name.padEnd(12)}${(await loadPart(name)).title}`);
}

function report({ check }: Options): number {
  if (!check) {
    for (const path of writeReport({ root })) console.log(path);
    return 0;
  }
  const stale = staleFiles({ root });
  for (const path of stale) {
    console.error(`${path} is not what ${paths.results} make of it: npm run bench -- --report`);
  }
  return stale.length === 0 ? 0 : 1;
}

/**
 * Keeps what a part came to at once: whatever happens to the next one, it is there.
 * @returns the outcome; a failed one where it could not be kept, since a figure is no number, say.
 */
function keep(outcome: Outcome, circumstances: Circumstances): Outcome {
  if (outcome.kind === "failed") return outcome;
  try {
    const put = putMeasured(readResults(results), outcome, { ...circumstances, order: partOrder });
    writeResults(results, put);
    writeReport({ root });
    return outcome;
  } catch (error) {
    console.error(error);
    const { part, tookSeconds } = outcome;
    const message = error instanceof Error ? error.message : String(error);
    return { kind: "failed", part, tookSeconds, message };
  }
}

const minutes = (seconds: number): string =>
  seconds < 120 ? `${seconds} s` : `${(seconds / 60).toFixed(1)} min`;

async function measure(
  names: readonly string[],
  common: Omit<Circumstances, "measuredAt">,
): Promise<readonly Outcome[]> {
  const outcomes: Outcome[] = [];
  for (const [index, part] of names.entries()) {
    console.log(`=== ${part} (${index + 1} of ${names.length})`);
    const ran = await runPart({ part, quick: common.quick });
    const outcome = keep(ran, { ...common, measuredAt: new Date().toISOString() });
    const took = minutes(outcome.tookSeconds);
    if (outcome.kind === "measured") console.log(`=== ${part}: ${took}`);
    else console.error(`=== ${part} COULD NOT BE MEASURED after ${took}: ${outcome.message}`);
    outcomes.push(outcome);
  }
  return outcomes;
}

/** Says what came of the run. */
function conclude(
  outcomes: readonly Outcome[],
  common: Omit<Circumstances, "measuredAt">,
  startedAt: string,
): { readonly missed: number; readonly failed: number } {
  const measured = outcomes.filter(({ kind }) => kind === "measured").map(({ part }) => part);
  const latest = readResults(results);
  const rows = latest.rows.filter(({ part }) => measured.includes(part));
  const charts = latest.parts.filter(({ part }) => measured.includes(part));
  const file = writeRun(results, { ...common, startedAt, figures: rows, charts });
  console.log(figuresTable(rows, style));
  const total = outcomes.reduce((sum, { tookSeconds }) => sum + tookSeconds, 0);
  const times = outcomes.map(({ part, tookSeconds }) => `${part} ${minutes(tookSeconds)}`);
  console.log(`${times.join(", ")}; all ${minutes(total)}`);
  console.log(`${file}, ${paths.results}/latest.json and ${paths.page} are written.`);
  for (const line of missedLines(rows, style)) console.log(line);
  const failed = outcomes.filter((outcome) => outcome.kind === "failed");
  for (const { part, message } of failed) console.error(`NOT MEASURED: ${part}: ${message}`);
  return { missed: missed(rows).length, failed: failed.length };
}

/** Parts run in processes of their own, and take over this environment. */
function passOn({ pods, sizes }: Options): void {
  if (pods !== undefined) process.env.FAIRLEAD_BENCH_PODS = pods;
  if (sizes !== undefined) process.env.FAIRLEAD_BENCH_SIZES = sizes;
}

async function run(names: readonly string[], options: Options): Promise<number> {
  const parts = chosen(names);
  passOn(options);
  const startedAt = new Date().toISOString();
  const common = {
    commit: await currentCommit(Object.values(paths)),
    quick: options.quick,
    machine: thisMachine(),
    versions: await currentVersions(),
  };
  // Ctrl-C reaches the whole group of processes, and each ends what it started.
  await ensureModule(root, createProgress(), new AbortController().signal);
  const outcomes = await measure(parts, common);
  const counts = conclude(outcomes, common, startedAt);
  return counts.failed > 0 || (options.strict && counts.missed > 0) ? 1 : 0;
}

const command = new Command("bench")
  .description(
    "Measures fairlead beside what one would use instead, and writes docs/performance.md.",
  )
  .argument("[parts...]", `all by default: ${partNames().join(", ")}`)
  .option("--quick", "all parts in under ten minutes: fewer rounds, wider intervals", false)
  .option("--strict", "exit code 1 where a goal is missed, too", false)
  .option("--pods <number>", "scale: Pods of each control plane, and eight Services with them")
  .option("--sizes <numbers>", "scale: numbers of control planes, rising, as in 10,100,2000")
  .option("--list", "say which parts there are", false)
  .option("--report", "only write docs/performance.md and its pictures anew", false)
  .option("--check", "with --report: write nothing, fail where they are not up to date", false)
  .action(async (names: readonly string[], options: Options) => {
    if (options.list) await list();
    else process.exitCode = options.report ? report(options) : await run(names, options);
  });

command.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
