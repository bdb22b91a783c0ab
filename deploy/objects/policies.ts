import { GROUP } from "../../lib/api/names";
import {
  IN_FORCE_CONFIG_MAP,
  IN_FORCE_PROBE,
  PARAMETERS_CONFIG_MAP,
} from "../../lib/domain/admission-policies";
import {
  ANNOTATION_RESTARTED_AT,
  LABEL_MANAGED_BY,
  MANAGED_BY,
  ROUTE_CONFIG_MAP,
} from "../../lib/domain/names";
import { WEBHOOK_TLS_SECRET } from "../../lib/domain/webhook";
import { clusterMeta, SYSTEM_NAMESPACE, userOf, WATCH } from "../names";
import type { Entry, Template } from "../template";

const API_VERSION = "admissionregistration.k8s.io/v1";

interface Policy {
  readonly name: string;
  readonly value: string;
  readonly spec: Template;
}

/** With the API server's own defaults, so that what is applied is what is kept, field by field. */
function matching(...resourceRules: readonly Template[]): Template {
  return { matchPolicy: "Equivalent", namespaceSelector: {}, objectSelector: {}, resourceRules };
}

function entriesOf({ name, value, spec }: Policy): readonly Entry[] {
  const when = [{ path: `admissionPolicies.${value}`, is: true }];
  return [
    {
      object: {
        apiVersion: API_VERSION,
        kind: "ValidatingAdmissionPolicy",
        metadata: clusterMeta(name),
        spec: { failurePolicy: "Fail", ...spec },
      },
      when,
    },
    {
      object: {
        apiVersion: API_VERSION,
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: clusterMeta(name),
        spec: { policyName: name, validationActions: ["Deny"] },
      },
      when,
    },
  ];
}

const quoted = (text: string): string => JSON.stringify(text);

/** A kind of objects and what is done to them, as policies match it. */
function writes(
  apiGroup: string,
  resources: readonly string[],
  operations: readonly string[],
): Template {
  return { apiGroups: [apiGroup], apiVersions: ["*"], resources, operations, scope: "Namespaced" };
}

const isWatch = `request.userInfo.username == ${quoted(userOf(WATCH))}`;
/** Pepr's own manifest has one ServiceAccount for both processes; it is for evaluation. */
const fairleads = [userOf(WATCH), `system:serviceaccount:${SYSTEM_NAMESPACE}:pepr-fairlead`];

/** Secrets that fairlead makes in gateway namespaces; a gateway looks for a CA in `<name>-cacert` first. */
const CREDENTIAL = "-(tls|istio-mtls)-[0-9a-f]{10}(-cacert)?$";
/** The subset by which a gateway shows its own certificate, and so is believed whatever it says of a client. */
const TRUSTED_SUBSET = "client-certificate";

const isCredential = `exists(n, n.matches(${quoted(CREDENTIAL)}))`;
const isTrusted = `.?destination.?subset.orValue("") == ${quoted(TRUSTED_SUBSET)}`;
const about = (resource: string): string => `request.resource.resource != ${quoted(resource)}`;

const gatewayRule = `${about("gateways")} ||
!object.spec.?servers.orValue([]).exists(s,
  ([s.?tls.?credentialName.orValue(""), s.?tls.?caCertCredentialName.orValue("")] +
    s.?tls.?credentialNames.orValue([])).${isCredential})`;

const destinationRuleRule = `${about("destinationrules")} ||
!([object.spec.?trafficPolicy] +
    object.spec.?subsets.orValue([]).map(s, s.?trafficPolicy)).exists(p,
  ([p.?tls.?credentialName.orValue("")] +
    p.?portLevelSettings.orValue([]).map(l, l.?tls.?credentialName.orValue(""))).${isCredential})`;

const virtualServiceRule = `${about("virtualservices")} ||
!(object.spec.?http.orValue([]).exists(h,
    h.?route.orValue([]).exists(r, r${isTrusted}) ||
    h.?mirror.?subset.orValue("") == ${quoted(TRUSTED_SUBSET)} ||
    h.?mirrors.orValue([]).exists(m, m${isTrusted})) ||
  (object.spec.?tls.orValue([]) + object.spec.?tcp.orValue([])).exists(t,
    t.?route.orValue([]).exists(r, r${isTrusted})))`;

/**
 * Who may write Istio's objects could show a client another tenant's certificate, or reach another tenant's API server
 * as a proxy that is believed. A Gateway of any namespace can use a gateway's Secrets, and a VirtualService of any can
 * be bound to it, so it is not by namespace that they are told apart.
 */
const guardGateways: Policy = {
  name: "fairlead-guard-gateways",
  value: "guardGateways",
  spec: {
    matchConstraints: matching(
      writes(
        "networking.istio.io",
        ["gateways", "destinationrules", "virtualservices"],
        ["CREATE", "UPDATE"],
      ),
    ),
    matchConditions: [
      {
        name: "others",
        expression: `!(request.userInfo.username in [${fairleads.map(quoted).join(", ")}])`,
      },
      {
        // A label or a finalizer is nobody's danger.
        name: "spec",
        expression: `request.operation == "CREATE" || object.?spec != oldObject.?spec`,
      },
      { name: "not-empty", expression: "has(object.spec)" },
    ],
    validations: [
      {
        expression: gatewayRule,
        message: "credentialName is a Secret of fairlead's, which serves a hosted API server.",
        reason: "Forbidden",
      },
      {
        expression: destinationRuleRule,
        message: "credentialName is a Secret of fairlead's, which a hosted API server believes.",
        reason: "Forbidden",
      },
      {
        expression: virtualServiceRule,
        message: `subset ${TRUSTED_SUBSET} is fairlead's: there a gateway shows its own certificate to a hosted API server.`,
        reason: "Forbidden",
      },
    ],
  },
};

