import type { Machine, Versions } from "./machine";
import type { Chart, Figure, Goal, PartResult } from "./part";

/** Where and how something was measured. */
export interface Circumstances {
  /** Ends in "-dirty" where files differ from it. */
  readonly commit: string;
  /** RFC 3339. */
  readonly measuredAt: string;
  readonly quick: boolean;
  readonly machine: Machine;
  readonly versions: Versions;
}

/** A figure as `bench/results/latest.json` has it. */
export interface Row extends Circumstances {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly goal: Goal | null;
  /** By the end of the interval that is farther from the goal; null where there is no goal. */
  readonly met: boolean | null;
  readonly part: string;
  /** The ends of the 95 % interval; null for what is exact. */
  readonly low: number | null;
  readonly high: number | null;
  readonly samples?: readonly number[];
  readonly note?: string;
}

/** What is known of a part besides its figures, as `bench/results/parts.json` has it. */
export interface PartRecord extends Circumstances {
  readonly part: string;
  readonly title: string;
  readonly tookSeconds: number;
  readonly charts: readonly Chart[];
}

/** The newest results of all parts. */
export interface Results {
  readonly rows: readonly Row[];
  readonly parts: readonly PartRecord[];
}

/** What a part has come to. */
export interface Measured {
  readonly part: string;
  readonly title: string;
  readonly tookSeconds: number;
  readonly result: PartResult;
}

/** Whether a figure meets its goal with all of its interval; null where there is no goal. */
export function isMet({ value, interval, goal }: Figure): boolean | null {
  if (goal === undefined) return null;
  const [low, high] = interval ?? [value, value];
  return "atMost" in goal ? high <= goal.atMost : low >= goal.atLeast;
}

/**
 * A part's figures as rows.
 * @throws {RangeError} where a figure is no finite number, or two have one name: neither could be told in a table.
 */
export function rowsOf({ part, result }: Measured, circumstances: Circumstances): readonly Row[] {
  const names = new Set<string>();
  return result.figures.map((figure) => {
    const { name, value, unit, interval, goal, samples, note } = figure;
    if (names.has(name)) throw new RangeError(`${part} has two figures of the name "${name}"`);
    names.add(name);
    const bad = [value, ...(interval ?? [])].find((number) => !Number.isFinite(number));
    if (bad !== undefined) throw new RangeError(`${part}: "${name}" is ${bad}`);
    return {
      name,
      value,
      unit,
      goal: goal ?? null,
      met: isMet(figure),
      part,
      low: interval?.[0] ?? null,
      high: interval?.[1] ?? null,
      ...(samples === undefined ? {} : { samples }),
      ...(note === undefined ? {} : { note }),
      ...circumstances,
    };
  });
}

/** @throws {RangeError} for a chart of which nothing could be drawn: the page could not be made any more. */
function checkCharts({ part, result }: Measured): void {
  const names = new Set<string>();
  for (const { name, series } of result.charts) {
    if (names.has(name)) throw new RangeError(`${part} has two charts of the name "${name}"`);
    names.add(name);
    const points = series.flatMap((one) => one.points);
    if (points.length === 0) throw new RangeError(`${part}: the chart "${name}" has no points`);
    const numbers = points.flatMap(({ x, y }) => (typeof x === "number" ? [x, y] : [y]));
    const bad = numbers.find((number) => !Number.isFinite(number));
    if (bad !== undefined) throw new RangeError(`${part}: the chart "${name}" has a point ${bad}`);
  }
}

/**
 * Puts what a part has come to in the place of what it came to before; other parts stay as they are.
 * @param order The parts' names in the order in which they are shown; a part that is not among them comes last.
 * @throws {RangeError} for figures that can't be told, and charts that can't be drawn.
 */
export function putMeasured(
  results: Results,
  measured: Measured,
  { order, ...circumstances }: Circumstances & { readonly order: readonly string[] },
): Results {
  const { part, title, tookSeconds, result } = measured;
  checkCharts(measured);
  const versions = { ...circumstances.versions, ...result.versions };
  const where = { ...circumstances, versions };
  const place = (name: string): number =>
    order.includes(name) ? order.indexOf(name) : order.length;
  const put = <T extends { readonly part: string }>(all: readonly T[], own: readonly T[]) =>
    [...all.filter((one) => one.part !== part), ...own].sort(
      (a, b) => place(a.part) - place(b.part),
    );
  return {
    rows: put(results.rows, rowsOf(measured, where)),
    parts: put(results.parts, [{ part, title, tookSeconds, ...where, charts: result.charts }]),
  };
}

/** The rows whose goal is missed. */
export function missed(rows: readonly Row[]): readonly Row[] {
  return rows.filter(({ met }) => met === false);
}
