import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { parseAllDocuments, stringify } from "yaml";
import type { KubernetesObject } from "../../lib/api";
import { diffLines } from "./diff";

/** Declarative cases: `<capability>/<sentence-as-folder-name>/{given,when,then}.yaml`. */

const WORLD_API_VERSION = "cases.fairlead.dev/v1";
const caseFiles = ["given.yaml", "then.yaml", "when.yaml"];
/** A sentence in lower case with dashes; dots for versions. */
const SENTENCE = /^[a-z0-9][a-z0-9.]*(-[a-z0-9.]+)+$/;

/** What a case starts from. */
export interface Given {
  /** What is not an object, such as `kubernetesVersion` or `now`: the `spec` of the World document. */
  readonly world: Readonly<Record<string, unknown>>;
  /** The cluster's objects, in the order of given.yaml. */
  readonly objects: readonly KubernetesObject[];
}

/** How the cases of a capability are run: the module `adapters/<capability>.ts` exports one as `adapter`. */
export interface CaseAdapter {
  /** The name of the capability, of its folder and of the adapter's file. */
  readonly capability: string;
  /** The kinds of objects that `given.yaml` may hold; any when absent. */
  readonly kinds?: readonly string[];
  /** The fields that the World's `spec` may have; any when absent. */
  readonly worldKeys?: readonly string[];
  /**
   * Runs the subject of `when.yaml`. The outcome is compared as JSON, so fields that are undefined do not count.
   * It touches nothing outside itself; it throws where the case makes no sense.
   */
  run(given: Given, when: unknown): unknown;
}

/** A case that was read, and whose files are well-formed. */
interface DeclarativeCase {
  /** The folder's name as a sentence. */
  readonly sentence: string;
  readonly folder: string;
  readonly given: Given;
  readonly when: unknown;
  /** Undefined where `then.yaml` is absent, which only an update may meet. */
  readonly then: unknown;
}

/** What came of a case. */
export type CaseResult =
  | { readonly kind: "passed" }
  | { readonly kind: "updated" }
  | { readonly kind: "failed"; readonly message: string };

/** Whether `then.yaml` is to be compared with the outcome, or written from it. */
export type Mode = "compare" | "update";

/**
 * What UPDATE_CASES asks for.
 * @throws Error when CI is set too: there, a case can only be compared.
 */
export function modeOf(env: Readonly<Record<string, string | undefined>>): Mode {
  if (env.UPDATE_CASES !== "1") return "compare";
  if (env.CI !== undefined && env.CI !== "") {
    throw new Error("UPDATE_CASES=1 is refused when CI is set: update cases where they are read.");
  }
  return "update";
}

/** The folders in a folder, sorted. */
export function foldersIn(folder: string): readonly string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort();
}

/** Parses YAML documents and refuses what YAML only warns of, duplicate keys included. */
function parseDocuments(file: string): readonly unknown[] {
  const documents = parseAllDocuments(readFileSync(file, "utf8"), {
    strict: true,
    uniqueKeys: true,
  });
  // What is not an array is an empty stream.
  if (!Array.isArray(documents)) return [];
  const values: unknown[] = [];
  for (const document of documents) {
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) throw new Error(`${basename(file)}: ${problem.message}`);
    values.push(document.toJS());
  }
  // A file of nothing but comments is one document of null.
  return values.length === 1 && values[0] === null ? [] : values;
}

