import type { Chart, Figure, Goal } from "../framework/part";
import {
  estimate,
  estimateRatio,
  estimateRounds,
  quantile,
  type Estimate,
} from "../framework/statistics";
import type { Latencies, SceneName, ServerName } from "./measure";
import type { Variant } from "./stage";

/** What the variants gave in one round. */
export type Round = Readonly<Record<Variant, Latencies>>;

/** Requests per second of the webhooks' own servers in one round. */
export type DirectRound = Readonly<Record<ServerName, number>>;

const QUANTILES = { p50: 0.5, p99: 0.99 } as const;
type QuantileName = keyof typeof QUANTILES;

const SCENE_NAMES: Readonly<Record<SceneName, string>> = {
  "routed serial": "routed Pod, one at a time",
  "routed parallel": "routed Pod, 16 in flight",
  "other serial": "other Pod, one at a time",
  "other parallel": "other Pod, 16 in flight",
  "kept serial": "routed Pod, kept, one at a time",
};
/** What a variant is called where it is read. */
export const VARIANT_NAMES = {
  none: "no webhook",
  control: "no webhook, again",
  fairlead: "fairlead",
  peer: "Go peer",
  policies: "fairlead's policies",
} as const satisfies Record<Variant, string>;

/** What is added to the time that a Pod takes without a webhook, by who adds it. */
const ADDING = ["fairlead", "peer", "policies"] as const;
const SERVERS = ["fairlead", "peer"] as const;

const GOALS = { fairlead: { atMost: 1.2 }, policies: { atMost: 1 } } as const satisfies Record<
  string,
  Goal
>;
/** Two percent of noise either way are seen between equals; what is within five is not told from no webhook at all. */
const SAME_GOAL: Goal = { atMost: 1.05 };

/** One figure's place: what is created how, and which quantile is meant. */
interface Place {
  readonly scene: SceneName;
  readonly share: QuantileName;
}

function placesOf(...scenes: readonly SceneName[]): readonly Place[] {
  return scenes.flatMap((scene) => (["p50", "p99"] as const).map((share) => ({ scene, share })));
}

/** A quantile over all rounds: a round alone has too few samples for p99. */
function over(rounds: readonly Round[], variant: Variant, { scene, share }: Place): number {
  return quantile(
    rounds.flatMap((round) => round[variant][scene]),
    QUANTILES[share],
  );
}

function added(rounds: readonly Round[], variant: Variant, place: Place): number {
  return over(rounds, variant, place) - over(rounds, "none", place);
}

/** Single rounds say nothing where a difference may be zero; the interval is what tells. */
function withoutSamples({ value, interval }: Estimate): Pick<Figure, "value" | "interval"> {
  return interval === undefined ? { value } : { value, interval };
}

function estimateOver(rounds: readonly Round[], statistic: (some: Round[]) => number) {
  return withoutSamples(estimateRounds(rounds, statistic, { resamples: 1_000 }));
}

function nameOf({ scene, share }: Place, what: string): string {
  return `${SCENE_NAMES[scene]}, ${share}: ${what}`;
}

function routedFigures(rounds: readonly Round[]): readonly Figure[] {
  return placesOf("routed serial", "routed parallel", "kept serial").flatMap((place) => {
    const name = (what: string): string => nameOf(place, what);
    return [
      {
        name: name("no webhook"),
        unit: "ms",
        ...estimateOver(rounds, (some) => over(some, "none", place)),
      },
      ...ADDING.map((variant) => ({
        name: name(`added by ${VARIANT_NAMES[variant]}`),
        unit: "ms",
        ...estimateOver(rounds, (some) => added(some, variant, place)),
      })),
      ...(["fairlead", "policies"] as const).map((variant) => ({
        name: name(`added by ${VARIANT_NAMES[variant]} / added by Go peer`),
        unit: "ratio",
        // Of Pods that are kept there are too few for a goal; they show that the dry runs tell the truth.
        ...(place.scene === "kept serial" ? {} : { goal: GOALS[variant] }),
        ...estimateOver(rounds, (some) => added(some, variant, place) / added(some, "peer", place)),
      })),
    ];
  });
}

