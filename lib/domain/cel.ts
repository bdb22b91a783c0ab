/**
 * Building blocks of CEL expressions, as the API server evaluates them for match conditions and policies. They are read
 * at each write, so they are short; none can fail, since with `failurePolicy: Fail` that would refuse the object.
 * @see https://kubernetes.io/docs/reference/using-api/cel/
 */
import {
  ANNOTATION_CONTESTED,
  ANNOTATION_TRAFFIC_DISTRIBUTION,
  FIELD_MANAGERS,
  LABEL_ROUTE,
  LABEL_TOPOLOGY_AWARE,
} from "./names";
import { GENERIC_KUBECONFIG_PREFIX } from "./routed-pods";
import { overridingAnnotations } from "./traffic-distribution";

/** A string. Names, labels and sentences are JSON's strings, whose escapes are CEL's too. */
export function literal(text: string): string {
  return JSON.stringify(text);
}

/** A list of strings. */
export function listOf(texts: readonly string[]): string {
  return `[${texts.map(literal).join(", ")}]`;
}

/** The value of a label of the object, or "". */
export function label(name: string): string {
  return `object.metadata.?labels[?${literal(name)}].orValue("")`;
}

/** Whether an object, which may be null, has an annotation. */
export function hasAnnotation(object: "object" | "oldObject", name: string): string {
  return `${literal(name)} in ${object}.metadata.?annotations.orValue({})`;
}

/** Whether the object is a Pod that `routingOf` calls routed. */
export function routedPod(): string {
  const isKubeconfig = `startsWith(${literal(GENERIC_KUBECONFIG_PREFIX)})`;
  return `${label(LABEL_ROUTE)} == "true" ||
(${label(LABEL_ROUTE)} != "false" &&
object.spec.?volumes.orValue([]).exists(v,
  v.?secret.?secretName.orValue("").${isKubeconfig} ||
  v.?projected.?sources.orValue([]).exists(s,
    s.?secret.?name.orValue("").${isKubeconfig})))`;
}

/** Whether an update of a Service is the watch's own. */
export const isOwnWrite = `request.options.?fieldManager.orValue("") == ${literal(FIELD_MANAGERS.services)}`;

/**
 * Whether an update of a Service takes away what fairlead had set, puts nothing of its own there, and might be answered
 * by setting it again: the webhook counts such rounds.
 */
export const isSetBack = `has(oldObject.spec.trafficDistribution) &&
oldObject.metadata.?annotations[?${literal(ANNOTATION_TRAFFIC_DISTRIBUTION)}].orValue("") == oldObject.spec.trafficDistribution &&
!has(object.spec.trafficDistribution) &&
${label(LABEL_TOPOLOGY_AWARE)} != "false" &&
object.spec.?type.orValue("") != "ExternalName" &&
!${listOf([ANNOTATION_CONTESTED, ...overridingAnnotations])}.exists(a, a in object.metadata.?annotations.orValue({}))`;

/**
 * Whether an update of a Service drops the annotation that ends a contest, and whoever contests sends it: the webhook
 * puts it back, and warns.
 */
export const isContestDropped = `${hasAnnotation("oldObject", ANNOTATION_CONTESTED)} &&
!(${hasAnnotation("object", ANNOTATION_CONTESTED)}) &&
oldObject.metadata.annotations[${literal(ANNOTATION_CONTESTED)}] ==
  (request.options.?fieldManager.orValue("") == "" ? request.userInfo.username :
    request.userInfo.username + " (" + request.options.fieldManager + ")")`;

const PLACEHOLDER = /\{(\w+)\}/;

/**
 * The sentence that a template gives, as an expression: the same words as where the webhook says it.
 * @param template Gives the sentence for values of its names.
 * @param values For each name an expression of a string.
 */
export function sentence<Name extends string>(
  template: (values: Readonly<Record<Name, string>>) => string,
  values: Readonly<Record<Name, string>>,
): string {
  const names = Object.keys(values) as Name[];
  const placeholders = Object.fromEntries(names.map((name) => [name, `{${name}}`]));
  // Every other part is the name within a placeholder.
  const parts = template(placeholders as Record<Name, string>).split(PLACEHOLDER);
  return parts
    .map((part, index) => (index % 2 === 0 ? literal(part) : values[part as Name]))
    .filter((part) => part !== '""')
    .join(" + ");
}
