import {
  hasAnnotation,
  isContestDropped,
  isOwnWrite,
  label,
  listOf,
  literal,
  sentence,
} from "../../../lib/domain/cel";
import {
  ANNOTATION_CONTESTED,
  ANNOTATION_TRAFFIC_DISTRIBUTION,
  LABEL_TOPOLOGY_AWARE,
} from "../../../lib/domain/names";
import { overriddenWarning, overridingAnnotations } from "../../../lib/domain/traffic-distribution";
import { SYSTEM_NAMESPACE } from "../../../lib/domain/webhook";
import { DISTRIBUTION_OFF, OWN_PARAMETERS_PREFIX, PARAMETERS } from "../params";
import {
  hasParameters,
  mutating,
  validating,
  type Named,
  type ParameterSource,
  type PolicyObject,
  type PolicyScope,
} from "./object";

const DISTRIBUTION = "fairlead-services";
const WARNINGS = "fairlead-services-warnings";

/** Parameters of the Service's namespace, and those about all namespaces without any. */
const sourcesOf = (policy: string): readonly ParameterSource[] => [
  { name: policy },
  { name: `${policy}-elsewhere`, namespace: SYSTEM_NAMESPACE },
];

const mark = literal(ANNOTATION_TRAFFIC_DISTRIBUTION);
const markPath = `"/metadata/annotations/" + jsonpatch.escapeKey(${mark})`;
const optIn = label(LABEL_TOPOLOGY_AWARE);

/** Whether the Service's name is in a list of the parameters; one that has none yet is in no list. */
const isListed = (key: string): string =>
  `(has(object.metadata.name) && object.metadata.name in params.data[${literal(key)}].split(","))`;

/** Whose parameters count, and whom a decision may concern; the rest is left as it is. */
const matchConditions: readonly Named[] = [
  {
    name: "parameters",
    expression: hasParameters([PARAMETERS.selected, PARAMETERS.allZones]),
  },
  {
    name: "nearest",
    expression: `params.metadata.namespace == request.namespace ||
!(${literal(OWN_PARAMETERS_PREFIX)} + request.namespace in params.data)`,
  },
  {
    name: "concerns",
    expression: `${optIn} == "true" || ${isListed(PARAMETERS.selected)} ||
${hasAnnotation("object", ANNOTATION_TRAFFIC_DISTRIBUTION)} ||
(oldObject != null && ${hasAnnotation("oldObject", ANNOTATION_TRAFFIC_DISTRIBUTION)})`,
  },
  {
    name: "open",
    expression: `!has(object.metadata.deletionTimestamp) &&
!(${hasAnnotation("object", ANNOTATION_CONTESTED)}) &&
!(${isOwnWrite})`,
  },
];

/** `wishFor`: a value, or that it is off, or that it is not known. */
const wish = `${optIn} == "false" ||
!(${optIn} == "true" || ${isListed(PARAMETERS.selected)}) ||
object.spec.?type.orValue("") == "ExternalName" ||
${isListed(PARAMETERS.allZones)} ? ${literal(DISTRIBUTION_OFF)} :
params.data[?${literal(PARAMETERS.distribution)}].orValue("unknown")`;

/** The annotations that override the value; the first one that is there is named. */
const overriding = `${listOf(overridingAnnotations)}.filter(a, a in object.metadata.?annotations.orValue({}))`;

const wishVariables: readonly Named[] = [
  { name: "wish", expression: wish },
  { name: "isOn", expression: `!(variables.wish in ["unknown", ${literal(DISTRIBUTION_OFF)}])` },
  { name: "overriding", expression: overriding },
];

/** What is there, what is fairlead's of it, and what is to be there; each may be absent. */
const variables: readonly Named[] = [
  ...wishVariables,
  { name: "value", expression: "object.spec.?trafficDistribution" },
  { name: "mark", expression: `object.metadata.?annotations[?${mark}]` },
  {
    name: "wasOurs",
    expression: `oldObject != null && has(oldObject.spec.trafficDistribution) &&
oldObject.metadata.?annotations[?${mark}] == oldObject.spec.?trafficDistribution`,
  },
  {
    // An update that leaves the value and takes the mark leaves fairlead's value.
    name: "isOurs",
    expression: `variables.value.hasValue() && (variables.value == variables.mark ||
  (variables.wasOurs && variables.value == oldObject.spec.?trafficDistribution))`,
  },
  {
    name: "isToBe",
    expression: `variables.isOn && size(variables.overriding) == 0 &&
(variables.isOurs || !variables.value.hasValue())`,
  },
  {
    // The webhook counts how often a value is taken away: it is its to set it again.
    name: "isLeft",
    expression: `variables.wish == "unknown" ||
(variables.isToBe && variables.wasOurs && !variables.value.hasValue())`,
  },
  {
    name: "wantedMark",
    expression: `variables.isLeft ? variables.mark :
variables.isToBe ? optional.of(variables.wish) : optional.none()`,
  },
  {
    name: "wantedValue",
    expression: `variables.isLeft || (!variables.isToBe && !variables.isOurs) ? variables.value :
variables.isToBe ? optional.of(variables.wish) : optional.none()`,
  },
];

const valuePatch = `(variables.wantedValue == variables.value ? [] :
  variables.wantedValue.hasValue() ?
    [JSONPatch{op: "add", path: "/spec/trafficDistribution", value: variables.wantedValue.value()}] :
    [JSONPatch{op: "remove", path: "/spec/trafficDistribution"}])`;

const markPatch = `(variables.wantedMark == variables.mark ? [] :
  !variables.wantedMark.hasValue() ?
    [JSONPatch{op: "remove", path: ${markPath}}] :
  has(object.metadata.annotations) ?
    [JSONPatch{op: "add", path: ${markPath}, value: variables.wantedMark.value()}] :
    [JSONPatch{op: "add", path: "/metadata/annotations", value: {${mark}: variables.wantedMark.value()}}])`;

/** The policies of Services: `decideTrafficDistribution` in expressions, but for contests. */
export function servicePolicies(scope: PolicyScope): readonly PolicyObject[] {
  const services = { resource: "services", operations: ["CREATE", "UPDATE"] } as const;
  const noContest: Named = {
    name: "no-contest",
    expression: `oldObject == null || !(${isContestDropped})`,
  };
  return [
    ...mutating(
      {
        ...services,
        name: DISTRIBUTION,
        matchConditions: [...matchConditions, noContest],
        variables,
        patch: `${valuePatch} +\n${markPatch}`,
      },
      sourcesOf(DISTRIBUTION),
      scope,
    ),
    ...validating(
      {
        ...services,
        name: WARNINGS,
        // A value that is there by now is somebody else's, or was set again by the webhook.
        matchConditions: [...matchConditions],
        variables: wishVariables,
        action: "Warn",
        validations: [
          {
            expression: `!(variables.isOn && size(variables.overriding) > 0 && !has(object.spec.trafficDistribution))`,
            message: "fairlead: an annotation overrides trafficDistribution.",
            messageExpression: sentence(overriddenWarning, {
              annotation: "variables.overriding[0]",
              service: "object.metadata.name",
            }),
          },
        ],
      },
      sourcesOf(WARNINGS),
      scope,
    ),
  ];
}
