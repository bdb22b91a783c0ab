import fc from "fast-check";
import { randomFrom } from "../../test/harness/random";
import {
  estimate,
  estimateQuantile,
  estimateRatio,
  estimateRounds,
  growthExponent,
  interleave,
  quantile,
  studentQuantile,
} from "./statistics";

/** Samples of a normal distribution (Box and Muller). */
function normal(count: number, seed: number): readonly number[] {
  const random = randomFrom(seed);
  return Array.from(
    { length: count },
    () => 100 + 10 * Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random()),
  );
}

const finite = fc.double({ min: -1e6, max: 1e6, noNaN: true });

describe("quantiles", () => {
  test("are those of R and numpy", () => {
    const samples = [3, 6, 7, 8, 8, 9, 10, 13, 15, 16, 20];
    expect(quantile(samples, 0.5)).toBe(9);
    expect(quantile(samples, 0.99)).toBeCloseTo(19.6, 10);
    expect(quantile([1, 2], 0.5)).toBe(1.5);
  });

  test("do not depend on the order", () => {
    expect(quantile([3, 1, 2], 0.5)).toBe(2);
  });

  test.each([[[]], [[1, Number.NaN]], [[Number.POSITIVE_INFINITY]]])("refuse %j", (samples) => {
    expect(() => quantile(samples, 0.5)).toThrow(RangeError);
  });
});

describe("Student's t at 97.5 %", () => {
  test.each([
    [4, 2.776],
    [9, 2.262],
    [30, 2.042],
    [1_000_000, 1.96],
  ])("with %d degrees of freedom is %d", (degreesOfFreedom, expected) => {
    expect(Math.abs(studentQuantile(degreesOfFreedom) - expected)).toBeLessThan(0.01);
  });
});

describe("an estimate", () => {
  test("is the median, with the samples in their order", () => {
    expect(estimate([5, 1, 3])).toMatchObject({ value: 3, samples: [5, 1, 3] });
  });

  test("of one round has no interval", () => {
    expect(estimate([5])).toEqual({ value: 5, samples: [5] });
  });

  test("of rounds that agree has an interval without width", () => {
    expect(estimate([2, 2, 2, 2, 2]).interval).toEqual([2, 2]);
  });

  test("of five rounds reaches from the lowest to the highest: less could not be said of so few", () => {
    expect(estimate([10, 11, 12, 13, 14]).interval).toEqual([10, 14]);
  });

  test("is the same in every run", () => {
    expect(estimate(normal(20, 7))).toEqual(estimate(normal(20, 7)));
  });

  test("lies within its interval, which lies within the samples", () => {
    fc.assert(
      fc.property(fc.array(finite, { minLength: 2, maxLength: 12 }), (samples) => {
        const { value, interval = [Number.NaN, Number.NaN] } = estimate(samples, {
          resamples: 200,
        });
        const [low, high] = interval;
        expect(low).toBeGreaterThanOrEqual(Math.min(...samples));
        expect(high).toBeLessThanOrEqual(Math.max(...samples));
        expect(low).toBeLessThanOrEqual(value);
        expect(high).toBeGreaterThanOrEqual(value);
      }),
      { numRuns: 50 },
    );
  });

  test.each([5, 7, 10, 30])(
    "of %d rounds holds the true median in nearly all of 400 runs",
    (count) => {
      const runs = Array.from({ length: 400 }, (_, run) =>
        estimate(normal(count, run + 1), { resamples: 400 }),
      );
      const held = runs.filter(({ interval: [low, high] = [0, 0] }) => low <= 100 && 100 <= high);
      expect(held.length / runs.length).toBeGreaterThan(0.91);
    },
  );

  test("narrows as rounds are added", () => {
    const width = (count: number): number => {
      const [low, high] = estimate(normal(count, 3)).interval ?? [0, 0];
      return high - low;
    };
    expect(width(400)).toBeLessThan(width(20) / 2);
  });
});