function otherFigures(rounds: readonly Round[]): readonly Figure[] {
  return placesOf("other serial", "other parallel").flatMap((place) => {
    const name = (what: string): string => nameOf(place, what);
    const ratio = (variant: Variant): Pick<Figure, "value" | "interval"> =>
      estimateOver(rounds, (some) => over(some, variant, place) / over(some, "none", place));
    return [
      ...(["fairlead", "policies"] as const).map((variant) => ({
        name: name(`${VARIANT_NAMES[variant]} / no webhook`),
        unit: "ratio",
        ...(place.share === "p50" ? { goal: SAME_GOAL } : {}),
        ...ratio(variant),
      })),
      {
        name: name("no webhook, again / no webhook"),
        unit: "ratio",
        ...ratio("control"),
        note: "what the same thing differs by, measured twice",
      },
      ...ADDING.map((variant) => {
        const difference = estimateOver(rounds, (some) => added(some, variant, place));
        return {
          name: name(`added by ${VARIANT_NAMES[variant]}`),
          unit: "ms",
          ...difference,
          note: noteOf(difference),
        };
      }),
    ];
  });
}

/** Whether a difference can be told from none. */
function noteOf({ interval: [low, high] = [0, 0] }: Pick<Figure, "interval">): string {
  return low <= 0 && high >= 0 ? "not told from no webhook" : "told from no webhook";
}

function directFigures(rounds: readonly DirectRound[]): readonly Figure[] {
  const of = (server: ServerName): readonly number[] => rounds.map((round) => round[server]);
  return [
    ...SERVERS.map((server) => ({
      name: `webhook's server alone, 16 in flight: ${VARIANT_NAMES[server]}`,
      unit: "requests/s",
      ...estimate(of(server)),
    })),
    {
      name: "webhook's server alone, 16 in flight: fairlead / Go peer",
      unit: "ratio",
      ...estimateRatio(of("fairlead"), of("peer")),
    },
  ];
}

/** All figures. */
export function figuresOf(
  rounds: readonly Round[],
  directRounds: readonly DirectRound[],
): readonly Figure[] {
  return [...routedFigures(rounds), ...otherFigures(rounds), ...directFigures(directRounds)];
}

function point(x: string, { value, interval }: Figure) {
  const [low, high] = interval ?? [value, value];
  return { x, y: value, low, high };
}

function latencyChart(figures: readonly Figure[], name: string, scene: SceneName): Chart {
  return {
    name,
    title: `Added to the creation: ${SCENE_NAMES[scene]}`,
    kind: "bars",
    xLabel: "who routes it",
    yLabel: "added latency (ms)",
    series: (["p50", "p99"] as const).map((share) => ({
      name: share,
      points: ADDING.flatMap((variant) => {
        const wanted = nameOf({ scene, share }, `added by ${VARIANT_NAMES[variant]}`);
        return figures
          .filter((figure) => figure.name === wanted)
          .map((figure) => point(VARIANT_NAMES[variant], figure));
      }),
    })),
  };
}

/** Where the time of fairlead's admission process goes, as shares. */
export type Shares = readonly (readonly [place: string, share: number])[];

/** The charts of the figures, and of where the time goes. */
export function chartsOf(figures: readonly Figure[], shares: Shares): readonly Chart[] {
  return [
    latencyChart(figures, "added-serial", "routed serial"),
    latencyChart(figures, "added-parallel", "routed parallel"),
    {
      name: "time",
      title: "Where fairlead's admission process spends its time on routed Pods",
      kind: "bars",
      xLabel: "part",
      yLabel: "share of the time it is not idle (%)",
      series: [
        { name: "share", points: shares.map(([place, share]) => ({ x: place, y: 100 * share })) },
      ],
    },
  ];
}

/** The shares as figures. */
export function shareFigures(shares: Shares): readonly Figure[] {
  return shares.map(([place, share]) => ({
    name: `fairlead's time on a routed Pod: ${place}`,
    unit: "%",
    value: 100 * share,
  }));
}
