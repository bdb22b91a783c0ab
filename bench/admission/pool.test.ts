import { Pool } from "./pool";

const rounds = [{ samples: [3, 1] }, { samples: [4, 2] }, { samples: [5] }] as const;
const [first, second, third] = rounds;
const pool = new Pool<{ readonly samples: readonly number[] }>(rounds, ({ samples }) => samples);

describe("a pool of samples", () => {
  it.each([
    { some: rounds, share: 0.5, expected: 3 },
    { some: rounds, share: 0.99, expected: 5 },
    { some: [first], share: 0.5, expected: 1 },
    { some: [first], share: 1, expected: 3 },
    { some: [second, third], share: 0, expected: 2 },
    // 1 1 1 3 3 3 5: drawn with replacement, a round counts as often as it was drawn.
    { some: [first, first, first, third], share: 0.5, expected: 3 },
    { some: [first, third, third, third], share: 0.5, expected: 5 },
  ])("has a quantile over some rounds ($share: $expected)", ({ some, share, expected }) => {
    expect(pool.quantile(some, share)).toBe(expected);
  });

  it("has none over no rounds, nor over those of others", () => {
    expect(() => pool.quantile([], 0.5)).toThrow(RangeError);
    expect(() => pool.quantile([{ samples: [1] }], 0.5)).toThrow(RangeError);
  });
});
