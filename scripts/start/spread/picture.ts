import { init, type EChartsOption, type LineSeriesOption } from "echarts";
import {
  formatCount,
  formatSkew,
  ratesOf,
  requestsOf,
  secondsOf,
  skewOf,
  spreadHead,
  spreadRows,
  tenantsOf,
  type Mode,
  type Part,
} from "./spread";

/** Okabe and Ito's colours, which the colour-blind tell apart. */
const MODE_COLOURS: Readonly<Record<Mode, string>> = { L4: "#d55e00", L7: "#0072b2" };
const SERVER_COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7"];
const TEXT = "#333333";
const WIDTH = 960;
const COLUMN_WIDTH = 400;
const COLUMN_LEFTS = [60, 530];
// Widths of texts are guessed without a document: there has to be room.
const LEGEND = { top: 0, left: COLUMN_LEFTS[0] ?? 0, itemGap: 40 };
const WORDS: Readonly<Record<Mode, string>> = {
  L4: "L4: connections are balanced",
  L7: "L7: requests are balanced",
};

function draw(option: EChartsOption, height: number): string {
  // Without a document: the library writes the SVG as text.
  const chart = init(null, null, { renderer: "svg", ssr: true, width: WIDTH, height });
  try {
    chart.setOption({
      animation: false,
      backgroundColor: "#ffffff",
      textStyle: { fontFamily: "system-ui, sans-serif", color: TEXT },
      ...option,
    });
    return chart.renderToSVGString();
  } finally {
    // Else it would keep this process alive.
    chart.dispose();
  }
}

const sum = (counts: readonly number[]): number => counts.reduce((all, count) => all + count, 0);

function sharesOf(part: Part, tenant: string): readonly number[] {
  const counts = Object.values(requestsOf(part)[tenant] ?? {});
  return counts.map((count) => (100 * count) / sum(counts));
}

/** SVG: which share of a tenant's requests each of its API servers got, in L4 and in L7. */
export function drawShares(l4: Part, l7: Part): string {
  const tenants = tenantsOf(l4);
  const height = 320;
  const names = (tenant: string): readonly string[] => Object.keys(requestsOf(l4)[tenant] ?? {});
  return draw(
    {
      title: tenants.map((tenant, index) => ({
        text: tenant,
        subtext: `max/mean: ${[l4, l7]
          .map((part) => `${formatSkew(skewOf(sharesOf(part, tenant)))} in ${part.mode}`)
          .join(", ")}`,
        left: COLUMN_LEFTS[index] ?? 0,
        top: 28,
        textStyle: { fontSize: 15 },
      })),
      legend: { ...LEGEND, data: Object.values(WORDS) },
      grid: tenants.map((_, index) => ({
        left: COLUMN_LEFTS[index] ?? 0,
        width: COLUMN_WIDTH,
        top: 90,
        height: height - 120,
      })),
      xAxis: tenants.map((tenant, gridIndex) => ({
        type: "category",
        gridIndex,
        data: [...names(tenant)],
        axisTick: { show: false },
      })),
      yAxis: tenants.map((_, gridIndex) => ({
        type: "value",
        gridIndex,
        max: 100,
        axisLabel: { formatter: "{value} %" },
      })),
      series: tenants.flatMap((tenant, index) =>
        [l4, l7].map((part) => ({
          type: "bar" as const,
          name: WORDS[part.mode],
          xAxisIndex: index,
          yAxisIndex: index,
          itemStyle: { color: MODE_COLOURS[part.mode] },
          data: sharesOf(part, tenant).map((share) => Number(share.toFixed(1))),
          label: { show: true, position: "top" as const, formatter: "{c} %", fontSize: 11 },
          markLine: {
            silent: true,
            symbol: "none",
            lineStyle: { color: TEXT, type: "dashed" as const, width: 1 },
            label: { show: false },
            data: [{ yAxis: 100 / names(tenant).length }],
          },
        })),
      ),
    },
    height,
  );
}

const ROW_HEIGHT = 200;
const ROW_TOP = 70;
const TICK_SECONDS = 2;
/** Lines that lie on each other are all seen. */
const LINE_WIDTHS = [6, 3.5, 1.5];

