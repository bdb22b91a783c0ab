import { createColors } from "picocolors";
import { stringify } from "yaml";
import { diffLines } from "../../test/cases/diff";

/** How words are marked; without colours each of them gives back its text. */
export interface Style {
  bold(text: string): string;
  dim(text: string): string;
  added(text: string): string;
  removed(text: string): string;
  good(text: string): string;
  bad(text: string): string;
}

/** A style with terminal colours, or none. */
export function createStyle({ colours }: { readonly colours: boolean }): Style {
  const { bold, dim, green, red } = createColors(colours);
  return { bold, dim, added: green, removed: red, good: green, bad: red };
}

/** Lines of a table: columns as wide as their widest cell, the first row underlined. */
export function renderTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
): readonly string[] {
  const widths = head.map((_, column) =>
    Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length)),
  );
  const line = (row: readonly string[]): string =>
    widths
      .map((width, column) => (row[column] ?? "").padEnd(width))
      .join("  ")
      .trimEnd();
  return [line(head), widths.map((width) => "─".repeat(width)).join("  "), ...rows.map(line)];
}

/** A text in lines of at most `width` characters, broken between words; a longer word has a line of its own. */
export function wrap(text: string, width: number): readonly string[] {
  return text.split(" ").reduce<readonly string[]>((lines, word) => {
    const last = lines.at(-1);
    return last === undefined || last.length + 1 + word.length > width
      ? [...lines, word]
      : [...lines.slice(0, -1), `${last} ${word}`];
  }, []);
}

/** How many unchanged lines are shown around a change. */
const CONTEXT_LINES = 2;

/**
 * What became of an object: its YAML, with `+` and `-` before what changed, and of the rest only what is near a change
 * or leads to it. An object that is the same gives its YAML without a mark.
 */
export function renderChange(before: object, after: object): readonly string[] {
  const yaml = (value: object): string => stringify(value, { lineWidth: 0 });
  const lines = diffLines(yaml(before), yaml(after)).split("\n");
  const isChanged = (line: string | undefined): boolean =>
    line !== undefined && !line.startsWith(" ");
  if (!lines.some(isChanged)) return lines;
  const near = lines.map((_, index) =>
    lines.slice(Math.max(0, index - CONTEXT_LINES), index + CONTEXT_LINES + 1).some(isChanged),
  );
  const kept = lines.map((_, index) => near[index] === true || leadsTo(lines, index, near));
  return lines.flatMap((line, index) => {
    const isAlone = kept[index - 1] !== false && kept[index + 1] !== false;
    // A run of lines that are left out is one mark, which one line alone is too.
    if (kept[index] === true || isAlone) return [line];
    return kept[index - 1] === false ? [] : [`  ${" ".repeat(indentOf(line))}…`];
  });
}

const indentOf = (line: string): number => line.slice(2).search(/\S/);

/** Whether a line is a key that one of the lines to be shown is nested in. */
function leadsTo(lines: readonly string[], index: number, isShown: readonly boolean[]): boolean {
  const indent = indentOf(lines[index] ?? "");
  const rest = lines.slice(index + 1);
  const end = rest.findIndex((line) => indentOf(line) <= indent);
  const nested = isShown.slice(index + 1, end < 0 ? undefined : index + 1 + end);
  return nested.includes(true);
}

/** Colours the lines of `renderChange`. */
export function paintChange(lines: readonly string[], style: Style): readonly string[] {
  return lines.map((line) => {
    if (line.startsWith("+")) return style.added(line);
    if (line.startsWith("-")) return style.removed(line);
    return style.dim(line);
  });
}
