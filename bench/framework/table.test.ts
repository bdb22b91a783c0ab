import { formatEstimate, formatNumber } from "./format";
import { rowsOf } from "./results";
import { admission, circumstances } from "./sample-results";
import { figuresTable, missedLines } from "./table";

const rows = rowsOf(admission, circumstances);
const plain = { color: false };

test.each([
  [1.04, "ratio", "1.040"],
  [1.0004, "max/mean", "1.000"],
  [3_051.4, "requests/s", "3,051"],
  [12.345, "ms", "12.3"],
  [1.234, "ms", "1.23"],
  [0.01234, "ms", "0.0123"],
  [5, "KiB", "5"],
  [0, "requests", "0"],
])("%d %s is written %s", (value, unit, expected) => {
  expect(formatNumber(value, unit)).toBe(expected);
});

test("an exact value is written without an interval", () => {
  expect(formatEstimate({ value: 5, low: null, high: null, unit: "KiB" })).toBe("5");
});

describe("the table", () => {
  test("shows what is met and what is missed", () => {
    const lines = figuresTable(rows, plain).split("\n");
    const line = (name: string) => lines.find((one) => one.includes(name));
    expect(line("p50, fairlead")).toMatch(/1\.100 \[1\.050, 1\.150\].*ratio.*≤ 1\.2.*met/);
    expect(line("p99, fairlead")).toMatch(/MISSED/);
    expect(line("requests ")).not.toMatch(/met|MISSED/);
  });

  test("is followed by each missed goal", () => {
    expect(missedLines(rows, plain)).toEqual([
      "A GOAL IS MISSED",
      "  admission: routed Pod, p99, fairlead / Go peer: 1.190 [1.100, 1.250] ratio, goal ≤ 1.2",
    ]);
  });

  test("is followed by nothing where every goal is met", () => {
    expect(missedLines(rows.slice(0, 1), plain)).toEqual([]);
  });
});
