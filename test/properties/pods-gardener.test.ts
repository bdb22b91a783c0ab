import { isDeepStrictEqual } from "node:util";
import { decideRouting } from "../../capabilities/pods/decide";
import type { RouteInputs } from "../../lib/domain/routes";
import type { Pod } from "../../lib/domain/routed-pods";
import { classify, type Outcome } from "../gardener/deviations";
import { readRecordings } from "../gardener/recordings";
import { effectOf } from "../gardener/review";
import { scenarios, stateOf } from "../gardener/scenarios";
import type { Pod as RecordedPod, Recording, RouteState } from "../gardener/types";

const states = new Map(scenarios.map((scenario) => [scenario.name, stateOf(scenario)]));

function stateFor({ scenario }: Recording): RouteState {
  const state = states.get(scenario);
  if (state === undefined) throw new Error(`no scenario ${scenario}`);
  return state;
}

function inputsOf(namespace: string, { config, clusterIPs }: RouteState): RouteInputs {
  const metadata = { name: "istio-internal-load-balancing", namespace };
  return {
    namespace,
    configMap:
      config === undefined
        ? undefined
        : { apiVersion: "v1", kind: "ConfigMap", metadata, data: config },
    service: (of, name) => {
      const ips = clusterIPs.get(`${of}/${name}`);
      return ips === undefined
        ? undefined
        : {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name, namespace: of },
            spec: { clusterIPs: ips },
          };
    },
  };
}

function outcomeOf(recording: Recording): Outcome {
  const { pod, scenario } = recording;
  const decision = decideRouting(pod as Pod, inputsOf(scenario, stateFor(recording)));
  if (decision.kind === "deny") return { allowed: false };
  const result = decision.kind === "change" ? (decision.pod as RecordedPod) : pod;
  return { allowed: true, effect: effectOf(result), warns: decision.warnings.length > 0 };
}

describe("for every Pod that Gardener's handler was asked about", () => {
  it("the decision is one that design 3 accepts: Gardener's own, the named deviations aside", () => {
    const wrong = readRecordings().filter((recording) => {
      const outcome = outcomeOf(recording);
      const { accepted } = classify(stateFor(recording), recording);
      return !accepted.some((right) => isDeepStrictEqual(right, outcome));
    });

    expect(wrong.map(({ scenario, pod }) => [scenario, pod])).toEqual([]);
  });
});
