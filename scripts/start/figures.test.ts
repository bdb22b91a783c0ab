import fc from "fast-check";
import { figureRows, figuresLine, formatDuration, percentile, type Figures } from "./figures";

const figures: Figures = {
  dataPlane: "run",
  kubernetesVersion: "1.34.4",
  clusterStartMs: 2_345.678,
  fairleadStartMs: 3_000,
  gatewayServiceMs: 41.26,
  credentialsSyncedMs: { "tenant-a": 300.04, "tenant-b": 200 },
  serviceInLineMs: 30,
  podCreations: 50,
  podCreationP50Ms: 3.25,
  podCreationP99Ms: 11,
  apiCallsOfAdmissions: 0,
  rotationToCopyMs: 17,
  admissionMemoryBytes: 160 * 2 ** 20,
  watchMemoryBytes: 161 * 2 ** 20,
  claims: 26,
  totalMs: 9_000,
};

describe("figures", () => {
  test.each([
    [0.04, "0.0 ms"],
    [9.94, "9.9 ms"],
    [10, "10 ms"],
    [999.4, "999 ms"],
    [1_000, "1.0 s"],
    [61_000, "61.0 s"],
  ])("%d ms is %s", (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });

  test("one line of JSON, numbers to three decimals", () => {
    const line = figuresLine(figures);
    expect(line).not.toContain("\n");
    expect(JSON.parse(line)).toMatchObject({
      kubernetesVersion: "1.34.4",
      clusterStartMs: 2_345.678,
      gatewayServiceMs: 41.26,
      credentialsSyncedMs: { "tenant-a": 300.04, "tenant-b": 200 },
      apiCallsOfAdmissions: 0,
      claims: 26,
    });
  });

  test("what was not measured is neither in the table nor in the line", () => {
    const existing = { ...figures, clusterStartMs: undefined, apiCallsOfAdmissions: undefined };
    const names = figureRows(existing).map(([what]) => what);
    expect(names).not.toContain("cluster started");
    expect(names.some((name) => name.startsWith("API calls"))).toBe(false);
    expect(JSON.parse(figuresLine(existing))).not.toHaveProperty("clusterStartMs");
  });

  test("the line begins with how requests were spread, where they were", () => {
    const spread = {
      skew: { L4: 2.94817, L7: 1.00064 },
      requests: { L4: { "tenant-a": { one: 9, two: 1 } }, L7: { "tenant-a": { one: 5, two: 5 } } },
      failedRequests: 0,
    };
    const line = figuresLine({ ...figures, ...spread });
    expect(Object.keys(JSON.parse(line) as object).slice(0, 3)).toEqual([
      "skew",
      "requests",
      "failedRequests",
    ]);
    expect(line).toContain('{"skew":{"L4":2.948,"L7":1.001},');
    expect(JSON.parse(figuresLine(figures))).not.toHaveProperty("skew");
  });

  test("a zero is a figure", () => {
    expect(figureRows(figures)).toContainEqual(["API calls during 50 admissions", "0"]);
  });
});

describe("percentile", () => {
  test.each([
    [[3, 1, 2], 0.5, 2],
    [[4, 1, 2, 3], 0.5, 2],
    [[1, 2, 3], 0, 1],
    [[1, 2, 3], 1, 3],
    [[7], 0.99, 7],
  ])("of %j at %d is %d", (values, share, expected) => {
    expect(percentile(values, share)).toBe(expected);
  });

  test("there is none of nothing", () => {
    expect(() => percentile([], 0.5)).toThrow(RangeError);
  });

  test("it is one of the values, and at least its share is not above it", () => {
    fc.assert(
      fc.property(
        fc.array(fc.integer(), { minLength: 1 }),
        fc.double({ min: 0, max: 1, noNaN: true }),
        (values, share) => {
          const found = percentile(values, share);
          const below = values.filter((value) => value <= found).length;
          return values.includes(found) && below >= values.length * share;
        },
      ),
    );
  });
});
