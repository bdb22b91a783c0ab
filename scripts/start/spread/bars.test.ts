import fc from "fast-check";
import { barLine, drawBar, layoutOf, plainLine, weightOf, type BarState } from "./bars";

const state = (tenant: string, name: string, requestsPerSecond: number): BarState => ({
  server: { tenant, name },
  requestsPerSecond,
  requests: 10 * requestsPerSecond,
});

describe("a bar", () => {
  test.each([
    [0, "    "],
    [0.5, "██  "],
    [0.25 + 1 / 32, "█▏  "],
    [1, "████"],
    [7, "████"],
    [-1, "    "],
  ])("of %d", (share, bar) => {
    expect(drawBar(share, 4)).toBe(bar);
  });

  test("is always as wide as asked for", () => {
    const width = fc.integer({ min: 1, max: 80 });
    fc.assert(
      fc.property(fc.double({ noNaN: true }), width, (share, characters) => {
        return drawBar(share, characters).length === characters;
      }),
    );
  });
});

describe("lines", () => {
  const states = [
    state("tenant-a", "kube-apiserver-0", 1_200),
    state("tenant-a", "kube-apiserver-10", 0),
    state("b", "kube-apiserver-0", 600),
  ];

  test("stand below each other", () => {
    const layout = layoutOf(
      states.map(({ server }) => server),
      74,
    );
    const paint = (bar: string) => bar;
    const lines = states.map((one) => barLine(one, { layout, scale: 1_200, paint }));
    expect(lines).toEqual([
      `tenant-a  kube-apiserver-0   ${"█".repeat(24)}   1,200/s     12,000`,
      `tenant-a  kube-apiserver-10  ${" ".repeat(24)}       0/s          0`,
      `b         kube-apiserver-0   ${"█".repeat(12)}${" ".repeat(12)}     600/s      6,000`,
    ]);
    expect(lines.every((line) => line.length === 74)).toBe(true);
  });

  test.each([
    [20, 8],
    [70, 23],
    [300, 40],
  ])("of %d characters have bars of %d", (characters, barCharacters) => {
    const servers = [
      { tenant: "a", name: "kube-apiserver-0" },
      { tenant: "tenant", name: "b" },
    ];
    expect(layoutOf(servers, characters)).toEqual({
      tenantCharacters: 6,
      nameCharacters: 16,
      barCharacters,
    });
  });

  test("before there is a scale, have empty bars", () => {
    const [first] = states;
    if (first === undefined) throw new Error("there is a state");
    const drawing = { layout: layoutOf([first.server], 80), scale: 0, paint: (bar: string) => bar };
    expect(barLine(first, drawing)).not.toContain("█");
  });

  test("are one for a log", () => {
    expect(plainLine(states)).toBe("tenant-a: 1,200 | 0   b: 600");
  });
});

describe("the weight of a bar", () => {
  test("is heavy for far more than the tenant's mean", () => {
    const all = [10, 1, 1].map((rate, index) => state("a", `${index}`, rate));
    expect(all.map((one) => weightOf(one, all))).toEqual(["heavy", "even", "even"]);
  });

  test("is even where all have the same, and where there is nothing", () => {
    for (const rate of [0, 7]) {
      const all = [0, 1, 2].map((index) => state("a", `${index}`, rate));
      expect(all.map((one) => weightOf(one, all))).toEqual(["even", "even", "even"]);
    }
  });

  test("is by tenant", () => {
    const all = [state("a", "0", 1_000), state("b", "0", 1), state("b", "1", 1)];
    expect(all.map((one) => weightOf(one, all))).toEqual(["even", "even", "even"]);
  });
});