describe("a ratio", () => {
  test("is of each round by itself, so that what slows both sides cancels out", () => {
    const peer = [1, 2, 4, 8, 16];
    const { value, interval } = estimateRatio(
      peer.map((figure) => 1.5 * figure),
      peer,
    );
    expect(value).toBe(1.5);
    expect(interval).toEqual([1.5, 1.5]);
  });

  test("of rounds that are not the same is refused", () => {
    expect(() => estimateRatio([1, 2], [1])).toThrow("2 rounds are compared with 1");
  });

  test("by nothing is refused", () => {
    expect(() => estimateRatio([1], [0])).toThrow("a sample is Infinity");
  });
});

describe("a quantile of samples without rounds", () => {
  test("has an interval around it, and no samples", () => {
    const { value, interval, ...rest } = estimateQuantile(normal(1_000, 5), 0.9, {
      resamples: 500,
    });
    const [low, high] = interval ?? [0, 0];
    expect(low).toBeLessThan(value);
    expect(high).toBeGreaterThan(value);
    // Its true value is 112.8.
    expect(low).toBeLessThan(112.8);
    expect(high).toBeGreaterThan(112.8);
    expect(rest).toEqual({});
  });
});

describe("a statistic over rounds", () => {
  test("draws whole rounds", () => {
    const rounds = [
      { none: 1, ours: 3, theirs: 2 },
      { none: 2, ours: 4, theirs: 3 },
      { none: 3, ours: 5, theirs: 4 },
    ];
    const of = (some: typeof rounds, name: keyof (typeof rounds)[number]): number =>
      some.reduce((sum, round) => sum + round[name], 0);
    const added = estimateRounds(
      rounds,
      (some) => (of(some, "ours") - of(some, "none")) / (of(some, "theirs") - of(some, "none")),
    );
    expect(added).toEqual({ value: 2, samples: [2, 2, 2], interval: [2, 2] });
  });
});

describe("interleaved variants", () => {
  const record = async (rounds: number, warmUpRounds = 0) => {
    const calls: string[] = [];
    const variant = (name: string) => (round: number) => {
      calls.push(`${name}${round}`);
      return Promise.resolve(`${name}${round}`);
    };
    const results = await interleave({
      rounds,
      warmUpRounds,
      variants: { a: variant("a"), b: variant("b"), c: variant("c") },
    });
    return { calls, results };
  };

  test("each run once a round", async () => {
    const { calls, results } = await record(4);
    expect(calls).toHaveLength(12);
    expect(results).toEqual(
      [0, 1, 2, 3].map((round) => ({ a: `a${round}`, b: `b${round}`, c: `c${round}` })),
    );
  });

  test("run in the opposite order in the next round", async () => {
    const { calls } = await record(2);
    const names = calls.map(([name]) => name);
    expect(names.slice(3)).toEqual(names.slice(0, 3).reverse());
  });

  test("do not always run in the same order", async () => {
    const { calls } = await record(20);
    const orders = Array.from({ length: 20 }, (_, round) =>
      calls
        .slice(3 * round, 3 * round + 3)
        .map(([name]) => name)
        .join(""),
    );
    expect(new Set(orders).size).toBeGreaterThan(2);
  });

  test("are warmed up without it showing in the results", async () => {
    const { calls, results } = await record(1, 2);
    expect(calls).toHaveLength(9);
    expect(results).toEqual([{ a: "a0", b: "b0", c: "c0" }]);
  });

  test("end with the first that fails", async () => {
    const failing = interleave({
      rounds: 3,
      variants: { a: () => Promise.reject(new Error("no server")) },
    });
    await expect(failing).rejects.toThrow("no server");
  });
});

describe("growth", () => {
  test.each([
    ["constant", (_: number) => 7, 0],
    ["linear", (x: number) => 3 * x, 1],
    ["quadratic", (x: number) => 0.5 * x * x, 2],
  ])("that is %s", (_, of, exponent) => {
    const points = [100, 300, 1_000].map((x) => ({ x, y: of(x) }));
    expect(growthExponent(points)).toBeCloseTo(exponent, 10);
  });

  test("over one size is refused", () => {
    expect(() => growthExponent([{ x: 1, y: 1 }])).toThrow("two sizes or more");
  });
});
