import { copyFile } from "node:fs/promises";
import { join } from "node:path";
import type { RunCommand } from "./build-command";
import type { Step } from "./progress";
import { buildTags, type Component, linkerFlags, originOf, type ProgramName } from "./versions";

/** What is built from one Go module. */
export interface GoBuild {
  readonly component: Component;
  readonly programs: readonly ProgramName[];
  /** The go command in the component's module. */
  readonly go: RunCommand;
  readonly step: Step;
  /** A directory; each program or file goes there under its own name. */
  readonly output: string;
}

// go.sum is complete, so whatever is not as it was pinned fails; the module cache is writable, so
// that it can be removed.
const moduleFlags = ["-mod=readonly", "-modcacherw"];

function tagFlags(component: Component): readonly string[] {
  const tags = buildTags(component);
  return tags.length === 0 ? [] : [`-tags=${tags.join(",")}`];
}

/**
 * Builds the programs of a module, and copies the files that are wanted of its source.
 * @throws what the runner throws.
 */
export async function buildFromGo(build: GoBuild): Promise<void> {
  const packages = build.programs.flatMap((program) => {
    const origin = originOf(program);
    return origin.kind === "package" ? [origin.package] : [];
  });
  if (packages.length > 0) {
    const packageCount = await countPackages(build, packages);
    await compile(build, packages, packageCount);
  }
  for (const program of build.programs) {
    const origin = originOf(program);
    if (origin.kind !== "module") continue;
    const directory = await downloadModule(build, origin.module);
    await copyFile(join(directory, origin.path), join(build.output, program));
  }
}

/** The name that Go gives a program: its package's last element, a version aside. */
export function goOutputName(program: ProgramName): string {
  const origin = originOf(program);
  if (origin.kind !== "package") return program;
  const elements = origin.package.split("/");
  return elements.filter((element) => !/^v\d+$/.test(element)).at(-1) ?? program;
}

async function countPackages(build: GoBuild, packages: readonly string[]): Promise<number> {
  let packageCount = 0;
  let moduleCount = 0;
  await build.go(
    ["list", ...moduleFlags, ...tagFlags(build.component), "-deps", ...packages],
    (line) => {
      if (!line.startsWith("go: ")) packageCount += 1;
      else if (line.startsWith("go: downloading ")) moduleCount += 1;
      build.step.update({ fraction: 0, detail: `${moduleCount} modules downloaded` });
    },
  );
  return packageCount;
}

// `go build -v` names each package when its turn comes; those that are compiled already it skips.
async function compile(
  build: GoBuild,
  packages: readonly string[],
  packageCount: number,
): Promise<void> {
  let compiledCount = 0;
  const args = [
    "build",
    ...moduleFlags,
    ...tagFlags(build.component),
    "-v",
    "-trimpath",
    "-buildvcs=false",
    `-ldflags=${linkerFlags(build.component)}`,
    // Even one program goes into a directory then.
    `-o=${build.output}/`,
    ...packages,
  ];
  await build.go(args, (line) => {
    if (line.startsWith("go: ")) return;
    compiledCount += 1;
    // Linking, at the end, is never named.
    const fraction = Math.min(compiledCount / packageCount, 0.99);
    build.step.update({ fraction, detail: `${compiledCount} of ${packageCount} packages` });
  });
}

// Its sum is checked against go.sum, as that of a module that is compiled.
async function downloadModule(build: GoBuild, module: string): Promise<string> {
  let directory: string | undefined;
  await build.go(["mod", "download", "-modcacherw", "-json", module], (line) => {
    directory ??= /^\s*"Dir": "(.*)",?$/.exec(line)?.[1];
  });
  if (directory === undefined) throw new Error(`go mod download does not say where ${module} is.`);
  return directory;
}
