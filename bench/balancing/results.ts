import { estimate, estimateRatio } from "../framework/statistics";
import type { Chart, Figure, PartResult } from "../framework/part";
import type { Consumption } from "./consumption";
import type { Mode } from "./configuration";
import type { Spread } from "./scenes";
import type { Shape } from "./shapes";
import { WAYS, type RequestCost, type Speed, type Way } from "./speed";
import { skewOf, sumOf, type PerServer } from "./spread";

/** What was measured, as figures and charts. */

const skewGoal = { atMost: 1.05 } as const;
const throughputGoal = { atLeast: 0.7 } as const;
const mebibyte = 1024 ** 2;

/** How requests of one shape spread, run by run. */
export interface SpreadRuns {
  /** As a chart calls it: the mode, and what is special about it. */
  readonly series: string;
  readonly mode: Mode;
  readonly when: "steady" | "30 s after a restart";
  readonly shape: Shape;
  readonly runs: readonly Spread[];
}

/** Figures and a chart of how requests spread. */
export function spreadResult(all: readonly SpreadRuns[]): PartResult {
  return {
    figures: all.map(skewFigure),
    charts: [
      skewChart(all, { name: "skew", title: "How evenly requests spread", when: "steady" }),
      skewChart(all, {
        name: "skew-after-restart",
        title: "How evenly requests spread 30 s after one API server was restarted",
        when: "30 s after a restart",
      }),
    ].filter(({ series }) => series.length > 0),
  };
}

function skewsOf({ runs }: SpreadRuns): readonly number[] {
  return runs.map(({ skew }) => skew);
}

function skewFigure(one: SpreadRuns): Figure {
  const { series, mode, when, shape, runs } = one;
  const worst = runs.reduce((a, b) => (b.skew > a.skew ? b : a));
  const failed = sumOf(runs.map(({ failedRequests }) => failedRequests));
  return {
    name: `requests, ${series}, ${shape.name}${when === "steady" ? "" : `, ${when}`}`,
    unit: "max/mean",
    ...estimate(skewsOf(one)),
    ...(mode === "L7" ? { goal: skewGoal } : {}),
    note: `worst run ${worst.requests.join(" / ")}${failed === 0 ? "" : `; ${failed} requests failed`}`,
  };
}

function skewChart(
  all: readonly SpreadRuns[],
  { name, title, when }: Pick<Chart, "name" | "title"> & Pick<SpreadRuns, "when">,
): Chart {
  const shown = all.filter((one) => one.when === when);
  const names = [...new Set(shown.map(({ series }) => series))];
  return {
    name,
    title,
    kind: "bars",
    xLabel: "clients",
    yLabel: "requests of the busiest API server / mean",
    series: names.map((series) => ({
      name: series,
      points: shown
        .filter((one) => one.series === series)
        .map((one) => ({ x: one.shape.name, ...pointOf(estimate(skewsOf(one))) })),
    })),
  };
}

interface Point {
  readonly y: number;
  readonly low?: number;
  readonly high?: number;
}

function pointOf({ value, interval }: Pick<Figure, "value" | "interval">): Point {
  return interval === undefined ? { y: value } : { y: value, low: interval[0], high: interval[1] };
}

type SpeedRounds = readonly Readonly<Record<Way, Speed>>[];

const PROGRAMS: readonly (readonly [of: keyof RequestCost, name: string])[] = [
  ["client", "client"],
  ["gateway", "gateway (Envoy)"],
  ["apiServers", "API servers"],
  ["etcd", "etcd"],
  ["rest", "all else on the machine"],
];

/** Figures and charts of throughput and latency. */
export function speedResult(rounds: SpeedRounds): PartResult {
  const of = (way: Way, read: (speed: Speed) => number): readonly number[] =>
    rounds.map((round) => read(round[way]));
  const each = (name: string, unit: string, read: (speed: Speed) => number): readonly Figure[] =>
    WAYS.map((way) => ({ name: `${name}, ${way}`, unit, ...estimate(of(way, read)) }));
  const ratio = (name: string, way: Way, read: (speed: Speed) => number): Figure => ({
    name: `${name}, ${way} / direct`,
    unit: "ratio",
    ...estimateRatio(of(way, read), of("direct", read)),
  });
  const rate = (speed: Speed): number => speed.requestsPerSecond;
  const p50 = ({ serial }: Speed): number => serial.p50Ms;
  const p99 = ({ serial }: Speed): number => serial.p99Ms;
  const figures: readonly Figure[] = [
    { ...ratio("requests per second", "L7", rate), goal: throughputGoal },
    ratio("requests per second", "L4", rate),
    ...each("requests per second", "requests/s", rate),
    ratio("one request at a time, p50", "L7", p50),
    ratio("one request at a time, p50", "L4", p50),
    ...each("one request at a time, p50", "ms", p50),
    ...each("one request at a time, p99", "ms", p99),
    ...WAYS.flatMap((way) =>
      PROGRAMS.map(([part, name]) => ({
        name: `CPU per request, ${way}, ${name}`,
        unit: "µs",
        ...estimate(of(way, ({ cost }) => cost[part])),
      })),
    ),
    ...each("idle share of the machine at full load", "share", ({ idleShare }) => idleShare),
  ];
  return { figures, charts: speedCharts(rounds) };
}

