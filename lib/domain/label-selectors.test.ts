import fc from "fast-check";
import type { LabelSelector, LabelSelectorRequirement } from "../api";
import { intersect, isWithin, selects } from "./label-selectors";

const value = fc.constantFrom("a", "b", "c");
const key = fc.constantFrom("x", "y");
const requirement: fc.Arbitrary<LabelSelectorRequirement> = fc.oneof(
  fc.record({
    key,
    operator: fc.constantFrom("In" as const, "NotIn" as const),
    values: fc.array(value, { minLength: 1, maxLength: 3 }),
  }),
  fc.record({ key, operator: fc.constantFrom("Exists" as const, "DoesNotExist" as const) }),
);
const selector: fc.Arbitrary<LabelSelector> = fc.record(
  {
    matchLabels: fc.dictionary(key, value),
    matchExpressions: fc.array(requirement, { maxLength: 3 }),
  },
  { requiredKeys: [] },
);
const labels = fc.dictionary(key, value);

describe("intersect", () => {
  it("selects what both select", () => {
    fc.assert(
      fc.property(selector, selector, labels, (a, b, found) => {
        const both = intersect(a, b);
        expect(both !== undefined && selects(both, found)).toBe(
          selects(a, found) && selects(b, found),
        );
      }),
      { numRuns: 1000 },
    );
  });

  it("says the same in the same way, whoever comes first and however it is written", () => {
    fc.assert(
      fc.property(selector, selector, (a, b) => {
        const once = intersect(a, b);
        expect(JSON.stringify(intersect(b, a))).toBe(JSON.stringify(once));
        expect(once && intersect(once, a)).toEqual(once);
      }),
    );
    const short = { matchLabels: { x: "a" } };
    const long: LabelSelector = {
      matchExpressions: [{ key: "x", operator: "In", values: ["a", "a"] }],
    };
    expect(intersect(long, {})).toEqual(intersect(short, {}));
  });
});

describe("isWithin", () => {
  it("is true only where everything of the one is selected by the other", () => {
    fc.assert(
      fc.property(selector, selector, labels, (a, b, found) => {
        fc.pre(isWithin(a, b) && selects(a, found));
        expect(selects(b, found)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  it("is true of anything within an empty selector", () => {
    expect(isWithin({ matchLabels: { x: "a" } }, {})).toBe(true);
    expect(isWithin({}, { matchLabels: { x: "a" } })).toBe(false);
  });
});
