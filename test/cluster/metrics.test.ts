import { metricSamples, metricSum } from "./metrics";

const text = `# HELP requests Requests.
# TYPE requests counter
requests{code="200",verb="GET"} 3
requests{code="404",verb="GET"} 1
requests_total 50
requests{code="200",verb="WATCH"} 1.2e+01
up 1
`;

describe("metrics", () => {
  it("are read with their labels", () => {
    expect(metricSamples(text, "requests")[1]).toEqual({
      labels: { code: "404", verb: "GET" },
      value: 1,
    });
    expect(metricSamples(text, "up")).toEqual([{ labels: {}, value: 1 }]);
  });

  it("are added up, without those of longer names", () => {
    expect(metricSum(text, "requests")).toBe(16);
    expect(metricSum(text, "requests", ({ verb }) => verb === "GET")).toBe(4);
    expect(metricSum(text, "absent")).toBe(0);
  });
});
