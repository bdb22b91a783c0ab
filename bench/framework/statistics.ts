import {
  errorFunction,
  linearRegression,
  median,
  quantile as quantileOf,
  quantileSorted,
  sampleWithReplacement,
  shuffle,
} from "simple-statistics";
import { randomFrom } from "../../test/harness/random";
import type { Figure } from "./part";

/** The numbers of a figure: `{ name, unit, goal, ...estimate(samples) }` is one. */
export type Estimate = Pick<Figure, "value" | "interval" | "samples">;

/** How an interval is drawn; the defaults do for every part. */
export interface BootstrapOptions {
  /** The same seed gives the same interval; default 1. */
  readonly seed?: number;
  /** Default 2,000. */
  readonly resamples?: number;
}

/** The normal distribution's quantile at 97.5 %. */
const Z = 1.959964;

/**
 * A quantile of samples, between neighbours by interpolation (type 7, the default of R and numpy).
 * @param share From 0 to 1: 0.5 is the median, 0.99 is p99.
 * @throws {RangeError} where there are no samples, or one is no finite number: a measurement that failed is no figure.
 */
export function quantile(samples: readonly number[], share: number): number {
  requireNumbers(samples);
  return quantileOf([...samples], share);
}

/**
 * The median over what the rounds gave, with its 95 % interval. The usual way to a figure: every round gives one number
 * (its own p50, its own ratio), and the rounds' spread is the figure's.
 * @param samples One a round, in their order; take five rounds or more, since the interval of fewer can't be trusted. A
 *   single one has no interval.
 * @example
 * const rounds = await interleave({ rounds: 7, variants: { fairlead: measureOurs, peer: measureTheirs } });
 * const ratio = estimate(rounds.map(({ fairlead, peer }) => quantile(fairlead, 0.99) / quantile(peer, 0.99)));
 * return { name: "p99, fairlead / peer", unit: "ratio", goal: { atMost: 1.2 }, ...ratio };
 * @throws {RangeError} where there are no samples, or one is no finite number.
 */
export function estimate(samples: readonly number[], options: BootstrapOptions = {}): Estimate {
  requireNumbers(samples);
  return estimateRounds(samples, median, options);
}

/**
 * The median of the rounds' own ratios, with its 95 % interval: what a drift of the machine does to both sides of a round
 * cancels out.
 * @param numerators One a round.
 * @param denominators Of the same rounds, in the same order.
 * @throws {RangeError} where the lengths differ, or a ratio is no finite number.
 */
export function estimateRatio(
  numerators: readonly number[],
  denominators: readonly number[],
  options: BootstrapOptions = {},
): Estimate {
  if (numerators.length !== denominators.length) {
    throw new RangeError(`${numerators.length} rounds are compared with ${denominators.length}`);
  }
  return estimate(
    numerators.map((numerator, index) => numerator / (denominators[index] ?? Number.NaN)),
    options,
  );
}

/**
 * A quantile over samples that were taken one by one, without rounds, with its 95 % interval. The samples themselves are
 * not kept in the figure: they are too many.
 * @throws {RangeError} where there are no samples, or one is no finite number.
 */
export function estimateQuantile(
  samples: readonly number[],
  share: number,
  options: BootstrapOptions = {},
): Omit<Estimate, "samples"> {
  requireNumbers(samples);
  const of = (some: readonly number[]): number => quantileOf([...some], share);
  const interval = intervalOf(samples, of, options);
  return { value: of(samples), ...(interval === undefined ? {} : { interval }) };
}

/**
 * Any statistic over rounds, with its 95 % interval, for what can't be said of one round alone: a ratio of differences
 * whose denominator may come near zero, say.
 * @param rounds What each round gave: numbers, or several variants' results, as `interleave` returns them.
 * @param statistic From some rounds (drawn with replacement, in any order) to the figure; called thousands of times.
 * @example
 * estimateRounds(rounds, (some) => {
 *   const [none, ours, theirs] = (["none", "fairlead", "peer"] as const).map((of) => quantile(some.flatMap((round) => round[of]), 0.5));
 *   return (ours - none) / (theirs - none);
 * });
 * @returns `samples` is the statistic of each round by itself.
 * @throws {RangeError} where there are no rounds, or the statistic gives no finite number.
 */
export function estimateRounds<Round>(
  rounds: readonly Round[],
  statistic: (rounds: Round[]) => number,
  options: BootstrapOptions = {},
): Estimate {
  const value = statistic([...rounds]);
  requireNumbers([value]);
  const interval = intervalOf(rounds, statistic, options);
  return {
    value,
    samples: rounds.map((round) => statistic([round])),
    ...(interval === undefined ? {} : { interval }),
  };
}

