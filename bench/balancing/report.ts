import { quantile } from "../figures";
import type { Subject } from "./options";
import type { Moment } from "./scenes";
import type { PerServer } from "./spread";

/** A moment of one run, with what was measured. */
export interface Figure extends Subject, Moment {
  readonly connections: number;
  /** From 1. */
  readonly run: number;
}

/** All runs of the same. */
interface Group {
  readonly runs: readonly Figure[];
  readonly worst: Figure;
  readonly medianSkew: number;
}

/** Figures that differ by their run alone, in the order in which they come first. */
export function groupRuns(figures: readonly Figure[]): readonly Group[] {
  const groups = new Map<string, Figure[]>();
  for (const figure of figures) {
    const key = [figure.mode, figure.algorithm, figure.connections, figure.label].join("|");
    groups.set(key, [...(groups.get(key) ?? []), figure]);
  }
  return [...groups.values()].map((runs) => ({
    runs,
    worst: runs.reduce((worst, run) => (run.spread.skew > worst.spread.skew ? run : worst)),
    medianSkew: median(runs, ({ spread }) => spread.skew),
  }));
}

/** A Markdown table with a row for each group; a column without any entry is left out. */
export function tableOf(groups: readonly Group[]): string {
  const filled = columns.filter(([, show]) => groups.some((group) => show(group) !== ""));
  const head = filled.map(([name]) => name);
  const rows = groups.map((group) => filled.map(([, show]) => show(group)));
  const line = (cells: readonly string[]): string => `| ${cells.join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n");
}

const columns: readonly (readonly [name: string, show: (group: Group) => string])[] = [
  ["Mode", ({ worst }) => worst.mode],
  ["Algorithm", ({ worst }) => worst.algorithm],
  ["Connections", ({ worst }) => String(worst.connections)],
  ["When", ({ worst }) => worst.label],
  ["Skew: median", ({ medianSkew }) => medianSkew.toFixed(3)],
  ["Skew: worst", ({ worst }) => worst.spread.skew.toFixed(3)],
  ["Requests, worst run", ({ worst }) => showCounts(worst.spread.requests)],
  ["Watches, worst run", ({ worst }) => showCounts(worst.spread.watches)],
  ["Watches: skew, median", ({ runs }) => median(runs, (run) => run.spread.watchSkew).toFixed(2)],
  ["New watches, worst run", ({ worst }) => showCounts(worst.newWatches ?? [])],
  ["Failed", ({ runs }) => String(sum(runs, ({ spread }) => spread.failedRequests))],
  ["Requests/s", ({ runs }) => median(runs, (run) => run.spread.requestsPerSecond).toFixed(0)],
];

function showCounts(counts: PerServer): string {
  return counts.join(" / ");
}

function median(runs: readonly Figure[], of: (figure: Figure) => number): number {
  return quantile(runs.map(of), 0.5);
}

function sum(runs: readonly Figure[], of: (figure: Figure) => number): number {
  return runs.reduce((total, run) => total + of(run), 0);
}
