import { decideRouting } from "../../../capabilities/pods/decide";
import { decideTrafficDistribution } from "../../../capabilities/services/decide";
import type { HostedAPIServer } from "../../../lib/api";
import { ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { Pod } from "../../../lib/domain/routed-pods";
import type { ClusterTopology, Service } from "../../../lib/domain/traffic-distribution";
import type { AnyObject } from "../api";
import type { Outcome } from "./ask";
import { withoutArm, type Place, type Question } from "./places";
import type { Services } from "./stage";

// What the decision itself makes of an object that an API server completed.

/** What an API server warns of by itself stays. */
function withWarnings({ warnings }: Outcome, ours: readonly string[]): readonly string[] {
  return [...warnings.filter((warning) => !warning.includes("fairlead")), ...ours].sort();
}

type Expectation = (question: Question, outcome: Outcome) => Outcome | undefined;

function placeOf(places: readonly Place[], question: Question): Place {
  const place = places.find(({ questions }) => questions.includes(question));
  if (place === undefined) throw new Error(`${question.name} is of no place`);
  return place;
}

function absentIfEmpty(entries: Readonly<Record<string, string>> | undefined, key: string): object {
  return entries === undefined || Object.keys(entries).length === 0 ? {} : { [key]: entries };
}

/** An outcome with the annotations and the value that a Service has. */
function withMarksOf(outcome: Outcome, answered: AnyObject, { metadata, spec }: Service): Outcome {
  const { annotations: _annotations, ...others } = answered.metadata;
  const { trafficDistribution: _value, ...rest } = answered.spec ?? {};
  const value = spec?.trafficDistribution;
  const object = {
    ...answered,
    metadata: { ...others, ...absentIfEmpty(metadata.annotations, "annotations") },
    spec: { ...rest, ...(value === undefined ? {} : { trafficDistribution: value }) },
  };
  return { ...outcome, object };
}

/** What the decision makes of Services; undefined where it counts on what only a process remembers. */
export function decidedServices(places: readonly Place[], topology: ClusterTopology): Expectation {
  return (question, outcome) => {
    const { before, hostedAPIServers } = placeOf(places, question);
    const subject = question.object as unknown as Service;
    const { name, namespace } = subject.metadata;
    const previous = before.find(({ metadata }) => metadata.name === name);
    const { username = "admin", fieldManager = "" } = question.requester;
    const update = {
      previous: previous as unknown as Service,
      requester: { username, fieldManager },
      roundsBefore: 0,
      contestAfterRounds: 5,
    };
    const decision = decideTrafficDistribution(subject, {
      ...topology,
      hostedAPIServers: hostedAPIServers.filter(
        ({ metadata }) => metadata.namespace === namespace,
      ) as unknown as readonly HostedAPIServer[],
      ...(question.update ? { update } : {}),
    });
    if (["ContestKept", "SetAgain", "Contested"].includes(decision.reason)) return undefined;
    const service = decision.kind === "change" ? decision.service : subject;
    const answered = outcome.object ?? question.object;
    const warnings = withWarnings(outcome, decision.warnings);
    return { ...withMarksOf(outcome, answered, service), warnings };
  };
}

/** What the decision makes of Pods. */
export function decidedPods(places: readonly Place[], services: Services): Expectation {
  return (question, outcome) => {
    const subject = question.object as unknown as Pod;
    const { namespace = "" } = question.object.metadata;
    const configMap = placeOf(places, question).before.find(
      ({ metadata }) => metadata.name === ROUTE_CONFIG_MAP && metadata.namespace === namespace,
    );
    const decision = decideRouting(subject, {
      namespace,
      configMap: configMap as unknown as ConfigMap | undefined,
      service: (of, name) => services.get(`${of}/${name}`),
    });
    if (decision.kind === "deny") {
      return withoutArm({ code: 403, message: decision.message, warnings: [] });
    }
    const { metadata, spec } = decision.kind === "change" ? decision.pod : subject;
    const answered = outcome.object ?? question.object;
    const { labels: _labels, ...others } = answered.metadata;
    const { hostAliases: _aliases, ...rest } = answered.spec ?? {};
    const { hostAliases } = spec;
    const object = {
      ...answered,
      metadata: { ...others, ...absentIfEmpty(metadata.labels, "labels") },
      spec: { ...rest, ...(hostAliases == null ? {} : { hostAliases }) },
    };
    return { ...outcome, object, warnings: withWarnings(outcome, decision.warnings) };
  };
}
