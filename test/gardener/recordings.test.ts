import { isDeepStrictEqual } from "node:util";

import { generatePods } from "./generate";
import {
  classify,
  designOutcome,
  deviationReasons,
  type DeviationId,
  type Outcome,
} from "./deviations";
import { readRecordings } from "./recordings";
import { scenarios, stateOf } from "./scenarios";
import type { Recording } from "./types";

const recordings = readRecordings();
const scenariosByName = new Map(scenarios.map((scenario) => [scenario.name, scenario]));

const stateFor = (recording: Recording) => {
  const scenario = scenariosByName.get(recording.scenario);
  if (scenario === undefined) throw new Error(`no scenario ${recording.scenario}`);
  return stateOf(scenario);
};

/** Where Gardener's outcome is right too, beside another one. */
const alternatives = new Set<DeviationId>(["host-repeated", "host-invalid"]);

/** Label order does not matter, warnings are not recorded. */
const comparable = (outcome: Outcome): unknown =>
  outcome.allowed ? { allowed: true, effect: outcome.effect } : { allowed: false };

const recorded = ({ verdict, effect }: Recording): unknown =>
  verdict.allowed ? { allowed: true, effect } : { allowed: false };

describe("the recordings of Gardener's handler", () => {
  it("hold at least 1,500 Pods of every scenario", () => {
    expect(recordings.length).toBeGreaterThanOrEqual(1500);
    expect(new Set(recordings.map(({ scenario }) => scenario))).toEqual(
      new Set(scenariosByName.keys()),
    );
  });

  it("agree with design 3 wherever no deviation is named", () => {
    const same = recordings.filter(
      (recording) => classify(stateFor(recording), recording).deviations.length === 0,
    );

    expect(same.length).toBeGreaterThanOrEqual(1000);
    expect(same.map(recorded)).toEqual(
      same.map((recording) => comparable(designOutcome(stateFor(recording), recording.pod))),
    );
  });

  it("have each named deviation, and differ from design 3 wherever one is named", () => {
    const seen = new Set<DeviationId>();
    const alike = recordings.filter((recording) => {
      const { deviations, accepted } = classify(stateFor(recording), recording);
      deviations.forEach((id) => seen.add(id));
      const differs = deviations.some((id) => !alternatives.has(id));
      return (
        differs &&
        accepted.some((outcome) => isDeepStrictEqual(comparable(outcome), recorded(recording)))
      );
    });

    expect(alike).toEqual([]);
    expect(seen).toEqual(new Set(Object.keys(deviationReasons)));
  });

  it("are of the Pods that are generated, and of some of them a second time", () => {
    const generated = new Set(generatePods().map(({ pod }) => JSON.stringify(pod)));
    const names = recordings.map(({ pod }) => pod.metadata.name ?? pod.metadata.generateName ?? "");
    const first = recordings.filter((_, index) => !(names[index] ?? "").includes("again"));

    expect(first.every(({ pod }) => generated.has(JSON.stringify(pod)))).toBe(true);
    expect(recordings.length - first.length).toBeGreaterThanOrEqual(50);
  });
});
