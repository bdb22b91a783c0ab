import { existsSync, rmSync, statSync } from "node:fs";
import execa from "execa";
import packageJson from "../package.json";
import { packageModule } from "./package";
import { PeprOutputError } from "./package/pepr-output";
import { bytesInSecret, SECRET_BUDGET_BYTES } from "./package/size";

const MODULE = "dist/pepr-fairlead.js";
const MANIFEST = "dist/pepr-module-fairlead.yaml";

class BuildError extends Error {}

async function run(command: string, args: readonly string[]): Promise<void> {
  const result = await execa(command, args, { preferLocal: true, reject: false, all: true });
  if (result.exitCode !== 0) throw new BuildError(`${command} failed:\n${result.all}`);
}

async function build(): Promise<void> {
  rmSync("dist", { recursive: true, force: true });
  // pepr build ends with exit code 0 after a type error, and without a manifest.
  await run("tsc", ["--noEmit", "-p", "tsconfig.json"]);
  await run("pepr", ["build"]);
  for (const path of [MODULE, MANIFEST]) {
    if (!existsSync(path)) throw new BuildError(`pepr build made no ${path}`);
  }
  const packed = bytesInSecret(MODULE);
  const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`;
  if (packed > SECRET_BUDGET_BYTES) {
    throw new BuildError(
      `${MODULE} takes ${kib(packed)} of its Secret, over its budget of ${kib(SECRET_BUDGET_BYTES)}`,
    );
  }
  console.log(`${MODULE}: ${kib(statSync(MODULE).size)}, ${kib(packed)} in its Secret`);
  console.log(MANIFEST);
  const { version, description } = packageJson;
  const paths = await packageModule({ dist: "dist", version, description });
  for (const path of [paths.manifest, paths.chart, paths.archive, paths.dashboard]) {
    console.log(path);
  }
}

build().catch((error: unknown) => {
  const isExpected = error instanceof BuildError || error instanceof PeprOutputError;
  console.error(isExpected ? error.message : error);
  process.exitCode = 1;
});
