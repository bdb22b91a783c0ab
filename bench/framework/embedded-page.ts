import { posix } from "node:path";

/** Calls back for each line that is not in a fenced block. */
function mapProse(text: string, change: (line: string) => string): string {
  let isFenced = false;
  return text
    .split("\n")
    .map((line) => {
      if (/^\s*(```|~~~)/.test(line)) {
        isFenced = !isFenced;
        return line;
      }
      return isFenced ? line : change(line);
    })
    .join("\n");
}

function headingLevels(text: string): readonly number[] {
  const levels: number[] = [];
  mapProse(text, (line) => {
    const marks = /^(#+) /.exec(line)?.[1];
    if (marks !== undefined) levels.push(marks.length);
    return line;
  });
  return levels;
}

/** A link of a page in bench/<part>, as it is from docs/. */
function linkFromDocs(part: string, target: string): string {
  if (/^([a-z]+:|#)/.test(target)) return target;
  const [path = "", anchor] = target.split("#");
  const fromDocs = posix.relative("docs", posix.join("bench", part, path));
  return anchor === undefined ? fromDocs : `${fromDocs}#${anchor}`;
}

/**
 * The text of bench/<part>/page.md as a piece of docs/performance.md: without its title, which the part has already, with
 * headings from the third level on, and links that start from docs/.
 */
export function embedPage(part: string, text: string): string {
  const untitled = text.replace(/^\s*# [^\n]*\n+/, "").trim();
  const down = Math.max(0, 3 - Math.min(3, ...headingLevels(untitled)));
  const embedded = mapProse(untitled, (line) =>
    line
      .replace(/^#+ /, (marks) => "#".repeat(down) + marks)
      .replaceAll(
        /\]\(([^)\s]+)\)/g,
        (_match, target: string) => `](${linkFromDocs(part, target)})`,
      ),
  );
  return `${embedded}\n`;
}