function parseOnly(file: string): unknown {
  const documents = parseDocuments(file);
  const [value] = documents;
  if (documents.length !== 1 || value === null) {
    throw new Error(`${basename(file)}: must hold exactly one document.`);
  }
  return value;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function parseObject(value: unknown): KubernetesObject {
  const metadata = isRecord(value) ? value.metadata : undefined;
  if (
    !isRecord(value) ||
    typeof value.apiVersion !== "string" ||
    typeof value.kind !== "string" ||
    !isRecord(metadata) ||
    typeof metadata.name !== "string"
  ) {
    throw new Error("given.yaml: every object needs apiVersion, kind and metadata.name.");
  }
  return value as unknown as KubernetesObject;
}

function isWorld(value: unknown): value is Record<string, unknown> {
  return isRecord(value) && value.apiVersion === WORLD_API_VERSION;
}

function parseWorld(value: Record<string, unknown>): Given["world"] {
  const { kind, spec } = value;
  if (kind !== "World" || !isRecord(spec) || Object.keys(value).length !== 3) {
    throw new Error(`given.yaml: a World has apiVersion ${WORLD_API_VERSION}, kind and spec.`);
  }
  return spec;
}

function parseGiven(file: string): Given {
  const [first, ...rest] = parseDocuments(file);
  if (first === undefined) return { world: {}, objects: [] };
  const world = isWorld(first) ? parseWorld(first) : {};
  const values = isWorld(first) ? rest : [first, ...rest];
  if (values.some(isWorld)) throw new Error("given.yaml: the World is the first document.");
  const objects = values.map(parseObject);
  const keys = objects.map(({ apiVersion, kind, metadata }) =>
    [apiVersion, kind, metadata.namespace ?? "", metadata.name].join("/"),
  );
  const repeated = keys.find((key, index) => keys.indexOf(key) !== index);
  if (repeated !== undefined) throw new Error(`given.yaml: ${repeated} is there twice.`);
  return { world, objects };
}

/**
 * Reads a case.
 * @throws Error that says which file is missing, unknown or malformed.
 */
function loadCase(folder: string, mode: Mode = "compare"): DeclarativeCase {
  const name = basename(resolve(folder));
  if (!SENTENCE.test(name)) throw new Error(`${name}: name the folder with-a-sentence-like-this.`);
  const entries = readdirSync(folder);
  const unknown = entries.filter((entry) => !caseFiles.includes(entry));
  if (unknown.length > 0) throw new Error(`unknown files: ${unknown.sort().join(", ")}.`);
  const isNew = mode === "update" && !entries.includes("then.yaml");
  const missing = caseFiles.filter((file) => !entries.includes(file));
  if (missing.length > 0 && !(isNew && missing.length === 1)) {
    throw new Error(`missing files: ${missing.join(", ")}.`);
  }
  return {
    sentence: name.replaceAll("-", " "),
    folder,
    given: parseGiven(join(folder, "given.yaml")),
    when: parseOnly(join(folder, "when.yaml")),
    then: isNew ? undefined : parseOnly(join(folder, "then.yaml")),
  };
}

function checkAgainst(adapter: CaseAdapter, { world, objects }: Given): void {
  const { kinds, worldKeys } = adapter;
  const stray = objects.find(({ kind }) => kinds !== undefined && !kinds.includes(kind));
  if (stray !== undefined) {
    throw new Error(`given.yaml: ${adapter.capability} reads no ${stray.kind}.`);
  }
  const key = Object.keys(world).find(
    (name) => worldKeys !== undefined && !worldKeys.includes(name),
  );
  if (key !== undefined)
    throw new Error(`given.yaml: the World of ${adapter.capability} has no ${key}.`);
}

// Strings that YAML 1.1 reads otherwise are quoted, since kubectl reads it.
const yamlStyle = { lineWidth: 0, compat: "yaml-1.1" } as const;

/** A value as YAML with sorted keys, so that two equal values are the same text. */
function render(value: unknown): string {
  return stringify(value, { ...yamlStyle, sortMapEntries: true });
}

async function runLoaded(
  adapter: CaseAdapter,
  { folder, given, when, then }: DeclarativeCase,
  mode: Mode,
): Promise<CaseResult> {
  checkAgainst(adapter, given);
  // As JSON, so that undefined and absent are the same, and the outcome is what a reader sees.
  const outcome: unknown = JSON.parse(JSON.stringify((await adapter.run(given, when)) ?? null));
  if (isDeepStrictEqual(outcome, then)) return { kind: "passed" };
  if (mode === "update") {
    writeFileSync(join(folder, "then.yaml"), stringify(outcome, yamlStyle));
    return { kind: "updated" };
  }
  const diff = diffLines(render(then), render(outcome));
  return { kind: "failed", message: `then.yaml (-) is not what came out (+):\n${diff}` };
}

/** Reads and runs one case. What is wrong with it is the result's message; nothing is thrown. */
export async function runCase(
  adapter: CaseAdapter,
  folder: string,
  mode: Mode = "compare",
): Promise<CaseResult> {
  try {
    return await runLoaded(adapter, loadCase(folder, mode), mode);
  } catch (error) {
    return { kind: "failed", message: error instanceof Error ? error.message : String(error) };
  }
}

/**
 * The adapter of a capability.
 * @throws Error when there is none of that name.
 */
export async function loadAdapter(capability: string): Promise<CaseAdapter> {
  if (!existsSync(join(__dirname, "adapters", `${capability}.ts`))) {
    throw new Error(`no adapter for ${capability}: adapters/${capability}.ts is missing.`);
  }
  const { adapter } = (await import(`./adapters/${capability}`)) as { adapter: CaseAdapter };
  if (adapter.capability !== capability) {
    throw new Error(`adapters/${capability}.ts is the adapter of ${adapter.capability}.`);
  }
  return adapter;
}

/** The names of all adapters, sorted. */
export function adapterNames(): readonly string[] {
  return readdirSync(join(__dirname, "adapters"))
    .map((file) => basename(file, ".ts"))
    .sort();
}
