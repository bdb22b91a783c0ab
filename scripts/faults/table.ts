/** A row of the table: what a fault came to. */
export interface FaultResult {
  readonly fault: string;
  readonly did: string;
  readonly lost: number;
  readonly convergedMs?: number;
}

const BEGIN = "<!-- faults: begin (npm run test:faults -- --update-docs) -->";
const END = "<!-- faults: end -->";

/** A page that has no place for the table. */
export class NoPlaceError extends Error {
  override readonly name = "NoPlaceError";
}

/**
 * Reads results, a line of JSON each; of one fault the last counts.
 * @throws {SyntaxError} for a line that is no JSON.
 */
export function parseResults(text: string): readonly FaultResult[] {
  const results = text
    .split("\n")
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as FaultResult);
  return [...new Map(results.map((result) => [result.fault, result])).values()];
}

const escape = (text: string): string => text.replaceAll("|", "\\|");

function durationOf(convergedMs: number | undefined): string {
  return convergedMs === undefined ? "-" : `${(convergedMs / 1000).toFixed(1)} s`;
}

/** The table, as Markdown, sorted by name. */
export function toTable(results: readonly FaultResult[]): string {
  const rows = [...results]
    .sort((one, other) => (one.fault < other.fault ? -1 : 1))
    .map(({ fault, did, lost, convergedMs }) =>
      [escape(fault), escape(did), String(lost), durationOf(convergedMs)].join(" | "),
    );
  const head = ["Fault | What was done | Lost | Converged after", "--- | --- | --- | ---"];
  return [...head, ...rows].map((row) => `| ${row} |`).join("\n");
}

/**
 * Puts the table, and a sentence above it, between the markers of a page.
 * @throws {NoPlaceError} where the page has no markers.
 */
export function putTable(page: string, sentence: string, results: readonly FaultResult[]): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)];
  if (begin < 0 || end < begin) throw new NoPlaceError(`the page lacks ${BEGIN} and ${END}`);
  const between = `${BEGIN}\n\n${sentence}\n\n${toTable(results)}\n\n`;
  return page.slice(0, begin) + between + page.slice(end);
}
