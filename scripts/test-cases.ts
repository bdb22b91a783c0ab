import { existsSync, statSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";
import pc from "picocolors";
import {
  adapterNames,
  foldersIn,
  loadAdapter,
  modeOf,
  runCase,
  type CaseResult,
} from "../test/cases/runner";

const usage = `Usage: npm run test:cases -- <folder> [--capability <name>]

Runs declarative cases. <folder> is one of
  a folder of capabilities   <folder>/<capability>/<case>/{given,when,then}.yaml
  a folder of cases          <folder>/<case>/{given,when,then}.yaml
  a case                     <folder>/{given,when,then}.yaml
The capability is the name of the folder that holds the cases, or what --capability says: ${adapterNames().join(", ")}.
UPDATE_CASES=1 writes then.yaml from what comes out.`;

interface FoundCase {
  readonly capability: string;
  readonly folder: string;
}

const isCase = (folder: string): boolean => existsSync(join(folder, "when.yaml"));

/** The cases in a folder. A folder that can't be told what it is gives none. */
function findCases(folder: string, asked: string | undefined): readonly FoundCase[] {
  if (isCase(folder)) {
    return [{ capability: asked ?? basename(dirname(folder)), folder }];
  }
  const capability = asked ?? basename(folder);
  const names = foldersIn(folder);
  if (asked !== undefined || adapterNames().includes(capability)) {
    return names.map((name) => ({ capability, folder: join(folder, name) }));
  }
  return names
    .filter((name) => adapterNames().includes(name))
    .flatMap((name) => findCases(join(folder, name), name));
}

const marks: Readonly<Record<CaseResult["kind"], string>> = {
  passed: pc.green("✓"),
  updated: pc.yellow("✎"),
  failed: pc.red("✗"),
};

async function runOne({ capability, folder }: FoundCase): Promise<boolean> {
  const adapter = await loadAdapter(capability);
  const result = await runCase(adapter, folder, modeOf(process.env));
  console.log(`${marks[result.kind]} ${capability}: ${basename(folder).replaceAll("-", " ")}`);
  if (result.kind === "failed") console.log(result.message.replaceAll(/^/gm, "    "));
  return result.kind !== "failed";
}

async function main(): Promise<number> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { capability: { type: "string" }, help: { type: "boolean", short: "h" } },
  });
  const [given] = positionals;
  if (values.help === true || given === undefined || positionals.length > 1) {
    console.log(usage);
    return values.help === true ? 0 : 1;
  }
  const folder = resolve(given);
  if (!existsSync(folder) || !statSync(folder).isDirectory()) {
    throw new Error(`${given} is not a folder.`);
  }
  const cases = findCases(folder, values.capability);
  if (cases.length === 0) throw new Error(`${given} holds no cases.\n\n${usage}`);
  let passed = 0;
  for (const found of cases) passed += (await runOne(found)) ? 1 : 0;
  const failed = cases.length - passed;
  console.log(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}

void main().then(
  (exitCode) => {
    process.exitCode = exitCode;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