/** SVG: requests per second of each API server, tenant by tenant, in L4 (left) and in L7 (right). */
export function drawRates(l4: Part, l7: Part): string {
  const cells = tenantsOf(l4).flatMap((tenant, row) =>
    [l4, l7].map((part, column) => ({ tenant, row, part, column })),
  );
  const highest = Math.max(
    ...[l4, l7].flatMap(({ samples }) => ratesOf(samples).flatMap(({ requests }) => requests)),
  );
  const step = 10 ** Math.floor(Math.log10(Math.max(highest, 1)));
  const max = Math.ceil(highest / step) * step;
  const top = (row: number): number => ROW_TOP + row * ROW_HEIGHT;
  return draw(
    {
      color: SERVER_COLOURS,
      title: cells.map(({ tenant, row, part, column }) => ({
        text: `${tenant}, ${part.mode}: requests per second`,
        left: COLUMN_LEFTS[column] ?? 0,
        top: top(row) - 32,
        textStyle: { fontSize: 13 },
      })),
      legend: LEGEND,
      grid: cells.map(({ row, column }) => ({
        left: COLUMN_LEFTS[column] ?? 0,
        width: COLUMN_WIDTH,
        top: top(row),
        height: ROW_HEIGHT - 70,
      })),
      xAxis: cells.map(({ part }, gridIndex) => ({
        type: "value",
        gridIndex,
        max: TICK_SECONDS * Math.ceil(secondsOf(part) / TICK_SECONDS),
        interval: TICK_SECONDS,
        axisLabel: { formatter: "{value} s" },
        splitLine: { show: false },
      })),
      yAxis: cells.map((_, gridIndex) => ({ type: "value", gridIndex, min: 0, max })),
      series: cells.flatMap(({ tenant, part }, cell) => linesOf(part, tenant, cell)),
    },
    ROW_TOP + tenantsOf(l4).length * ROW_HEIGHT,
  );
}

function linesOf(part: Part, tenant: string, cell: number): LineSeriesOption[] {
  const rates = ratesOf(part.samples);
  const own = part.servers
    .map((server, index) => ({ server, index }))
    .filter(({ server }) => server.tenant === tenant);
  return own.map(({ server, index }, place) => ({
    type: "line",
    name: server.name,
    xAxisIndex: cell,
    yAxisIndex: cell,
    showSymbol: false,
    lineStyle: { width: LINE_WIDTHS[place] ?? 1 },
    data: rates.map(({ atMs, requests }) => [
      Number((atMs / 1_000).toFixed(2)),
      Math.round(requests[index] ?? 0),
    ]),
  }));
}

const escape = (text: string): string =>
  text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");

function htmlTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const row = (tag: "th" | "td", cells: readonly string[]): string =>
    `<tr>${cells.map((cell) => `<${tag}>${escape(cell)}</${tag}>`).join("")}</tr>`;
  return ["<table>", row("th", head), ...rows.map((cells) => row("td", cells)), "</table>"].join(
    "\n",
  );
}

const STYLE = `body { font-family: system-ui, sans-serif; color: ${TEXT}; background: #ffffff; max-width: ${WIDTH}px; margin: 2rem auto; padding: 0 1rem }
svg { max-width: 100%; height: auto }
table { border-collapse: collapse; margin: 1rem 0 }
th, td { text-align: right; padding: 0.2rem 0.8rem; border-bottom: 1px solid #dddddd }
th:nth-child(-n + 2), td:nth-child(-n + 2) { text-align: left }`;

/** One HTML file with everything in it: both pictures and the table. It needs no network and no script. */
export function htmlPage(l4: Part, l7: Part): string {
  const failed = sum([l4, l7].flatMap(({ clients }) => clients.map((client) => client.failed)));
  const seconds = Math.round(secondsOf(l7));
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>Requests per API server, in L4 and in L7</title>
<style>${STYLE}</style>
</head>
<body>
<h1>Requests per API server, in L4 and in L7</h1>
<p>The same load twice: a few clients of each tenant with long-lived HTTP/2 connections, one of them busy, ${seconds} s in each mode; counted by the API servers themselves (apiserver_request_total). ${formatCount(failed)} requests failed. The dashed line is an even share.</p>
<figure role="img" aria-label="Each API server's share of the requests">
${drawShares(l4, l7)}
</figure>
<figure role="img" aria-label="Requests per second of each API server">
${drawRates(l4, l7)}
</figure>
${htmlTable(spreadHead, spreadRows(l4, l7))}
</body>
</html>
`;
}
