import type { HostedAPIServer } from "../api";
import { isContestDropped, isOwnWrite, isSetBack, label, listOf, routedPod } from "./cel";
import {
  apiServerServices,
  defaultTopologyAwareServices,
  servicesOf,
} from "./control-plane-services";
import {
  ANNOTATION_CONTESTED,
  ANNOTATION_TRAFFIC_DISTRIBUTION,
  LABEL_NAMESPACE_NAME,
  LABEL_TOPOLOGY_AWARE,
} from "./names";

/** Where Pepr's own processes look for what they need; fairlead runs there. */
export const SYSTEM_NAMESPACE = "pepr-system";
/** fairlead's MutatingWebhookConfiguration, named as Pepr names it. */
export const WEBHOOK_CONFIGURATION = "pepr-fairlead";
/** The only webhook in it. */
export const WEBHOOK_NAME = "pepr-fairlead.pepr.dev";
/** The Service that the API server calls the webhook by, in `SYSTEM_NAMESPACE`. */
export const WEBHOOK_SERVICE = "pepr-fairlead";
/** The Secret of the webhook's serving certificate, in `SYSTEM_NAMESPACE`: `tls.crt`, `tls.key`. */
export const WEBHOOK_TLS_SECRET = "pepr-fairlead-tls";

/** An entry of `matchConditions`: the webhook is called only where each of them is true. */
export interface MatchCondition {
  readonly name: string;
  readonly expression: string;
}

/** An entry of `namespaceSelector.matchExpressions`. */
export interface NamespaceRequirement {
  readonly key: string;
  readonly operator: "In" | "NotIn";
  readonly values: readonly string[];
}

/** An entry of `rules`. */
interface Rule {
  readonly apiGroups: readonly string[];
  readonly apiVersions: readonly string[];
  readonly operations: readonly ("CREATE" | "UPDATE")[];
  readonly resources: readonly string[];
  readonly scope: "Namespaced";
}

/**
 * The fields of fairlead's webhook that say what reaches it, and how it is called, as the API server keeps them: all
 * its defaults are there, so that what is equal needs no write. `failurePolicy` and `clientConfig` are not among them.
 */
export interface WebhookRules {
  readonly matchConditions: readonly MatchCondition[];
  readonly matchPolicy: "Equivalent";
  readonly namespaceSelector: { readonly matchExpressions: readonly NamespaceRequirement[] };
  readonly reinvocationPolicy: "IfNeeded";
  readonly rules: readonly Rule[];
  readonly sideEffects: "None";
  readonly timeoutSeconds: number;
}

/** What the rules depend on besides what fairlead is. */
export interface WebhookScope {
  /**
   * Names of Services, besides the default ones, that HostedAPIServers want topology-aware; see `namedServices`. Others
   * are brought in line by the watch alone.
   */
  readonly serviceNames?: readonly string[];
  /** In the restricted mode: the only namespaces whose objects concern fairlead. */
  readonly namespaces?: readonly string[];
  /** Whether admission policies are in force, so that only what they can't express is the webhook's. Default: no. */
  readonly policies?: boolean;
}

/** More names than this are left to the watch: an expression is read at each write of a Service. */
const MAX_SERVICE_NAMES = 128;

/** Never called for these: the control plane must come up without fairlead, and fairlead without itself. */
const ignoredNamespaces = ["kube-system", SYSTEM_NAMESPACE];

/** A Pod that `routingOf` calls routed. */
function podsExpression(): string {
  return `request.resource.resource != "pods" ||
${routedPod()}`;
}

/**
 * A Service that may be given a value, since it is selected and has none; or one that carries fairlead's marks, or did
 * before an update.
 */
function servicesExpression(names: readonly string[]): string {
  const marks = [ANNOTATION_TRAFFIC_DISTRIBUTION, ANNOTATION_CONTESTED];
  return `request.resource.resource != "services" ||
(!has(object.spec.trafficDistribution) &&
${label(LABEL_TOPOLOGY_AWARE)} != "false" &&
(${label(LABEL_TOPOLOGY_AWARE)} == "true" ||
object.metadata.?name.orValue("") in ${listOf(names)})) ||
[object, oldObject].exists(o, o != null &&
  ${listOf(marks)}.exists(a, a in o.metadata.?annotations.orValue({})))`;
}

/**
 * The names of Services that these HostedAPIServers want topology-aware and that are not named by default; sorted, for
 * `webhookRules`.
 */
export function namedServices(hapis: readonly HostedAPIServer[]): readonly string[] {
  const known = new Set([...defaultTopologyAwareServices, ...apiServerServices]);
  // Beside each other only within a namespace; a name too many does no harm.
  const names = hapis.flatMap((hapi) => servicesOf(hapi, [hapi]));
  return [...new Set(names)].filter((name) => !known.has(name)).sort();
}

/** Where fairlead's admission acts, by the label that carries a namespace's name. */
export function namespaceRequirements(
  namespaces: readonly string[] | undefined,
): NamespaceRequirement[] {
  const key = LABEL_NAMESPACE_NAME;
  const ignored: NamespaceRequirement = { key, operator: "NotIn", values: ignoredNamespaces };
  if (namespaces === undefined) return [ignored];
  return [ignored, { key, operator: "In", values: [...namespaces].sort() }];
}

type Matching = Pick<WebhookRules, "matchConditions" | "rules">;

const rule = { apiGroups: [""], apiVersions: ["v1"], scope: "Namespaced" } as const;

function matchingAll({ serviceNames = [] }: WebhookScope): Matching {
  const extra = serviceNames.slice(0, MAX_SERVICE_NAMES);
  const names = [...new Set([...defaultTopologyAwareServices, ...apiServerServices, ...extra])];
  return {
    matchConditions: [
      { name: "pods", expression: podsExpression() },
      { name: "services", expression: servicesExpression(names) },
    ],
    rules: [
      { ...rule, operations: ["CREATE"], resources: ["pods"] },
      { ...rule, operations: ["CREATE", "UPDATE"], resources: ["services"] },
    ],
  };
}

/** What policies can't express: an expression remembers nothing between two requests, and warns of no change. */
function matchingContests(): Matching {
  return {
    matchConditions: [
      { name: "others", expression: `!(${isOwnWrite})` },
      { name: "contests", expression: `(${isSetBack}) ||\n(${isContestDropped})` },
    ],
    rules: [{ ...rule, operations: ["UPDATE"], resources: ["services"] }],
  };
}

/**
 * What is to reach fairlead's webhook, and how: only what its admission might change, deny or warn of, or, beside
 * policies, what of it they can't express. What it depends on in the cluster (a route, zones, versions) no condition can
 * know.
 *
 * Only fields and functions that Kubernetes 1.31 knows. No expression can fail: with `failurePolicy: Fail` that would
 * refuse the object.
 * @see https://kubernetes.io/docs/reference/access-authn-authz/extensible-admission-controllers/#matching-requests-matchconditions
 */
export function webhookRules(scope: WebhookScope = {}): WebhookRules {
  const { matchConditions, rules } =
    scope.policies === true ? matchingContests() : matchingAll(scope);
  return {
    matchConditions,
    matchPolicy: "Equivalent",
    namespaceSelector: { matchExpressions: namespaceRequirements(scope.namespaces) },
    reinvocationPolicy: "IfNeeded",
    rules,
    sideEffects: "None",
    // The admission waits for its inputs for three seconds at most.
    timeoutSeconds: 5,
  };
}
