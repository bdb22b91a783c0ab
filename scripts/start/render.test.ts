import { createStyle, paintChange, renderChange, renderTable, wrap } from "./render";

const plain = createStyle({ colours: false });

describe("a table", () => {
  test("has columns as wide as their widest cell, and no blanks at the end", () => {
    expect(
      renderTable(
        ["what", "how much"],
        [
          ["a", "1"],
          ["longer", ""],
        ],
      ),
    ).toEqual(["what    how much", "──────  ────────", "a       1", "longer"]);
  });
});

describe("wrapping", () => {
  test.each([
    ["", 10, [""]],
    ["one two three", 7, ["one two", "three"]],
    ["one two three", 100, ["one two three"]],
    ["extraordinarily long", 5, ["extraordinarily", "long"]],
  ])("%j at %d", (text, width, lines) => {
    expect(wrap(text, width)).toEqual(lines);
  });
});

describe("a change", () => {
  test("shows what was added with what it is nested in", () => {
    const before = { metadata: { name: "a" }, spec: { ports: [1, 2, 3, 4, 5] } };
    const after = { ...before, spec: { ...before.spec, trafficDistribution: "PreferClose" } };
    expect(renderChange(before, after)).toEqual([
      "  …",
      "  spec:",
      "    ports:",
      "      …",
      "      - 4",
      "      - 5",
      "+   trafficDistribution: PreferClose",
    ]);
  });

  test("shows what was removed and what was replaced", () => {
    expect(renderChange({ a: 1, b: 2, c: 3 }, { a: 1, b: 4 })).toEqual([
      "  a: 1",
      "- b: 2",
      "- c: 3",
      "+ b: 4",
    ]);
  });

  test("leaves out one line only by showing it", () => {
    const before = { one: 1, two: 2, three: 3, four: 4 };
    expect(renderChange(before, { ...before, four: 5 })[0]).toBe("  one: 1");
  });

  test("of nothing is the object itself", () => {
    expect(renderChange({ a: 1 }, { a: 1 })).toEqual(["  a: 1"]);
  });

  test("has colours only where they are wanted", () => {
    const lines = ["  a: 1", "- b: 2", "+ b: 4"];
    expect(paintChange(lines, plain)).toEqual(lines);
    expect(paintChange(lines, createStyle({ colours: true })).join("")).toContain("\u001b[");
  });
});