function speedCharts(rounds: SpeedRounds): readonly Chart[] {
  const points = (read: (speed: Speed) => number) =>
    WAYS.map((way) => ({ x: way, ...pointOf(estimate(rounds.map((round) => read(round[way])))) }));
  const bars = { kind: "bars", xLabel: "way to the API servers" } as const;
  return [
    {
      ...bars,
      name: "throughput",
      title: "Requests per second, client, gateway and API servers on the same cores",
      yLabel: "requests/s",
      series: [{ name: "24 requests at once", points: points((speed) => speed.requestsPerSecond) }],
    },
    {
      ...bars,
      name: "latency",
      title: "Latency of one request at a time",
      yLabel: "ms",
      series: [
        { name: "p50", points: points(({ serial }) => serial.p50Ms) },
        { name: "p99", points: points(({ serial }) => serial.p99Ms) },
      ],
    },
    {
      ...bars,
      name: "cost",
      title: "CPU time per request at full load, by program",
      yLabel: "µs",
      series: PROGRAMS.map(([part, name]) => ({ name, points: points(({ cost }) => cost[part]) })),
    },
  ];
}

/** What the API servers used in each mode. */
export type ConsumptionByMode = Readonly<Record<Mode, readonly Consumption[]>>;

/** Figures and pictures of what each API server uses: L4 first, then L7. */
export function consumptionResult(by: ConsumptionByMode): PartResult {
  const L4 = totalsOf(by.L4);
  const L7 = totalsOf(by.L7);
  const what = "one hot controller among quiet ones";
  const exact = (name: string, unit: string, value: number): Figure => ({ name, unit, value });
  return {
    figures: [
      exact(`CPU of the API servers, L4, ${what}`, "max/mean", skewOf(L4.cores)),
      exact(`CPU of the API servers, L7, ${what}`, "max/mean", skewOf(L7.cores)),
      exact(`CPU of the busiest API server, L4, ${what}`, "cores", Math.max(...L4.cores)),
      exact(`CPU of the busiest API server, L7, ${what}`, "cores", Math.max(...L7.cores)),
      exact(`CPU of all API servers, L7 / L4, ${what}`, "ratio", sumOf(L7.cores) / sumOf(L4.cores)),
      exact(`memory of the largest API server, L4, ${what}`, "MiB", Math.max(...L4.mebibytes)),
      exact(`memory of the largest API server, L7, ${what}`, "MiB", Math.max(...L7.mebibytes)),
    ],
    charts: [
      timeline(by, {
        name: "cpu",
        title: "CPU of each API server",
        yLabel: "busy cores",
        read: ({ cores }) => cores,
      }),
      timeline(by, {
        name: "memory",
        title: "Memory of each API server",
        yLabel: "MiB resident",
        read: mebibytesOf,
      }),
    ],
  };
}

function mebibytesOf({ residentBytes }: Consumption): PerServer {
  return residentBytes.map((bytes) => bytes / mebibyte);
}

function totalsOf(samples: readonly Consumption[]): { cores: PerServer; mebibytes: PerServer } {
  const indexes = samples[0]?.cores.map((_, index) => index) ?? [];
  const last = samples.at(-1);
  return {
    // Intervals are alike, so the mean over them is that over time.
    cores: indexes.map(
      (index) => sumOf(samples.map(({ cores }) => cores[index] ?? 0)) / samples.length,
    ),
    mebibytes: last === undefined ? [] : mebibytesOf(last),
  };
}

function timeline(
  { L4, L7 }: ConsumptionByMode,
  picture: Pick<Chart, "name" | "title" | "yLabel"> & {
    readonly read: (sample: Consumption) => PerServer;
  },
): Chart {
  const { name, title, yLabel, read } = picture;
  const switchSeconds = L4.at(-1)?.seconds ?? 0;
  const all = [
    ...L4,
    ...L7.map((sample) => ({ ...sample, seconds: switchSeconds + sample.seconds })),
  ];
  const servers = all[0] === undefined ? [] : read(all[0]).map((_, index) => index);
  return {
    name,
    title: `${title} under one hot controller: L4 for ${switchSeconds.toFixed(0)} s, then L7`,
    kind: "lines",
    xLabel: "s",
    yLabel,
    series: servers.map((index) => ({
      name: `kube-apiserver-${index}`,
      points: all.map((sample) => ({ x: sample.seconds, y: read(sample)[index] ?? 0 })),
    })),
  };
}
