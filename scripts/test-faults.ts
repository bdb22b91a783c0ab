import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Command } from "commander";
import execa from "execa";
import { LARGE_CASES_VERSION } from "../test/e2e/versions";
import { hasNetworkNamespaces } from "./network-namespaces";
import { parseResults, putTable, type FaultResult } from "./faults/table";

const PAGE = "docs/reliability.md";

interface Options {
  /** Each fault once, and of the many of a kind a sample. */
  readonly ci: boolean;
  readonly updateDocs: boolean;
}

/** The part of jest's JSON report that is counted. */
interface Report {
  readonly testResults: readonly {
    readonly name: string;
    readonly status: string;
    readonly message: string;
    readonly assertionResults: readonly {
      readonly title: string;
      readonly status: "passed" | "failed" | "pending" | "todo";
    }[];
  }[];
}

const run = (command: string, args: readonly string[]) =>
  execa(command, args, { preferLocal: true, stdio: "inherit" });

async function stage<T>(name: string, work: () => Promise<T>): Promise<T> {
  const sinceMs = Date.now();
  console.log(`=== ${name}`);
  const result = await work();
  console.log(`=== ${name}: ${((Date.now() - sinceMs) / 1000).toFixed(0)} s`);
  return result;
}

/** Finds or builds the clusters' programs; without those of the data plane, its faults are skipped. */
async function findPrograms(): Promise<"run" | "skip"> {
  const build = ["test/cluster/main.ts", "build", LARGE_CASES_VERSION];
  if (await hasNetworkNamespaces()) {
    await run("tsx", [...build, "--with", "data-plane"]);
    return "run";
  }
  console.log("skipped: faults with a data plane (this machine allows no network namespace)");
  await run("tsx", build);
  return "skip";
}

/** Runs the suite; each fault says on stderr what it came to when it is over. */
async function runFaults(directory: string, { ci }: Options): Promise<Report> {
  const file = join(directory, "report.json");
  // Much of the time something is waited for: one more at once than a core each.
  const workers = String(Math.max(2, cpus().length));
  const args = ["--selectProjects", "faults", "--maxWorkers", workers, "--silent"];
  await execa("jest", [...args, "--json", "--outputFile", file], {
    preferLocal: true,
    reject: false,
    stdout: "ignore",
    stderr: "inherit",
    env: {
      FAIRLEAD_FAULTS: ci ? "once" : "all",
      FAIRLEAD_FAULTS_RESULTS: join(directory, "results.jsonl"),
    },
  });
  return JSON.parse(readFileSync(file, "utf8")) as Report;
}

function count({ testResults }: Report) {
  const tests = testResults.flatMap(({ assertionResults }) => assertionResults);
  const of = (status: string) => tests.filter((test) => test.status === status).length;
  // A file that can't be loaded, or set up, has no tests that could fail.
  const broken = testResults.filter(
    ({ status, assertionResults }) =>
      status === "failed" && !assertionResults.some((test) => test.status === "failed"),
  );
  for (const { name } of broken) console.log(`failed: ${basename(name)}`);
  return { passed: of("passed"), failed: of("failed") + broken.length, skipped: of("pending") };
}

function readResults(directory: string): readonly FaultResult[] {
  const path = join(directory, "results.jsonl");
  return existsSync(path) ? parseResults(readFileSync(path, "utf8")) : [];
}

function writePage(results: readonly FaultResult[], { ci }: Options): void {
  const date = new Date().toISOString().slice(0, 10);
  const sentence = `\`npm run test:faults${ci ? " -- --ci" : ""}\` on Kubernetes ${LARGE_CASES_VERSION}, ${cpus().length} cores, ${date}.`;
  writeFileSync(PAGE, putTable(readFileSync(PAGE, "utf8"), sentence, results));
  console.log(`wrote ${PAGE}`);
}

async function main(options: Options): Promise<number> {
  const directory = mkdtempSync(join(tmpdir(), "fairlead-faults-"));
  try {
    const dataPlane = await stage("programs of the embedded clusters", findPrograms);
    process.env.FAIRLEAD_DATA_PLANE ??= dataPlane;
    await stage("build", () => run("tsx", ["scripts/build.ts"]));
    const report = await stage("faults", () => runFaults(directory, options));
    const { passed, failed, skipped } = count(report);
    if (options.updateDocs && failed === 0 && skipped === 0) {
      writePage(readResults(directory), options);
    }
    const tail = skipped > 0 ? `, ${skipped} skipped` : "";
    console.log(`${passed} passed, ${failed} failed${tail}`);
    return failed > 0 || passed === 0 ? 1 : 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

const command = new Command("test:faults")
  .description(
    "Breaks what fairlead depends on, on real components, and sees that nothing is lost.",
  )
  .option("--ci", "each fault once", false)
  .option("--update-docs", `write the table in ${PAGE}, if everything passes`, false)
  .action(async (options: Options) => {
    process.exitCode = await main(options);
  });

command.parseAsync().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
