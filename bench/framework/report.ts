import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { drawChart } from "./chart";
import { chartPath, performancePage } from "./page";
import type { Results } from "./results";
import { readResults } from "./store";

/** Where a report's results and texts are, and where it goes: the root of the repository, or of a test's own. */
export interface ReportPlace {
  readonly root: string;
}

/** Below the root. */
export const paths = {
  results: "bench/results",
  page: "docs/performance.md",
  charts: "docs/performance",
} as const;

function textsOf(root: string, { parts }: Results): Readonly<Record<string, string>> {
  const files = parts.map(({ part }) => [part, join(root, "bench", part, "page.md")] as const);
  return Object.fromEntries(
    files.flatMap(([part, path]) => (existsSync(path) ? [[part, readFileSync(path, "utf8")]] : [])),
  );
}

/** What the report's files are to be, by their paths below the root. */
function reportFiles({ root }: ReportPlace): ReadonlyMap<string, string> {
  const results = readResults(join(root, paths.results));
  const charts = results.parts.flatMap(({ part, charts: own }) =>
    own.map((chart) => [join("docs", chartPath(part, chart)), drawChart(chart)] as const),
  );
  const page = performancePage({ results, texts: textsOf(root, results) });
  return new Map([[paths.page, page], ...charts]);
}

/** Pictures of charts that there are no more. */
function leftOver(root: string, wanted: ReadonlyMap<string, string>): readonly string[] {
  const folder = join(root, paths.charts);
  const there = existsSync(folder) ? readdirSync(folder) : [];
  return there
    .map((name) => join(paths.charts, name))
    .filter((path) => path.endsWith(".svg") && !wanted.has(path));
}

/**
 * Writes docs/performance.md and its pictures from the newest results.
 * @returns the paths that were written, below the root.
 */
export function writeReport(place: ReportPlace): readonly string[] {
  const wanted = reportFiles(place);
  for (const path of leftOver(place.root, wanted)) rmSync(join(place.root, path));
  for (const [path, text] of wanted) {
    const file = join(place.root, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, text);
  }
  return [...wanted.keys()];
}

/** Which of the report's files are not what the newest results make of them; none where all are. */
export function staleFiles(place: ReportPlace): readonly string[] {
  const wanted = reportFiles(place);
  const differing = [...wanted].filter(([path, text]) => {
    const file = join(place.root, path);
    return !existsSync(file) || readFileSync(file, "utf8") !== text;
  });
  return [...differing.map(([path]) => path), ...leftOver(place.root, wanted)];
}
