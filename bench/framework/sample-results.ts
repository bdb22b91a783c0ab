import type { Circumstances, Measured } from "./results";

/** Where and how the samples of the tests below were "measured". */
export const circumstances: Circumstances = {
  commit: "0123456789ab",
  measuredAt: "2026-11-28T21:00:00.000Z",
  quick: false,
  machine: { cpu: "A CPU", cores: 2, memoryGiB: 24, os: "An OS", kernel: "6.1" },
  versions: {
    node: "20.19.0",
    kubernetes: "1.34.4",
    istio: "1.31",
    envoy: "1.40.0",
    etcd: "3.6.16",
    fairlead: "0.1.0",
    go: "1.26.0",
  },
};

/** A part with a goal that is met, one that is missed, and a figure without one. */
export const admission: Measured = {
  part: "admission",
  title: "Admission",
  tookSeconds: 300,
  result: {
    figures: [
      {
        name: "routed Pod, p50, fairlead / Go peer",
        value: 1.1,
        unit: "ratio",
        interval: [1.05, 1.15],
        samples: [1.05, 1.1, 1.15],
        goal: { atMost: 1.2 },
      },
      {
        name: "routed Pod, p99, fairlead / Go peer",
        value: 1.19,
        unit: "ratio",
        interval: [1.1, 1.25],
        goal: { atMost: 1.2 },
        note: "the tail | of both",
      },
      { name: "requests", value: 3_051.4, unit: "requests/s" },
    ],
    charts: [
      {
        name: "added-latency",
        title: "Added latency",
        kind: "bars",
        xLabel: "what is created",
        yLabel: "added latency, ms",
        series: [
          { name: "fairlead", points: [{ x: "routed Pod", y: 1.1, low: 1, high: 1.3 }] },
          { name: "Go peer", points: [{ x: "routed Pod", y: 1 }] },
        ],
      },
    ],
  },
};
