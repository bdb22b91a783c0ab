import type { Chart, Figure, PartResult } from "../framework/part";
import { estimate, estimateRatio, growthExponent, type Estimate } from "../framework/statistics";
import type { Arrival } from "./fleet";
import type { Holdings } from "./side";

/** The sides, as they are measured in turns. */
export const SIDES = ["fairlead", "Gardener's way"] as const;
export type SideName = (typeof SIDES)[number];

/** What was measured while a gateway served so many control planes. */
export interface SizeResult {
  readonly controlPlanes: number;
  readonly rounds: readonly Readonly<Record<SideName, Arrival>>[];
  readonly holdings: Readonly<Record<SideName, Holdings>>;
}

const mebibyte = 1024 ** 2;
const kibibyte = 1024;
const goal = { atMost: 1 } as const;

/** What a new control plane costs, or what is held for all of them. */
interface Subject<Measured> {
  /** In figures. */
  readonly name: string;
  readonly unit: string;
  readonly of: (measured: Measured) => number;
  /** What has figures of each side, and a chart in a file of this name; of others there is the ratio alone. */
  readonly chart?: string;
}

const COSTS: readonly Subject<Arrival>[] = [
  { name: "new host served", chart: "served", unit: "ms", of: ({ servedMs }) => servedMs },
  {
    name: "istiod's time to generate and push, per new host",
    chart: "push",
    unit: "ms",
    of: ({ pushMs }) => pushMs,
  },
  {
    name: "configuration pushed, per new host",
    chart: "pushed",
    unit: "KiB",
    of: ({ pushedBytes }) => pushedBytes / kibibyte,
  },
  {
    name: "convergence of the gateway, per push",
    unit: "ms",
    of: ({ convergenceMs, convergences }) => convergenceMs / convergences,
  },
  { name: "CPU of istiod, per new host", unit: "ms", of: ({ istiodCpuMs }) => istiodCpuMs },
  { name: "CPU of the gateway, per new host", unit: "ms", of: ({ gatewayCpuMs }) => gatewayCpuMs },
];

const HOLDINGS: readonly Subject<Holdings>[] = [
  {
    name: "configuration of the gateway (/config_dump)",
    chart: "config-dump",
    unit: "MiB",
    of: ({ configDump }) => configDump / mebibyte,
  },
  {
    name: "memory that Envoy has allocated (/memory)",
    chart: "gateway-memory",
    unit: "MiB",
    of: ({ gatewayAllocated }) => gatewayAllocated / mebibyte,
  },
  {
    name: "resident memory of istiod",
    unit: "MiB",
    of: ({ istiodResident }) => istiodResident / mebibyte,
  },
];

const [ours, theirs] = SIDES;

function samplesOf(
  { rounds }: SizeResult,
  side: SideName,
  { of }: Subject<Arrival>,
): readonly number[] {
  return rounds.map((round) => of(round[side]));
}

/** The ratio, and what stands behind it. */
function comparison(
  { name, unit, chart }: Pick<Subject<never>, "name" | "unit" | "chart">,
  controlPlanes: number,
  numbers: Readonly<Record<SideName | "ratio", Estimate>>,
): readonly Figure[] {
  const at = `at ${controlPlanes} control planes`;
  const said = SIDES.map((side) => `${numbers[side].value.toFixed(1)} ${unit}`).join(" against ");
  const ratio: Figure = {
    name: `${name}, ${at}, ${ours} / ${theirs}`,
    unit: "ratio",
    ...numbers.ratio,
    goal,
    note: said,
  };
  if (chart === undefined) return [ratio];
  return [
    ratio,
    ...SIDES.map((side) => ({ name: `${name}, ${at}, ${side}`, unit, ...numbers[side] })),
  ];
}

function costFigures(size: SizeResult, cost: Subject<Arrival>): readonly Figure[] {
  const [mine, others] = [samplesOf(size, ours, cost), samplesOf(size, theirs, cost)];
  return comparison(cost, size.controlPlanes, {
    [ours]: estimate(mine),
    [theirs]: estimate(others),
    ratio: estimateRatio(mine, others),
  });
}

function holdingFigures(
  { controlPlanes, holdings }: SizeResult,
  holding: Subject<Holdings>,
): readonly Figure[] {
  const [mine, others] = [holding.of(holdings[ours]), holding.of(holdings[theirs])];
  return comparison(holding, controlPlanes, {
    [ours]: { value: mine },
    [theirs]: { value: others },
    ratio: { value: mine / others },
  });
}

/** How a cost grows with the number of control planes. */
function growthFigures(sizes: readonly SizeResult[], cost: Subject<Arrival>): readonly Figure[] {
  if (cost.chart === undefined) return [];
  return SIDES.map((side) => ({
    name: `${cost.name}, exponent of its growth, ${side}`,
    unit: "exponent",
    value: growthExponent(
      sizes.map((size) => ({
        x: size.controlPlanes,
        y: estimate(samplesOf(size, side, cost)).value,
      })),
    ),
    note: "0: it does not grow; 1: as the control planes do",
  }));
}

const axes = { kind: "lines", xLabel: "control planes", log: { x: true, y: true } } as const;

function costChart(sizes: readonly SizeResult[], cost: Subject<Arrival>): readonly Chart[] {
  if (cost.chart === undefined) return [];
  const seriesOf = (side: SideName) => ({
    name: side,
    points: sizes.map((size) => {
      const { value, interval } = estimate(samplesOf(size, side, cost));
      const [low = value, high = value] = interval ?? [];
      return { x: size.controlPlanes, y: value, low, high };
    }),
  });
  return [
    {
      ...axes,
      name: cost.chart,
      title: titleOf(cost),
      yLabel: cost.unit,
      series: SIDES.map(seriesOf),
    },
  ];
}

function holdingChart(sizes: readonly SizeResult[], holding: Subject<Holdings>): readonly Chart[] {
  if (holding.chart === undefined) return [];
  const seriesOf = (side: SideName) => ({
    name: side,
    points: sizes.map(({ controlPlanes, holdings }) => ({
      x: controlPlanes,
      y: holding.of(holdings[side]),
    })),
  });
  return [
    {
      ...axes,
      name: holding.chart,
      title: titleOf(holding),
      yLabel: holding.unit,
      series: SIDES.map(seriesOf),
    },
  ];
}

const titleOf = ({ name }: { readonly name: string }): string =>
  `${name.charAt(0).toUpperCase()}${name.slice(1)}`;

/** Figures and charts of what was measured, from the smallest size to the largest. */
export function istioResult(sizes: readonly SizeResult[]): PartResult {
  return {
    figures: [
      ...sizes.flatMap((size) => [
        ...COSTS.flatMap((cost) => costFigures(size, cost)),
        ...HOLDINGS.flatMap((holding) => holdingFigures(size, holding)),
      ]),
      ...COSTS.flatMap((cost) => growthFigures(sizes, cost)),
    ],
    charts: [
      ...COSTS.flatMap((cost) => costChart(sizes, cost)),
      ...HOLDINGS.flatMap((holding) => holdingChart(sizes, holding)),
    ],
  };
}
