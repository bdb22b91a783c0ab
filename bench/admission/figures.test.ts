import { chartsOf, figuresOf, type Round } from "./figures";
import { SCENES, type Latencies } from "./measure";

/** Latencies that are all the same, whatever is created how. */
function always(ms: number): Latencies {
  const scenes = Object.keys(SCENES).map((name) => [name, Array(20).fill(ms)]);
  return Object.fromEntries(scenes) as Latencies;
}

const round = (none: number): Round => ({
  none: always(none),
  control: always(none),
  fairlead: always(none + 3),
  peer: always(none + 2),
  policies: always(none + 1),
});

const rounds = [round(1), round(1), round(1)];
const figures = figuresOf(rounds, [
  { fairlead: 2_000, peer: 8_000 },
  { fairlead: 2_000, peer: 8_000 },
]);
const find = (name: string) => figures.find((figure) => figure.name === name);

describe("the figures of admission", () => {
  it("have a name each", () => {
    expect(new Set(figures.map(({ name }) => name)).size).toBe(figures.length);
  });

  it("compare what is added, not what it takes altogether", () => {
    expect(
      find("routed Pod, 16 in flight, p99: added by fairlead / added by Go peer"),
    ).toMatchObject({ value: 1.5, interval: [1.5, 1.5], goal: { atMost: 1.2 } });
    expect(find("routed Pod, one at a time, p50: added by Go peer")).toMatchObject({ value: 2 });
  });

  it("say whether an uninvolved Pod can be told from one without a webhook", () => {
    expect(find("other Pod, one at a time, p50: fairlead / no webhook")).toMatchObject({
      value: 4,
    });
    expect(find("other Pod, one at a time, p50: added by fairlead")).toMatchObject({
      note: "told from no webhook",
    });
    expect(find("other Pod, one at a time, p50: no webhook, again / no webhook")).toMatchObject({
      value: 1,
    });
  });

  it("compare the servers round by round", () => {
    expect(find("webhook's server alone, 16 in flight: fairlead / Go peer")).toMatchObject({
      value: 0.25,
      samples: [0.25, 0.25],
    });
  });

  it("are drawn with their intervals", () => {
    const [serial, parallel, time] = chartsOf(figures, [["idle", 0.5]]);

    expect(serial?.series.map(({ name, points }) => [name, points])).toEqual([
      [
        "p50",
        [
          { x: "fairlead", y: 3, low: 3, high: 3 },
          { x: "Go peer", y: 2, low: 2, high: 2 },
          { x: "fairlead's policies", y: 1, low: 1, high: 1 },
        ],
      ],
      [
        "p99",
        [
          { x: "fairlead", y: 3, low: 3, high: 3 },
          { x: "Go peer", y: 2, low: 2, high: 2 },
          { x: "fairlead's policies", y: 1, low: 1, high: 1 },
        ],
      ],
    ]);
    expect(parallel?.series.flatMap(({ points }) => points)).toHaveLength(6);
    expect(time?.series[0]?.points).toEqual([{ x: "idle", y: 50 }]);
  });
});
