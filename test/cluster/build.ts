import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { mkdir, mkdtemp, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { withLock } from "./build-lock";
import { requireGo } from "./go-toolchain";
import type { Progress, Step } from "./progress";
import {
  type Component,
  goPackage,
  linkerFlags,
  moduleDirectory,
  type ProgramName,
} from "./versions";
import { startWatchdog, type Watchdog } from "./watchdog";

/** Programs that come from one Go module, and so are built together. */
export interface BuildTarget {
  readonly component: Component;
  readonly programs: readonly ProgramName[];
}

/** How programs are built. */
export interface BuildOptions {
  /** Absolute; programs go to `bin/<component>/<program>` below it. */
  readonly cache: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
}

/** A build that failed; the message has its last lines and the log's path. */
class BuildError extends Error {
  override readonly name = "BuildError";
}

/** A file system that is too full to build on. */
class DiskSpaceError extends Error {
  override readonly name = "DiskSpaceError";
}

const gibibyteBytes = 1024 ** 3;

// What modules, compiled packages and programs took at most when measured, and some room.
const neededBytes: Readonly<Record<Component["kind"], number>> = {
  etcd: 1 * gibibyteBytes,
  kubernetes: 3.5 * gibibyteBytes,
};

const workPrefix = "build-";

/**
 * Builds programs from the pinned modules into the cache, one build at a time on a machine. What
 * another process has built meanwhile is not built again. Modules and compiled packages are
 * kept in a temporary directory of the cache, unless GOMODCACHE and GOCACHE say otherwise.
 * @throws {GoMissingError}, {DiskSpaceError}, {BuildError}, or the signal's reason.
 */
export async function buildPrograms(
  targets: readonly BuildTarget[],
  options: BuildOptions,
): Promise<void> {
  await mkdir(options.cache, { recursive: true });
  const programs = targets.flatMap((target) => target.programs).join(", ");
  await requireGo(options.environment, programs);
  await withLock(join(options.cache, "build"), options, async () => {
    await removeLeftovers(options.cache);
    const missing = await missingTargets(targets, options.cache);
    if (missing.length === 0) return;
    await requireDiskSpace(options.cache, missing);
    const directory = await mkdtemp(join(options.cache, workPrefix));
    const watchdog = startWatchdog(directory);
    try {
      for (const target of missing) await buildTarget(target, { ...options, directory, watchdog });
    } finally {
      await watchdog.close();
    }
  });
}

/** Where a program of a component is kept. */
export function programPath(cache: string, component: Component, program: ProgramName): string {
  return join(cache, "bin", component.directory, program);
}

// Logs of failed builds, and what a build left whose process and watchdog were both killed. The
// lock says that none is running.
async function removeLeftovers(cache: string): Promise<void> {
  const leftovers = (await readdir(cache)).filter((name) => name.startsWith(workPrefix));
  await Promise.all(
    leftovers.map(async (name) => rm(join(cache, name), { recursive: true, force: true })),
  );
}

async function missingTargets(
  targets: readonly BuildTarget[],
  cache: string,
): Promise<BuildTarget[]> {
  const missing = await Promise.all(
    targets.map(async ({ component, programs }) => {
      const present = await Promise.all(
        programs.map(async (program) => {
          const path = programPath(cache, component, program);
          return stat(path).then(
            () => true,
            () => false,
          );
        }),
      );
      return { component, programs: programs.filter((_, index) => present[index] === false) };
    }),
  );
  return missing.filter((target) => target.programs.length > 0);
}

/**
 * Checks that the file system of a directory has room to build the targets.
 * @throws {DiskSpaceError}
 */
export async function requireDiskSpace(
  directory: string,
  targets: readonly BuildTarget[],
  freeBytesOf: (directory: string) => Promise<number> = freeBytes,
): Promise<void> {
  const needed = targets.reduce((sum, target) => sum + neededBytes[target.component.kind], 0);
  const free = await freeBytesOf(directory);
  if (free >= needed) return;
  const names = targets.map((target) => target.component.directory).join(", ");
  const gibibytes = (bytes: number) => (bytes / gibibyteBytes).toFixed(1);
  throw new DiskSpaceError(
    `Building ${names} needs ${gibibytes(needed)} GiB below ${directory} for a while; ` +
      `${gibibytes(free)} GiB are free. Make room, or set FAIRLEAD_CACHE to a larger disk.`,
  );
}

async function freeBytes(directory: string): Promise<number> {
  const { bavail, bsize } = await statfs(directory);
  return bavail * bsize;
}

interface TargetOptions extends BuildOptions {
  readonly directory: string;
  readonly watchdog: Watchdog;
}

async function buildTarget(target: BuildTarget, options: TargetOptions): Promise<void> {
  const { component, programs } = target;
  const title = `build ${component.directory} (${programs.join(", ")})`;
  const step = options.progress.step(title);
  const output = join(options.directory, "out", component.directory);
  const installed = join(options.cache, "bin", component.directory);
  try {
    await mkdir(output, { recursive: true });
    await mkdir(installed, { recursive: true });
    const go = goRunner(target, options);
    const packageCount = await countPackages(go, step);
    await compile(go, { step, packageCount, output });
    for (const program of programs) {
      // In the same file system, so nobody ever sees half a program.
      await rename(join(output, outputName(program)), join(installed, program));
    }
    step.done();
  } catch (error) {
    step.fail();
    throw error;
  }
}

// Go names a program after its package's last element, a version aside.
function outputName(program: ProgramName): string {
  const elements = goPackage(program).split("/");
  return elements.filter((element) => !/^v\d+$/.test(element)).at(-1) ?? program;
}

/** Runs the go command in a component's module; `onLine` sees each line of both its streams. */
interface GoRunner {
  readonly packages: readonly string[];
  readonly component: Component;
  run(args: readonly string[], onLine: (line: string) => void): Promise<void>;
}

function goRunner(target: BuildTarget, options: TargetOptions): GoRunner {
  const { component } = target;
  const logPath = join(options.cache, `build-${component.directory}.log`);
  let flags = "w";
  return {
    component,
    packages: target.programs.map(goPackage),
    async run(args, onLine) {
      const log = createWriteStream(logPath, { flags });
      flags = "a";
      const child = spawn("go", args, {
        cwd: moduleDirectory(component),
        env: goEnvironment(options.environment, options.directory),
        detached: true,
        stdio: ["ignore", "pipe", "pipe"],
      });
      const { pid } = child;
      if (pid !== undefined) options.watchdog.guard(pid);
      const stop = () => {
        if (pid !== undefined) process.kill(-pid, "SIGKILL");
      };
      options.signal?.addEventListener("abort", stop, { once: true });
      const lines: string[] = [];
      for (const stream of [child.stdout, child.stderr]) {
        createInterface({ input: stream }).on("line", (line) => {
          log.write(`${line}\n`);
          lines.push(line);
          if (lines.length > 20) lines.shift();
          onLine(line);
        });
      }
      const code = await new Promise<number | string>((resolve, reject) => {
        child.once("error", reject);
        child.once("close", (exitCode, signal) => {
          resolve(exitCode ?? signal ?? "unknown");
        });
      });
      options.signal?.removeEventListener("abort", stop);
      if (pid !== undefined) options.watchdog.release(pid);
      await new Promise<void>((resolve) => log.end(resolve));
      if (options.signal?.aborted === true) await rm(logPath, { force: true });
      options.signal?.throwIfAborted();
      if (code !== 0) throw buildError({ component, code, lines, logPath });
      await rm(logPath, { force: true });
    },
  };
}

function buildError(failure: {
  readonly component: Component;
  readonly code: number | string;
  readonly lines: readonly string[];
  readonly logPath: string;
}): BuildError {
  const { component, code, lines, logPath } = failure;
  return new BuildError(
    `Building ${component.directory} failed (go ended with ${code}). Its last lines:\n` +
      `${lines.join("\n")}\nThe whole log: ${logPath}`,
  );
}

/** The environment of the go command: the caller's, with what would change the result removed. */
export function goEnvironment(
  environment: BuildOptions["environment"],
  directory: string,
): Record<string, string | undefined> {
  return {
    ...environment,
    GOCACHE: environment.GOCACHE ?? join(directory, "gocache"),
    GOMODCACHE: environment.GOMODCACHE ?? join(directory, "gomodcache"),
    CGO_ENABLED: "0",
    GO111MODULE: "on",
    GOWORK: "off",
    GOOS: undefined,
    GOARCH: undefined,
    GOEXPERIMENT: undefined,
  };
}

// go.sum is complete, so whatever is not as it was pinned fails; the module cache is writable, so
// that it can be removed.
const moduleFlags = ["-mod=readonly", "-modcacherw"];

async function countPackages(go: GoRunner, step: Step): Promise<number> {
  let packageCount = 0;
  let moduleCount = 0;
  await go.run(["list", ...moduleFlags, "-deps", ...go.packages], (line) => {
    if (!line.startsWith("go: ")) packageCount += 1;
    else if (line.startsWith("go: downloading ")) moduleCount += 1;
    step.update({ fraction: 0, detail: `${moduleCount} modules downloaded` });
  });
  return packageCount;
}

interface Compilation {
  readonly step: Step;
  readonly packageCount: number;
  readonly output: string;
}

// `go build -v` names each package when its turn comes; those that are compiled already it skips.
async function compile(go: GoRunner, compilation: Compilation): Promise<void> {
  const { step, packageCount, output } = compilation;
  let compiledCount = 0;
  const args = [
    "build",
    ...moduleFlags,
    "-v",
    "-trimpath",
    "-buildvcs=false",
    `-ldflags=${linkerFlags(go.component)}`,
    // Even one program goes into a directory then.
    `-o=${output}/`,
    ...go.packages,
  ];
  await go.run(args, (line) => {
    if (line.startsWith("go: ")) return;
    compiledCount += 1;
    // Linking, at the end, is never named.
    const fraction = Math.min(compiledCount / packageCount, 0.99);
    step.update({ fraction, detail: `${compiledCount} of ${packageCount} packages` });
  });
}
