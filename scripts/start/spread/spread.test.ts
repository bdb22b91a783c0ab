import fc from "fast-check";
import { recordedL4, recordedL7 } from "./recorded";
import {
  formatCount,
  ratesOf,
  requestsOf,
  skewOf,
  skewsOf,
  spreadHead,
  spreadRows,
  worstSkewOf,
} from "./spread";

describe("skew", () => {
  test.each([
    [[3, 0, 0], 3],
    [[1, 1, 1], 1],
    [[2, 1, 0], 2],
    [[5], 1],
  ])("of %j is %d", (counts, skew) => {
    expect(skewOf(counts)).toBe(skew);
  });

  test("there is none without requests", () => {
    expect(() => skewOf([0, 0])).toThrow(RangeError);
    expect(() => skewOf([])).toThrow(RangeError);
  });

  test("is between 1 and the number of servers, in whatever order they are", () => {
    const counts = fc.array(fc.nat(100_000), { minLength: 1, maxLength: 9 });
    fc.assert(
      fc.property(counts, (some) => {
        fc.pre(some.some((count) => count > 0));
        const skew = skewOf(some);
        const close = Math.abs(skewOf([...some].reverse()) - skew) < 1e-9;
        return close && skew >= 1 - 1e-9 && skew <= some.length + 1e-9;
      }),
    );
  });
});

describe("a part", () => {
  test("has its requests by tenant and API server, of its end", () => {
    expect(requestsOf(recordedL4)).toEqual({
      "tenant-a": { "kube-apiserver-0": 1_570, "kube-apiserver-1": 0, "kube-apiserver-2": 27 },
      "tenant-b": { "kube-apiserver-0": 53, "kube-apiserver-1": 0, "kube-apiserver-2": 1_654 },
    });
  });

  test("has a skew for each tenant, and that of the worst", () => {
    expect(skewsOf(recordedL4)).toEqual({
      "tenant-a": (3 * 1_570) / 1_597,
      "tenant-b": (3 * 1_654) / 1_707,
    });
    expect(worstSkewOf(recordedL4)).toBe((3 * 1_570) / 1_597);
  });

  test("has rates between its samples", () => {
    const samples = [
      { atMs: 0, requests: [0, 0] },
      { atMs: 500, requests: [50, 5] },
      { atMs: 2_500, requests: [50, 25] },
    ];
    expect(ratesOf(samples)).toEqual([
      { atMs: 500, requests: [100, 10] },
      { atMs: 2_500, requests: [0, 10] },
    ]);
    expect(ratesOf(samples.slice(0, 1))).toEqual([]);
  });
});

describe("the table of a result", () => {
  test("has a row for each API server, and what came of it for each tenant", () => {
    const rows = spreadRows(recordedL4, recordedL7);
    expect(rows).toEqual([
      ["tenant-a", "kube-apiserver-0", "1,570", "98.3 %", "314", "33.3 %"],
      ["", "kube-apiserver-1", "0", "0.0 %", "315", "33.4 %"],
      ["", "kube-apiserver-2", "27", "1.7 %", "314", "33.3 %"],
      ["", "max / mean", "2.95", "", "1.00", ""],
      ["", "failed requests", "0", "", "0", ""],
      ["tenant-b", "kube-apiserver-0", "53", "3.1 %", "333", "33.3 %"],
      ["", "kube-apiserver-1", "0", "0.0 %", "333", "33.3 %"],
      ["", "kube-apiserver-2", "1,654", "96.9 %", "333", "33.3 %"],
      ["", "max / mean", "2.91", "", "1.00", ""],
      ["", "failed requests", "0", "", "0", ""],
    ]);
    expect(rows.every((row) => row.length === spreadHead.length)).toBe(true);
  });

  test("says which requests failed", () => {
    const [client, ...others] = recordedL7.clients;
    if (client === undefined) throw new Error("there is a client");
    const failing = { ...recordedL7, clients: [{ ...client, failed: 2 }, ...others] };
    const rows = spreadRows(recordedL4, failing).filter(([, what]) => what === "failed requests");
    expect(rows.map(([, , l4, , l7]) => [l4, l7])).toEqual([
      ["0", "2"],
      ["0", "0"],
    ]);
  });
});

test("counts have separators, whatever the user's language is", () => {
  expect(formatCount(1_234_567.4)).toBe("1,234,567");
});
