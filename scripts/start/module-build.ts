import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import execa from "execa";
import type { Progress } from "../../test/cluster";

const OUTPUTS = ["dist/pepr-fairlead.js", "dist/pepr-module-fairlead.yaml"];
const SOURCES = [
  "pepr.ts",
  "package.json",
  "package-lock.json",
  "tsconfig.json",
  "scripts/build.ts",
];
const SOURCE_DIRECTORIES = ["capabilities", "lib"];

/** The module could not be built; the message is the compiler's. */
export class ModuleBuildError extends Error {
  override readonly name = "ModuleBuildError";
}

/**
 * Whether a build is needed: an output is missing, or a source is newer than the oldest of them.
 * @param outputs Times of last change in milliseconds; undefined: it is not there.
 */
export function isStale(
  outputs: readonly (number | undefined)[],
  sources: readonly number[],
): boolean {
  const times = outputs.filter((time) => time !== undefined);
  return times.length < outputs.length || Math.max(...sources) > Math.min(...times);
}

async function changeTimeMs(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ mtimeMs }) => mtimeMs,
    () => undefined,
  );
}

/**
 * Builds the module into dist/ if what is there is missing or older than the sources.
 * @throws {ModuleBuildError} when it does not build.
 */
export async function ensureModule(
  root: string,
  progress: Progress,
  signal: AbortSignal,
): Promise<void> {
  // Then it is another build that is run, as it is.
  if (process.env.FAIRLEAD_DIST !== undefined) return;
  const found = await Promise.all(
    SOURCE_DIRECTORIES.map(async (directory) =>
      (await readdir(join(root, directory), { recursive: true }))
        .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
        .map((path) => join(directory, path)),
    ),
  );
  const times = async (paths: readonly string[]) =>
    Promise.all(paths.map(async (path) => changeTimeMs(join(root, path))));
  const sources = await times([...SOURCES, ...found.flat()]);
  const existing = sources.filter((time) => time !== undefined);
  if (!isStale(await times(OUTPUTS), existing)) return;

  const step = progress.step("build the module");
  const child = execa("tsx", ["scripts/build.ts"], {
    cwd: root,
    preferLocal: true,
    reject: false,
    all: true,
  });
  const cancel = (): void => {
    child.cancel();
  };
  signal.addEventListener("abort", cancel, { once: true });
  const result = await child;
  signal.throwIfAborted();
  if (result.exitCode === 0) {
    step.done();
    return;
  }
  step.fail();
  throw new ModuleBuildError(result.all ?? "the module did not build");
}