function requireNumbers(samples: readonly number[]): void {
  if (samples.length === 0) throw new RangeError("there are no samples");
  const bad = samples.find((sample) => !Number.isFinite(sample));
  if (bad !== undefined) throw new RangeError(`a sample is ${bad}`);
}

function intervalOf<Round>(
  rounds: readonly Round[],
  statistic: (rounds: Round[]) => number,
  { seed = 1, resamples = 2_000 }: BootstrapOptions,
): readonly [low: number, high: number] | undefined {
  if (rounds.length < 2) return undefined;
  const random = randomFrom(seed);
  const all = [...rounds];
  const drawn = Array.from({ length: resamples }, () =>
    statistic(sampleWithReplacement(all, all.length, random)),
  ).sort((a, b) => a - b);
  const tail = tailShare(rounds.length);
  return [quantileSorted(drawn, tail), quantileSorted(drawn, 1 - tail)];
}

/**
 * What is cut off at either end of the resamples. A plain 2.5 % makes intervals of few rounds too narrow; this widens them
 * as Student's t does (the expanded percentile interval).
 * @see Hesterberg, "What Teachers Should Know About the Bootstrap", The American Statistician 69 (2015), section 5.3.
 */
function tailShare(count: number): number {
  const reach = Math.sqrt(count / (count - 1)) * studentQuantile(count - 1);
  return (1 - errorFunction(reach / Math.SQRT2)) / 2;
}

/**
 * Student's t at 97.5 %, by its expansion about the normal quantile.
 * @see Abramowitz and Stegun, Handbook of Mathematical Functions, 26.7.5.
 */
export function studentQuantile(degreesOfFreedom: number): number {
  const terms = [
    (Z ** 3 + Z) / 4,
    (5 * Z ** 5 + 16 * Z ** 3 + 3 * Z) / 96,
    (3 * Z ** 7 + 19 * Z ** 5 + 17 * Z ** 3 - 15 * Z) / 384,
  ];
  return terms.reduce((t, term, index) => t + term / degreesOfFreedom ** (index + 1), Z);
}

/** What is measured side by side. */
export interface Interleaving<Variant extends string, Result> {
  /** Five or more, for an interval that can be trusted. */
  readonly rounds: number;
  /** What each variant does in a round; the same work in each. */
  readonly variants: Readonly<Record<Variant, (round: number) => Promise<Result>>>;
  /** Rounds before the first that counts, whose results are thrown away; default 0. */
  readonly warmUpRounds?: number;
  /** Of the order within a round; default 1. */
  readonly seed?: number;
  /** After each round that counts, for progress. */
  onRound?(done: number): void;
}

/**
 * Runs every variant once a round, one after another, so that a ratio is within one run. The order is drawn anew for every
 * other round and turned around in the next, so that neither a drift of the machine nor the place in a round favours one.
 * @returns What the variants gave, round by round.
 * @throws what a variant throws; nothing more is run then.
 */
export async function interleave<Variant extends string, Result>(
  plan: Interleaving<Variant, Result>,
): Promise<readonly Readonly<Record<Variant, Result>>[]> {
  const random = randomFrom(plan.seed ?? 1);
  const warmUpRounds = plan.warmUpRounds ?? 0;
  const names = Object.keys(plan.variants) as Variant[];
  const results: Record<Variant, Result>[] = [];
  let order = names;
  for (let round = 0; round < warmUpRounds + plan.rounds; round += 1) {
    order = round % 2 === 0 ? shuffle(names, random) : [...order].reverse();
    const given = {} as Record<Variant, Result>;
    for (const name of order) given[name] = await plan.variants[name](round - warmUpRounds);
    if (round < warmUpRounds) continue;
    results.push(given);
    plan.onRound?.(results.length);
  }
  return results;
}

/**
 * How a figure grows with a size, from two sizes or more: the exponent of the power law that fits best. 0 is constant, 1
 * linear, 2 quadratic.
 * @param points Sizes and figures, all above zero.
 * @throws {RangeError} where a logarithm can't be taken, or there is one size only.
 */
export function growthExponent(
  points: readonly { readonly x: number; readonly y: number }[],
): number {
  const logs = points.map(({ x, y }): [number, number] => [Math.log(x), Math.log(y)]);
  requireNumbers(logs.flat());
  if (new Set(points.map(({ x }) => x)).size < 2) {
    throw new RangeError("growth is seen over two sizes or more");
  }
  return linearRegression(logs).m;
}