const own = (object: string): string =>
  `${object}.metadata.?labels[?${quoted(LABEL_MANAGED_BY)}].orValue("") == ${quoted(MANAGED_BY)}`;
const kept = (...fields: readonly string[]): string =>
  fields.map((field) => `object.${field} == oldObject.${field}`).join(" && ");

/**
 * Where no control plane is. (That there is a HostedAPIServer could be asked for by params, but where a policy finds none
 * of these, it refuses everybody, whatever its conditions.)
 */
const noControlPlanes = ["kube-system", "kube-public", "kube-node-lease", SYSTEM_NAMESPACE];

/** What runs, how many, for whom: everything of a workload that matters but two annotations. */
const workloadFields = [
  "metadata.?labels",
  "metadata.?ownerReferences",
  "metadata.?finalizers",
  "spec.?replicas",
  "spec.?selector",
  "spec.?paused",
  "spec.?strategy",
  "spec.?updateStrategy",
  "spec.template.?spec",
  "spec.template.?metadata.?labels",
];

const templateAnnotations = (object: string): string =>
  `${object}.spec.template.?metadata.?annotations.orValue({})`;
const annotationsBut = (key: string): string =>
  `${templateAnnotations("object")}.all(k, k == ${quoted(key)} ||
  ${templateAnnotations("oldObject")}[?k].orValue("") == ${templateAnnotations("object")}[k]) &&
${templateAnnotations("oldObject")}.all(k, k in ${templateAnnotations("object")})`;

/** Routes, and what admission policies read. */
const ownConfigMaps = [
  ROUTE_CONFIG_MAP,
  PARAMETERS_CONFIG_MAP,
  IN_FORCE_CONFIG_MAP,
  IN_FORCE_PROBE,
];

const writeRules: readonly (readonly [expression: string, message: string])[] = [
  [
    'request.operation == "UPDATE" || variables.own',
    "fairlead makes and deletes only what carries its own label.",
  ],
  [
    `${about("secrets")} || request.operation != "UPDATE" || variables.own || variables.serving ||
(!(request.namespace in [${noControlPlanes.map(quoted).join(", ")}]) &&
${kept("?type", "metadata.?labels", "metadata.?ownerReferences")} &&
object.?data.orValue({}).all(k, k in oldObject.?data.orValue({})) &&
oldObject.?data.orValue({}).all(k, k in object.?data.orValue({})))`,
    "Of Secrets that are not its own, fairlead changes values alone, and only beside control planes.",
  ],
  [
    `${about("configmaps")} || (variables.own && variables.name in [${ownConfigMaps.map(quoted).join(", ")}])`,
    `fairlead writes only its own ConfigMaps ${ownConfigMaps.join(", ")}.`,
  ],
  [
    `${about("services")} || request.operation != "UPDATE" || variables.own ||
(${kept("spec.?type", "spec.?selector", "spec.?ports", "spec.?externalName", "spec.?externalIPs", "metadata.?labels")})`,
    "Of Services that are not its own, fairlead changes trafficDistribution and annotations alone.",
  ],
  [
    `request.resource.group != "apps" ||
(!(request.namespace in [${noControlPlanes.map(quoted).join(", ")}]) &&
${kept(...workloadFields)} &&
${annotationsBut(ANNOTATION_RESTARTED_AT)})`,
    `Of workloads, fairlead changes the annotation ${ANNOTATION_RESTARTED_AT} of their Pod template and their own annotations alone, and only beside control planes.`,
  ],
  [`${about("networkpolicies")} || variables.own`, "fairlead writes only its own NetworkPolicies."],
  [
    `request.resource.group != ${quoted(GROUP)} || ${kept("spec")}`,
    "fairlead changes no spec of its users' objects.",
  ],
];

/** In RBAC a right is for all objects of a kind; these rules narrow it to those that fairlead has need of. */
const guardWrites: Policy = {
  name: "fairlead-guard-writes",
  value: "guardWrites",
  spec: {
    matchConstraints: matching(
      writes("", ["secrets", "configmaps", "services"], ["CREATE", "UPDATE", "DELETE"]),
      writes("networking.k8s.io", ["networkpolicies"], ["CREATE", "UPDATE", "DELETE"]),
      writes("apps", ["deployments", "statefulsets", "daemonsets"], ["UPDATE"]),
      writes(GROUP, ["hostedapiservers", "internalgateways"], ["UPDATE"]),
    ),
    matchConditions: [{ name: "fairlead-watch", expression: isWatch }],
    variables: [
      // What it is now; a label that is only being added makes nothing one's own.
      { name: "current", expression: 'request.operation == "CREATE" ? object : oldObject' },
      { name: "name", expression: 'variables.current.metadata.?name.orValue("")' },
      { name: "own", expression: own("variables.current") },
      {
        name: "serving",
        expression: `request.namespace == ${quoted(SYSTEM_NAMESPACE)} && !(${about("secrets")}) &&
variables.name == ${quoted(WEBHOOK_TLS_SECRET)}`,
      },
    ],
    validations: writeRules.map(([expression, message]) => ({
      expression,
      message,
      reason: "Forbidden",
    })),
  },
};

/** ValidatingAdmissionPolicies: what others may not do to gateways, and what fairlead itself may not do. */
export function policyEntries(): readonly Entry[] {
  return [guardGateways, guardWrites].flatMap(entriesOf);
}
