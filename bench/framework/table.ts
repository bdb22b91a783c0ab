import Table from "cli-table3";
import pico from "picocolors";
import { formatEstimate, formatGoal, formatMet } from "./format";
import { missed, type Row } from "./results";

/** Where a table goes to. */
export interface TableStyle {
  readonly color: boolean;
}

/** The figures as a table for a terminal, part by part. */
export function figuresTable(rows: readonly Row[], { color }: TableStyle): string {
  const { green, red } = pico.createColors(color);
  const table = new Table({
    head: ["Part", "Figure", "Value [95 % interval]", "Unit", "Goal", ""],
    style: { head: [], border: [] },
    colWidths: [12, 58, 28, 16, 10, 8],
    wordWrap: true,
  });
  const paint = (row: Row): string => {
    const text = formatMet(row.met);
    return row.met === false ? red(text) : green(text);
  };
  table.push(
    ...rows.map((row) => [
      row.part,
      row.name,
      formatEstimate(row),
      row.unit,
      formatGoal(row.goal),
      paint(row),
    ]),
  );
  return table.toString();
}

/** Which goals are missed, a line each; nothing where none is. */
export function missedLines(rows: readonly Row[], { color }: TableStyle): readonly string[] {
  const { red, bold } = pico.createColors(color);
  const all = missed(rows);
  if (all.length === 0) return [];
  return [
    bold(red(`${all.length === 1 ? "A GOAL IS" : `${all.length} GOALS ARE`} MISSED`)),
    ...all.map(
      (row) =>
        `  ${row.part}: ${row.name}: ${formatEstimate(row)} ${row.unit}, goal ${formatGoal(row.goal)}`,
    ),
  ];
}
