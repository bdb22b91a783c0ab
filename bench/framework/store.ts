import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Circumstances, PartRecord, Results, Row } from "./results";

/** Everything that one run measured. */
export interface Run extends Omit<Circumstances, "measuredAt"> {
  readonly startedAt: string;
  readonly figures: readonly Row[];
  readonly charts: readonly PartRecord[];
}

const LATEST = "latest.json";
const PARTS = "parts.json";

function readArray(path: string): unknown {
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : [];
}

/** Whoever reads a file meanwhile, and a run that is broken off, find one whole file or the other. */
function writeWhole(path: string, text: string): void {
  writeFileSync(`${path}.new`, text);
  renameSync(`${path}.new`, path);
}

/** A line for each element, so that a difference shows what was measured anew. */
const linesOf = (elements: readonly unknown[]): string =>
  elements.length === 0
    ? "[]\n"
    : `[\n${elements.map((element) => JSON.stringify(element)).join(",\n")}\n]\n`;

/**
 * The newest results of all parts; none where nothing was measured yet.
 * @throws {SyntaxError} where a file is no JSON.
 */
export function readResults(folder: string): Results {
  return {
    rows: readArray(join(folder, LATEST)) as readonly Row[],
    parts: readArray(join(folder, PARTS)) as readonly PartRecord[],
  };
}

/** Writes the newest results of all parts. */
export function writeResults(folder: string, { rows, parts }: Results): void {
  mkdirSync(folder, { recursive: true });
  writeWhole(join(folder, LATEST), linesOf(rows));
  writeWhole(join(folder, PARTS), linesOf(parts));
}

/**
 * Writes what one run measured, for whoever compares runs; it is not committed.
 * @returns the file's path.
 */
export function writeRun(folder: string, run: Run): string {
  mkdirSync(folder, { recursive: true });
  const time = run.startedAt.slice(0, 19).replaceAll(":", "");
  const path = join(folder, `${time}-${run.commit}.json`);
  writeWhole(path, `${JSON.stringify(run, null, 2)}\n`);
  return path;
}
