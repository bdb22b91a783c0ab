import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import execa from "execa";
import { hasNetworkNamespaces } from "./network-namespaces";
import {
  kubernetesVersionsUnderTest,
  LARGE_CASES_VERSION,
  POLICIES_VERSION,
} from "../test/e2e/versions";

/** The part of jest's JSON report that is added up. */
interface Report {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numFailedTestSuites: number;
  readonly testResults: readonly {
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }[];
}

interface Totals {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

const seconds = (sinceMs: number): string => `${((Date.now() - sinceMs) / 1000).toFixed(0)} s`;

async function stage<T>(name: string, run: () => Promise<T>): Promise<T> {
  const startedMs = Date.now();
  console.log(`=== ${name}`);
  const result = await run();
  console.log(`=== ${name}: ${seconds(startedMs)}`);
  return result;
}

/** Files of end-to-end tests that are run at once, each with clusters of its own. */
const E2E_WORKERS = 2;

/** How long jest may take to end after it has written its report. */
const EXIT_MS = 60_000;

/** Waits until jest has ended; one that something left open keeps from it is ended, and that is a failure. */
async function untilEnded(run: execa.ExecaChildProcess, reportPath: string): Promise<number> {
  const wait = async (ms: number) => sleep(ms, undefined, { ref: false });
  const late = async () => {
    while (!existsSync(reportPath)) await wait(1_000);
    await wait(EXIT_MS);
    return "late";
  };
  if ((await Promise.race([run.then(() => "ended"), late()])) === "ended") return 0;
  console.error(
    `jest went on for ${EXIT_MS / 1000} s after its last test, which left something open`,
  );
  run.kill("SIGKILL");
  await run;
  return 1;
}

/**
 * Runs a jest project; a file that can't be loaded counts as a failed test.
 * @param workers How many files are run at once; each in a process of its own where it is more than one.
 */
async function jest(project: string, directory: string, workers: number): Promise<Totals> {
  const file = join(directory, `${project}.json`);
  const args = ["--selectProjects", project, `--maxWorkers=${workers}`, "--silent"];
  const run = execa("jest", [...args, "--json", "--outputFile", file], {
    preferLocal: true,
    reject: false,
    stdout: "ignore",
    stderr: "inherit",
  });
  const hung = await untilEnded(run, file);
  const report = JSON.parse(readFileSync(file, "utf8")) as Report;
  const broken = report.testResults.filter(
    ({ status, assertionResults }) => status === "failed" && assertionResults.length === 0,
  );
  return {
    passed: report.numPassedTests,
    failed: report.numFailedTests + broken.length + hung,
    skipped: report.numPendingTests,
  };
}

const buildPrograms = (args: readonly string[]) =>
  execa("tsx", ["test/cluster/main.ts", "build", ...args], { preferLocal: true, stdio: "inherit" });

/** Prepares what the tests of the data plane need; without it they are skipped, and that is said. */
async function prepareDataPlane(): Promise<"run" | "skip"> {
  const skip = (why: string): "skip" => {
    console.log(`skipped: tests of the data plane (${why})`);
    return "skip";
  };
  if (!(await hasNetworkNamespaces())) return skip("this machine allows no network namespace");
  try {
    await buildPrograms([LARGE_CASES_VERSION, "--with", "data-plane"]);
    if (process.getuid?.() !== 0) console.log("skipped: tests whose Pods run (they need root)");
    return "run";
  } catch {
    return skip("its programs could not be built, see above");
  }
}

/** Finds or builds the programs of the embedded clusters; the unit tests run meanwhile. */
async function prepareClusters(): Promise<"run" | "skip"> {
  const parts = ["kube-controller-manager", "helm", "promtool"];
  await buildPrograms([LARGE_CASES_VERSION, ...parts.flatMap((part) => ["--with", part])]);
  await buildPrograms([POLICIES_VERSION, "--with", "kube-controller-manager"]);
  await buildPrograms(kubernetesVersionsUnderTest());
  return prepareDataPlane();
}

const add = (a: Totals, b: Totals): Totals => ({
  passed: a.passed + b.passed,
  failed: a.failed + b.failed,
  skipped: a.skipped + b.skipped,
});

async function main(): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
  try {
    console.log(
      `Kubernetes: ${kubernetesVersionsUnderTest().join(", ")} (FAIRLEAD_K8S=… chooses others)`,
    );
    const [unit, dataPlane] = await Promise.all([
      stage("unit tests and declarative cases", () => jest("unit", directory, 1)),
      stage("programs of the embedded clusters", prepareClusters),
    ]);
    await stage("build", () =>
      execa("tsx", ["scripts/build.ts"], { preferLocal: true, stdio: "inherit" }),
    );
    process.env.FAIRLEAD_DATA_PLANE ??= dataPlane;
    // They mostly wait: for kubelets, certificates, drains.
    const e2e = await stage("end-to-end tests", () => jest("e2e", directory, E2E_WORKERS));
    const { passed, failed, skipped } = add(unit, e2e);
    const tail = skipped > 0 ? `, ${skipped} skipped` : "";
    console.log(`${passed} passed, ${failed} failed${tail}`);
    process.exitCode = failed > 0 || passed === 0 ? 1 : 0;
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
