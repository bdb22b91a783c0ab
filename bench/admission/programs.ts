import { createHash } from "node:crypto";
import { access, mkdir, mkdtemp, readdir, readFile, rename } from "node:fs/promises";
import { join } from "node:path";
import { cacheDirectory } from "../../test/cluster/binaries";
import { goEnvironment } from "../../test/cluster/build";
import { withLock } from "../../test/cluster/build-lock";
import { requireGo } from "../../test/cluster/go-toolchain";
import type { Progress } from "../../test/cluster";
import { runCommand } from "../../test/cluster/run-command";
import { startWatchdog } from "../../test/cluster/watchdog";

/** The bench's own programs, a Go module each, beside this file. */
export type BenchProgram = "peer" | "load";

/** Another source, or another pinned module, is another version. */
async function versionOf(folder: string): Promise<string> {
  const names = (await readdir(folder)).filter((name) => /\.(go|mod|sum)$/.test(name)).sort();
  const hash = createHash("sha256");
  for (const name of names) hash.update(name).update(await readFile(join(folder, name)));
  return hash.digest("hex").slice(0, 10);
}

async function isThere(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/**
 * Finds a program in the cache, or builds it there from its pinned modules.
 * @returns its path.
 * @throws {GoMissingError}, and Error with what Go said.
 */
export async function findBenchProgram(name: BenchProgram, progress: Progress): Promise<string> {
  const folder = join(__dirname, name);
  const cache = cacheDirectory();
  const installed = join(cache, "bin", `bench-${name}-${await versionOf(folder)}`);
  const path = join(installed, name);
  if (await isThere(path)) return path;
  await requireGo(process.env, name);
  await mkdir(cache, { recursive: true });
  await withLock(join(cache, "build"), { progress }, async () => {
    if (await isThere(path)) return;
    const step = progress.step(`build the bench's ${name}`);
    const directory = await mkdtemp(join(cache, "build-"));
    const watchdog = startWatchdog(directory);
    try {
      await build(folder, directory, name);
      await mkdir(installed, { recursive: true });
      // In the same file system, so nobody ever sees half a program.
      await rename(join(directory, name), path);
      step.done();
    } catch (error) {
      step.fail();
      throw error;
    } finally {
      await watchdog.close();
    }
  });
  return path;
}

async function build(folder: string, directory: string, name: BenchProgram): Promise<void> {
  const flags = ["-mod=readonly", "-modcacherw", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"];
  const { exitCode, stderr } = await runCommand(
    ["go", "-C", folder, "build", ...flags, "-o", join(directory, name), "."],
    { environment: goEnvironment(process.env, directory) },
  );
  if (exitCode !== 0) throw new Error(`the bench's ${name} could not be built: ${stderr}`);
}
