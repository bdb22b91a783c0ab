import { growthExponent, quantile } from "../framework/statistics";
import type { Chart, Figure, PartResult } from "../framework/part";
import type { ProcessMode } from "../../test/harness/requests";
import type { SizeResult } from "./size-run";

const MODES: readonly ProcessMode[] = ["watch", "admission"];
const CHANGES = {
  certificate: "a certificate renewed",
  spec: "a host added",
} as const;
type ChangeKind = keyof typeof CHANGES;
const CHANGE_KINDS: readonly ChangeKind[] = ["certificate", "spec"];

const mebibytes = (bytes: number): number => bytes / 1024 / 1024;
const rounded = (value: number, digits = 1): number => Number(value.toFixed(digits));
const planes = ({ size, pods }: Pick<SizeResult, "size" | "pods">): string =>
  `${size.toLocaleString("en")} control planes${pods === 0 ? "" : ` of ${pods} Pods`}`;

/** What the issue of a cold start is: its goal is that of the largest size. */
function coldFigures(result: SizeResult, isLargest: boolean): readonly Figure[] {
  const { size, reachedSeconds, readySeconds, coldRequests, coldCpuMs } = result;
  const of = planes(result);
  return [
    {
      name: `cold start until all are Ready, ${of}`,
      value: rounded(reachedSeconds.Ready, 2),
      unit: "s",
      ...(isLargest ? { goal: { atMost: 60 } } : {}),
    },
    {
      name: `cold start until all credentials are copied, ${of}`,
      value: rounded(reachedSeconds.CredentialsSynced, 2),
      unit: "s",
    },
    ...[0.5, 0.99].map((share) => ({
      name: `cold start until one is Ready, p${share * 100}, ${of}`,
      value: rounded(quantile(readySeconds, share), 2),
      unit: "s",
    })),
    {
      name: `requests of a cold start, ${of}`,
      value: rounded(coldRequests.length / size, 2),
      unit: "requests/control plane",
      note: "both processes, until all was quiet",
    },
    ...MODES.map((mode) => ({
      name: `CPU time of a cold start, ${mode}, ${of}`,
      value: rounded(coldCpuMs[mode] / 1000, 2),
      unit: "s",
    })),
    ...(isLargest ? programFigures(result) : []),
  ];
}

/** Whose work the time until all are Ready is. */
function programFigures(result: SizeResult): readonly Figure[] {
  return Object.entries(result.reachedCpuMs).map(([program, ms]) => ({
    name: `CPU time until all are Ready, ${planes(result)}: ${program}`,
    value: rounded(ms / 1000, 1),
    unit: "s",
  }));
}

function restFigures(result: SizeResult): readonly Figure[] {
  const { memory, changes, idlePerMinute } = result;
  const of = planes(result);
  return [
    ...MODES.flatMap((mode): readonly Figure[] => [
      {
        name: `peak resident memory, ${mode}, ${of}`,
        value: rounded(mebibytes(memory[mode].peakBytes)),
        unit: "MiB",
        goal: { atMost: 256 },
      },
      {
        name: `resident memory at the end, ${mode}, ${of}`,
        value: rounded(mebibytes(memory[mode].residentBytes)),
        unit: "MiB",
      },
      {
        name: `idle requests, ${mode}, ${of}`,
        value: rounded(idlePerMinute[mode], 2),
        unit: "requests/min",
        goal: { atMost: 1 },
        note: "without reads of /version, as in `idle`, which watches half an hour",
      },
    ]),
    ...CHANGE_KINDS.flatMap((kind): readonly Figure[] => [
      {
        name: `requests of ${CHANGES[kind]}, ${of}`,
        value: rounded(changes[kind].requests, 2),
        unit: "requests/change",
      },
      {
        name: `CPU time of ${CHANGES[kind]}, ${of}`,
        value: rounded(changes[kind].cpuMs, 2),
        unit: "ms",
        note: "both processes, less what they use at rest",
      },
    ]),
  ];
}

interface Growing {
  readonly name: string;
  readonly of: (result: SizeResult) => number;
}

const growing: readonly Growing[] = [
  { name: "time until all are Ready", of: ({ reachedSeconds }) => reachedSeconds.Ready },
  { name: "requests of a cold start", of: ({ coldRequests }) => coldRequests.length },
  {
    name: "CPU time of a cold start",
    of: ({ coldCpuMs }) => coldCpuMs.admission + coldCpuMs.watch,
  },
  { name: "peak resident memory, watch", of: ({ memory }) => memory.watch.peakBytes },
  { name: "peak resident memory, admission", of: ({ memory }) => memory.admission.peakBytes },
];

