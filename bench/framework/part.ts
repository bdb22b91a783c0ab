import type { Progress } from "../../test/cluster";
import type { Versions } from "./machine";

/** What a figure must come to; a goal counts as met when the upper (or lower) end of the interval meets it. */
export type Goal = { readonly atMost: number } | { readonly atLeast: number };

/** One measured number. */
export interface Figure {
  /** Unique in its part, in words that a reader of a table understands: "routed Pod, added latency, p50, fairlead / Go peer". */
  readonly name: string;
  /** The median over `samples`, or the only one. */
  readonly value: number;
  /** "ms", "MiB", "requests/s", "ratio", "max/mean", "requests/min", …; "ratio" where a figure is compared in one run. */
  readonly unit: string;
  /** The 95 % interval of `value`; absent for what is exact (a size, a count). */
  readonly interval?: readonly [low: number, high: number];
  /** What the rounds gave, in their order, so that the spread can be seen. */
  readonly samples?: readonly number[];
  readonly goal?: Goal;
  /** Half a sentence on what is special about it. */
  readonly note?: string;
}

/** A picture of a part's own results. Every axis has its unit in its label. */
export interface Chart {
  /** Unique in its part, kebab-case: the file is `docs/performance/<part>-<name>.svg`. */
  readonly name: string;
  readonly title: string;
  readonly kind: "bars" | "lines";
  readonly xLabel: string;
  readonly yLabel: string;
  /** Logarithmic axes, where sizes go up tenfold. */
  readonly log?: { readonly x?: boolean; readonly y?: boolean };
  /** A bar's x is a word. `low` and `high` draw the interval. */
  readonly series: readonly {
    readonly name: string;
    readonly points: readonly {
      readonly x: number | string;
      readonly y: number;
      readonly low?: number;
      readonly high?: number;
    }[];
  }[];
}

/** What a part has measured. */
export interface PartResult {
  readonly figures: readonly Figure[];
  readonly charts: readonly Chart[];
  /** Where they differ from the default ones: `{ kubernetes: "1.36.3" }`. */
  readonly versions?: Partial<Versions>;
}

/** What a part is told. */
export interface PartContext {
  /** All parts together under ten minutes; else under ninety. */
  readonly quick: boolean;
  readonly progress: Progress;
  /** A line for whoever looks on. */
  say(line: string): void;
}

/** One thing that `npm run bench -- <name>` measures. What it starts it stops, whatever happens. */
export interface Part {
  readonly name: string;
  /** A heading of docs/performance.md. */
  readonly title: string;
  /**
   * @returns What was measured; a goal that is missed is no error.
   * @throws Error where nothing could be measured.
   */
  run(context: PartContext): Promise<PartResult>;
}
