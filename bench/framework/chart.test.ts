import { drawChart } from "./chart";
import type { Chart } from "./part";
import { admission } from "./sample-results";

const [bars] = admission.result.charts as readonly [Chart];
const lines: Chart = {
  name: "growth",
  title: "Growth",
  kind: "lines",
  xLabel: "HostedAPIServers",
  yLabel: "time, s",
  log: { x: true, y: true },
  series: [
    {
      name: "with Pods",
      points: [100, 300, 1_000].map((x) => ({ x, y: x / 10, low: x / 11, high: x / 9 })),
    },
    { name: "without", points: [100, 300, 1_000].map((x) => ({ x, y: x / 20 })) },
  ],
};
/** What a reader sees written. */
const texts = (svg: string): readonly string[] =>
  [...svg.matchAll(/<text[^>]*>([^<]*)<\/text>/g)].map(([, text = ""]) => text.trim());

/** Lines in the colour and width of intervals. */
const strokes = (svg: string): number =>
  svg.match(/stroke="#333333" stroke-width="1.5"/g)?.length ?? 0;

describe("a chart of bars", () => {
  test("names its axes with their units, its series and its bars", () => {
    expect(texts(drawChart(bars))).toEqual(
      expect.arrayContaining([
        "Added latency",
        "what is created",
        "added latency, ms",
        "fairlead",
        "Go peer",
        "routed Pod",
        "1.10",
      ]),
    );
  });

  test("shows an interval where there is one", () => {
    expect(strokes(drawChart(bars))).toBe(3);
  });

  test("needs no legend for one series", () => {
    const one = { ...bars, series: bars.series.slice(0, 1) };
    expect(texts(drawChart(one))).not.toContain("fairlead");
  });
});

describe("a chart of lines", () => {
  test("names the sizes that were measured on a logarithmic axis", () => {
    expect(texts(drawChart(lines))).toEqual(expect.arrayContaining(["100", "300", "1,000"]));
  });

  test("shows intervals where there are some", () => {
    expect(strokes(drawChart(lines))).toBe(9);
  });

  test("is a curve without marks where points are many", () => {
    const points = Array.from({ length: 100 }, (_, x) => ({ x, y: x, low: x - 1, high: x + 1 }));
    const curve = { ...lines, log: {}, series: [{ name: "s", points }] };
    expect(strokes(drawChart(curve))).toBe(0);
  });
});

describe("every chart", () => {
  test.each([bars, lines])("is the same text each time: $name", (chart) => {
    const first = drawChart(chart);
    drawChart(bars);
    expect(drawChart(chart)).toBe(first);
  });

  test.each([bars, lines])(
    "has a light ground of its own, and needs nothing else: $name",
    (chart) => {
      const svg = drawChart(chart);
      expect(svg).toMatch(/^<svg /);
      expect(svg).toContain('fill="#ffffff"');
      expect(svg).not.toMatch(/<script|<style|<image/);
    },
  );

  test("without points is refused", () => {
    expect(() => drawChart({ ...bars, series: [] })).toThrow(RangeError);
  });
});