/** What grows with the number of control planes, and what must not. */
function growthFigures(results: readonly SizeResult[]): readonly Figure[] {
  const [smallest, largest] = [results[0], results[results.length - 1]];
  if (smallest === undefined || largest === undefined || results.length < 2) return [];
  const more = largest.size - smallest.size;
  const between = `${smallest.size} to ${planes(largest)}`;
  return [
    ...growing.map(
      ({ name, of }): Figure => ({
        name: `growth of ${name}`,
        value: rounded(growthExponent(results.map((each) => ({ x: each.size, y: of(each) }))), 2),
        unit: "exponent",
        goal: { atMost: 1.05 },
        note: `1 is linear; ${between}`,
      }),
    ),
    ...MODES.map(
      (mode): Figure => ({
        name: `resident memory held per control plane, ${mode}`,
        value: rounded(
          (largest.memory[mode].residentBytes - smallest.memory[mode].residentBytes) / more / 1024,
        ),
        unit: "KiB/control plane",
        note: between,
      }),
    ),
    ...CHANGE_KINDS.flatMap((kind) =>
      (["requests", "cpuMs"] as const).map(
        (what): Figure => ({
          name: `${what === "requests" ? "requests" : "CPU time"} of ${CHANGES[kind]}, ${planes(largest)} / ${smallest.size}`,
          value: rounded(largest.changes[kind][what] / smallest.changes[kind][what], 2),
          unit: "ratio",
          goal: { atMost: 1.1 },
        }),
      ),
    ),
  ];
}

interface Line {
  readonly name: string;
  readonly of: (result: SizeResult) => number;
}

function bySize(
  results: readonly SizeResult[],
  chart: Omit<Chart, "kind" | "xLabel" | "series"> & { readonly lines: readonly Line[] },
): Chart {
  const { lines, ...rest } = chart;
  return {
    ...rest,
    kind: "lines",
    xLabel: "control planes",
    series: lines.map(({ name, of }) => ({
      name,
      points: results.map((result) => ({ x: result.size, y: rounded(of(result), 2) })),
    })),
  };
}

/** How many control planes of the largest size were Ready at which time. */
function readyChart(result: SizeResult): Chart {
  const { readySeconds } = result;
  const sorted = [...readySeconds].sort((a, b) => a - b);
  return {
    name: "ready",
    title: `Cold start of ${planes(result)}`,
    kind: "lines",
    xLabel: "time since both processes were started (s)",
    yLabel: "control planes that are Ready",
    series: [
      {
        name: "Ready",
        points: sorted.map((second, index) => ({ x: rounded(second, 2), y: index + 1 })),
      },
    ],
  };
}

function programChart(result: SizeResult): Chart {
  return {
    name: "programs",
    title: `Cores until all of ${planes(result)} are Ready, by program`,
    kind: "bars",
    xLabel: "program",
    yLabel: "CPU time (s)",
    series: [
      {
        name: "CPU time",
        points: Object.entries(result.reachedCpuMs).map(([program, ms]) => ({
          x: program,
          y: rounded(ms / 1000, 1),
        })),
      },
    ],
  };
}

function charts(results: readonly SizeResult[]): readonly Chart[] {
  const largest = results[results.length - 1];
  const log = { x: true, y: true };
  return [
    ...(largest === undefined ? [] : [readyChart(largest), programChart(largest)]),
    bySize(results, {
      name: "convergence",
      title: "Cold start by the number of control planes",
      yLabel: "time (s)",
      log,
      lines: [
        { name: "all Ready", of: ({ reachedSeconds }) => reachedSeconds.Ready },
        { name: "all copied", of: ({ reachedSeconds }) => reachedSeconds.CredentialsSynced },
      ],
    }),
    bySize(results, {
      name: "memory",
      title: "Resident memory by the number of control planes",
      yLabel: "memory (MiB)",
      log: { x: true },
      lines: MODES.flatMap((mode) => [
        { name: `${mode}, peak`, of: ({ memory }) => mebibytes(memory[mode].peakBytes) },
        { name: `${mode}, at the end`, of: ({ memory }) => mebibytes(memory[mode].residentBytes) },
      ]),
    }),
    bySize(results, {
      name: "requests",
      title: "Requests to the API server by the number of control planes",
      yLabel: "requests",
      log,
      lines: [
        { name: "cold start, in all", of: ({ coldRequests }) => coldRequests.length },
        ...CHANGE_KINDS.map((kind) => ({
          name: `for ${CHANGES[kind]}`,
          of: ({ changes }: SizeResult) => changes[kind].requests,
        })),
      ],
    }),
  ];
}

/** Figures and charts of all sizes, from the smallest to the largest. */
export function reportSizes(results: readonly SizeResult[]): PartResult {
  return {
    figures: [
      ...results.flatMap((result, index) => [
        ...coldFigures(result, index === results.length - 1),
        ...restFigures(result),
      ]),
      ...growthFigures(results),
    ],
    charts: charts(results),
  };
}
