interface Line {
  readonly mark: " " | "-" | "+";
  readonly text: string;
}

/** Lengths of the longest common subsequences of the ends of two lists, by the positions where the ends begin. */
function commonLengths(before: readonly string[], after: readonly string[]): readonly number[][] {
  const lengths = Array.from({ length: before.length + 1 }, () =>
    new Array<number>(after.length + 1).fill(0),
  );
  const at = (row: number, column: number): number => lengths[row]?.[column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1) {
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const line = lengths[row];
      if (line === undefined) continue;
      line[column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
    }
  }
  return lengths;
}

/** Two texts as one, every line marked: `-` only in the first, `+` only in the second. */
export function diffLines(first: string, second: string): string {
  const before = first.trimEnd().split("\n");
  const after = second.trimEnd().split("\n");
  const lengths = commonLengths(before, after);
  const lines: Line[] = [];
  let row = 0;
  let column = 0;
  while (row < before.length || column < after.length) {
    const left = before[row];
    const right = after[column];
    const skipLeft = lengths[row + 1]?.[column] ?? -1;
    const skipRight = lengths[row]?.[column + 1] ?? -1;
    if (left !== undefined && left === right) {
      lines.push({ mark: " ", text: left });
      row += 1;
      column += 1;
    } else if (left !== undefined && (right === undefined || skipLeft >= skipRight)) {
      lines.push({ mark: "-", text: left });
      row += 1;
    } else {
      lines.push({ mark: "+", text: right ?? "" });
      column += 1;
    }
  }
  return lines.map(({ mark, text }) => `${mark} ${text}`).join("\n");
}
