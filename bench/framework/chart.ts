import {
  init,
  type CustomSeriesOption,
  type EChartsOption,
  type LegendComponentOption,
  type SeriesOption,
  type XAXisComponentOption,
  type YAXisComponentOption,
} from "echarts";
import { formatNumber } from "./format";
import type { Chart } from "./part";

type Series = Chart["series"][number];
type Point = Series["points"][number];

/** Okabe and Ito's colours, which the colour-blind tell apart, without the yellow that is lost on white. */
const COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00", "#333333"];
/** A white ground of its own: dark text is read on it whatever is around it. */
const BACKGROUND = "#ffffff";
const TEXT = "#333333";
const GRID = "#e2e2e2";
const WIDTH = 960;
const PLOT_HEIGHT = 300;
const LEFT = 90;
const RIGHT = 30;
const FONT_SIZE = 13;
const LINE_HEIGHT = 17;
// Widths of texts are guessed without a document: there has to be room.
const LETTER_WIDTH = 8;
const LEGEND_MARK_WIDTH = 50;
const LEGEND_ROW_HEIGHT = 24;
const LEGEND_TOP = 40;
const MAX_TICKS = 8;
/** More bars than this leave no room for their numbers. */
const MAX_LABELLED_BARS = 16;
/** More points than this are a curve, where marks and intervals would hide each other. */
const MAX_MARKED_POINTS = 40;
const CAP_WIDTH = 10;

const xsOf = ({ series }: Chart): readonly (number | string)[] => [
  ...new Set(series.flatMap(({ points }) => points.map(({ x }) => x))),
];

const isCurve = ({ series }: Chart): boolean =>
  series.some(({ points }) => points.length > MAX_MARKED_POINTS);

/** Where texts stand that go side by side into a width, as the line of each and how far it is in. */
function flow(widths: readonly number[], room: number): readonly (readonly [number, number])[] {
  const places: (readonly [number, number])[] = [];
  let line = 0;
  let used = 0;
  for (const width of widths) {
    if (used > 0 && used + width > room) {
      line += 1;
      used = 0;
    }
    places.push([line, used]);
    used += width;
  }
  return places;
}

const linesOf = (places: readonly (readonly [number, number])[]): number =>
  Math.max(0, ...places.map(([line]) => line)) + 1;

type RenderApi = Parameters<NonNullable<CustomSeriesOption["renderItem"]>>[1];

/** How the intervals of a series are drawn. */
interface Marks {
  readonly x: (point: Point) => number;
  /** From the middle of a place on the axis to that of the series' bar, in pixels. */
  readonly shift: (api: RenderApi) => number;
  readonly withNumbers: boolean;
}

const positionOf = (api: RenderApi, x: number, y: number): readonly [left: number, top: number] => {
  const [left = 0, top = 0] = api.coord([x, y]);
  return [left, top];
};

/** Lines from `low` to `high` with a cap at either end, and above them the number. */
function intervals({ name, points }: Series, marks: Marks): CustomSeriesOption {
  return {
    type: "custom",
    name,
    silent: true,
    z: 10,
    encode: { x: 0, y: [1, 2, 3] },
    data: points.map((point) => [
      marks.x(point),
      point.y,
      point.low ?? point.y,
      point.high ?? point.y,
    ]),
    renderItem: ({ dataIndex }, api) => {
      const point = points[dataIndex];
      if (point === undefined) return null;
      const { y, low = y, high = y } = point;
      const x = marks.x(point);
      const [left, bottom] = positionOf(api, x, low);
      const [, top] = positionOf(api, x, high);
      const middle = left + marks.shift(api);
      const line = (halfWidth: number, y1: number, y2: number) => ({
        type: "line" as const,
        shape: { x1: middle - halfWidth, y1, x2: middle + halfWidth, y2 },
        style: { stroke: TEXT, lineWidth: 1.5 },
      });
      const cap = (at: number) => line(CAP_WIDTH / 2, at, at);
      const text = {
        type: "text" as const,
        style: {
          x: middle,
          y: top - 4,
          text: formatNumber(y, ""),
          align: "center" as const,
          verticalAlign: "bottom" as const,
          fill: TEXT,
          fontSize: 12,
        },
      };
      return {
        type: "group",
        children: [
          ...(low < high ? [line(0, bottom, top), cap(bottom), cap(top)] : []),
          ...(marks.withNumbers ? [text] : []),
        ],
      };
    },
  };
}

function barSeries(chart: Chart): SeriesOption[] {
  const xs = xsOf(chart);
  const { series } = chart;
  const gaps = { barGap: "10%", barCategoryGap: "30%" };
  const withNumbers = xs.length * series.length <= MAX_LABELLED_BARS;
  const bars = series.map((one) => ({
    type: "bar" as const,
    name: one.name,
    ...gaps,
    barMaxWidth: 80,
    data: xs.map((x) => one.points.find((point) => point.x === x)?.y ?? "-"),
  }));
  const shiftOf = (index: number) => (api: RenderApi) => {
    const layout = api.barLayout({ count: series.length, barMaxWidth: 80, ...gaps });
    return layout?.[index]?.offsetCenter ?? 0;
  };
  const marks = series.map((one, index) =>
    intervals(one, { x: ({ x }) => xs.indexOf(x), shift: shiftOf(index), withNumbers }),
  );
  return [...bars, ...marks];
}

