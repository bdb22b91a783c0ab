import type { Figure } from "./part";
import { isMet, missed, putMeasured, rowsOf, type Results } from "./results";
import { admission, circumstances } from "./sample-results";

const figure: Figure = { name: "ratio", value: 1.1, unit: "ratio" };
const context = { ...circumstances, order: ["admission", "sync"] };
const none: Results = { rows: [], parts: [] };

describe("a goal", () => {
  test.each<[string, Partial<Figure>, boolean | null]>([
    ["is met by the whole interval", { interval: [1, 1.2], goal: { atMost: 1.2 } }, true],
    [
      "is missed where the upper end is above it",
      { interval: [1, 1.3], goal: { atMost: 1.2 } },
      false,
    ],
    [
      "is missed where the lower end is below it",
      { interval: [0.6, 1.3], goal: { atLeast: 0.7 } },
      false,
    ],
    [
      "is met where the lower end reaches it",
      { interval: [0.7, 1.3], goal: { atLeast: 0.7 } },
      true,
    ],
    ["is met by the value where that is exact", { goal: { atMost: 1.1 } }, true],
    ["is neither where there is none", { interval: [1, 2] }, null],
  ])("%s", (_, rest, expected) => {
    expect(isMet({ ...figure, ...rest })).toBe(expected);
  });
});

describe("rows", () => {
  test("hold all that is known of a figure", () => {
    const [row] = rowsOf(admission, circumstances);
    expect(row).toEqual({
      name: "routed Pod, p50, fairlead / Go peer",
      value: 1.1,
      unit: "ratio",
      goal: { atMost: 1.2 },
      met: true,
      part: "admission",
      low: 1.05,
      high: 1.15,
      samples: [1.05, 1.1, 1.15],
      ...circumstances,
    });
  });

  test("say null where there is no goal and no interval", () => {
    const row = rowsOf(admission, circumstances)[2];
    expect(row).toMatchObject({ goal: null, met: null, low: null, high: null });
  });

  test.each<[string, readonly Figure[]]>([
    ["two figures of a name", [figure, figure]],
    ["a value that is no number", [{ ...figure, value: Number.NaN }]],
    [
      "an end of an interval that is none",
      [{ ...figure, interval: [1, Number.POSITIVE_INFINITY] }],
    ],
  ])("are refused for %s", (_, figures) => {
    const measured = { ...admission, result: { figures, charts: [] } };
    expect(() => rowsOf(measured, circumstances)).toThrow(RangeError);
  });
});

describe("what a part came to", () => {
  const sync = { ...admission, part: "sync", title: "Sync" };

  test("is put in the order of the parts, whichever was measured first", () => {
    const results = putMeasured(putMeasured(none, sync, context), admission, context);
    expect(results.parts.map(({ part }) => part)).toEqual(["admission", "sync"]);
    expect(results.rows.map(({ part }) => part)).toEqual([
      ...Array<string>(3).fill("admission"),
      ...Array<string>(3).fill("sync"),
    ]);
  });

  test("replaces what it came to before, and nothing else", () => {
    const before = putMeasured(putMeasured(none, sync, context), admission, context);
    const again = { ...admission, result: { figures: [figure], charts: [] } };
    const after = putMeasured(before, again, { ...context, commit: "fedcba987654", quick: true });
    const rowsAfter = (part: string) => after.rows.filter((row) => row.part === part);
    expect(rowsAfter("admission")).toMatchObject([
      { name: "ratio", commit: "fedcba987654", quick: true },
    ]);
    expect(rowsAfter("sync")).toEqual(before.rows.filter((row) => row.part === "sync"));
    expect(after.parts).toMatchObject([{ part: "admission", charts: [] }, { part: "sync" }]);
  });

  test("carries the versions that the part itself ran", () => {
    const measured = {
      ...admission,
      result: { ...admission.result, versions: { kubernetes: "1.36.3" } },
    };
    const { rows, parts } = putMeasured(none, measured, context);
    expect(rows[0]?.versions).toEqual({ ...circumstances.versions, kubernetes: "1.36.3" });
    expect(parts[0]?.versions.kubernetes).toBe("1.36.3");
  });

  test.each([
    ["no points", []],
    ["a point that is no number", [{ x: 1, y: Number.NaN }]],
  ])("is refused with a chart of %s", (_, points) => {
    const charts = admission.result.charts.map((chart) => ({
      ...chart,
      series: [{ name: "s", points }],
    }));
    const measured = { ...admission, result: { figures: [], charts } };
    expect(() => putMeasured(none, measured, context)).toThrow(RangeError);
  });
});

test("missed goals are those that were measured and not met", () => {
  expect(missed(rowsOf(admission, circumstances)).map(({ name }) => name)).toEqual([
    "routed Pod, p99, fairlead / Go peer",
  ]);
});