function lineSeries(chart: Chart): SeriesOption[] {
  const xs = xsOf(chart);
  const place = ({ x }: Point): number => (typeof x === "number" ? x : xs.indexOf(x));
  const curve = isCurve(chart);
  const lines = chart.series.map(({ name, points }, index) => ({
    type: "line" as const,
    name,
    symbol: ["circle", "rect", "triangle", "diamond"][index % 4] ?? "circle",
    symbolSize: 8,
    showSymbol: !curve,
    // Curves that lie on each other are all seen.
    lineStyle: { width: curve ? Math.max(1.5, 5 - 1.5 * index) : 2 },
    data: points.map((point): [number, number] => [place(point), point.y]),
  }));
  if (curve) return lines;
  const shift = (): number => 0;
  const marks = chart.series.map((one) => intervals(one, { x: place, shift, withNumbers: false }));
  return [...lines, ...marks];
}

const label = { color: TEXT, fontSize: FONT_SIZE };

function xAxis(chart: Chart, labelLines: number): XAXisComponentOption {
  const xs = xsOf(chart);
  const common = {
    name: chart.xLabel,
    nameLocation: "middle" as const,
    nameGap: 16 + labelLines * LINE_HEIGHT,
    nameTextStyle: label,
    axisLine: { lineStyle: { color: TEXT } },
    splitLine: { show: false },
  };
  if (chart.kind === "bars" || xs.some((x) => typeof x === "string")) {
    const width = (WIDTH - LEFT - RIGHT) / xs.length - 8;
    return {
      ...common,
      type: "category",
      data: xs.map(String),
      axisTick: { show: false },
      axisLabel: { ...label, interval: 0, width, overflow: "break", lineHeight: LINE_HEIGHT },
    };
  }
  const numbers = xs.map(Number).sort((a, b) => a - b);
  // The sizes that were measured are what an axis is to name, where they are few.
  const ticks = numbers.length <= MAX_TICKS ? { customValues: numbers } : {};
  return {
    ...common,
    type: chart.log?.x === true ? "log" : "value",
    ...(chart.log?.x === true ? { min: numbers[0] ?? 1, max: numbers.at(-1) ?? 10 } : {}),
    axisTick: ticks,
    axisLabel: { ...label, ...ticks, formatter: (value: number) => formatNumber(value, "") },
  };
}

function yAxis(chart: Chart): YAXisComponentOption {
  return {
    type: chart.log?.y === true ? "log" : "value",
    name: chart.yLabel,
    nameLocation: "middle",
    nameGap: 62,
    nameTextStyle: label,
    axisLabel: { ...label, formatter: (value: number) => formatNumber(value, "") },
    splitLine: { lineStyle: { color: GRID } },
  };
}

function labelLinesOf(chart: Chart): number {
  if (chart.kind !== "bars") return 1;
  const xs = xsOf(chart);
  const room = (WIDTH - LEFT - RIGHT) / xs.length - 8;
  const wordsOf = (x: number | string): readonly number[] =>
    String(x)
      .split(" ")
      .map((word) => (word.length + 1) * LETTER_WIDTH);
  return Math.max(1, ...xs.map((x) => linesOf(flow(wordsOf(x), room))));
}

/** One legend a series: the library itself would place them by widths that are too small for most fonts. */
function legends({ series }: Chart): {
  readonly legend: readonly LegendComponentOption[];
  readonly height: number;
} {
  if (series.length < 2) return { legend: [], height: 0 };
  const widths = series.map(({ name }) => name.length * LETTER_WIDTH + LEGEND_MARK_WIDTH);
  const places = flow(widths, WIDTH - LEFT - RIGHT);
  const legend = series.map(({ name }, index) => {
    const [line, left] = places[index] ?? [0, 0];
    const top = LEGEND_TOP + line * LEGEND_ROW_HEIGHT;
    return { data: [name], left: LEFT + left, top, textStyle: label };
  });
  return { legend, height: LEGEND_ROW_HEIGHT * linesOf(places) };
}

/**
 * SVG of a chart, the same text for the same chart.
 * @throws {RangeError} for a chart without a point, of which nothing could be seen.
 */
export function drawChart(chart: Chart): string {
  if (xsOf(chart).length === 0) throw new RangeError(`the chart ${chart.name} has no points`);
  const labelLines = labelLinesOf(chart);
  const { legend, height } = legends(chart);
  const top = LEGEND_TOP + 26 + height;
  return render(top + PLOT_HEIGHT + 40 + labelLines * LINE_HEIGHT, {
    color: COLOURS,
    title: { text: chart.title, left: 20, top: 12, textStyle: { color: TEXT, fontSize: 16 } },
    legend: [...legend],
    grid: { left: LEFT, right: RIGHT, top, height: PLOT_HEIGHT },
    xAxis: xAxis(chart, labelLines),
    yAxis: yAxis(chart),
    series: chart.kind === "bars" ? barSeries(chart) : lineSeries(chart),
  });
}

function render(height: number, option: EChartsOption): string {
  // Without a document: the library writes the SVG as text.
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: BACKGROUND,
      textStyle: { fontFamily: "system-ui, sans-serif", color: TEXT },
      ...option,
    });
    return `${withoutCounts(chart.renderToSVGString())}\n`;
  } finally {
    // Else it would keep this process alive.
    chart.dispose();
  }
}

// Ids count the charts of this process, and so do the classes of what a mouse would change; a picture in a page has none.
function withoutCounts(svg: string): string {
  return svg
    .replaceAll(/ class="zr\d+-cls-\d+"/g, "")
    .replaceAll(/<style\s*>.*?<\/style>/gs, "")
    .replaceAll(/\bzr\d+-/g, "zr-");
}
