import { LABEL_MANAGED_BY, MANAGED_BY } from "../../../lib/domain/names";
import { PARAMETERS_CONFIG_MAP, parameterLabels } from "../../../lib/domain/admission-policies";
import { literal } from "../../../lib/domain/cel";
import { namespaceRequirements } from "../../../lib/domain/webhook";

/** A version of `admissionregistration.k8s.io` that serves MutatingAdmissionPolicies; validating ones are v1 always. */
export type PolicyVersion = "v1" | "v1beta1";

/** An object of `admissionregistration.k8s.io`: a policy or a binding. All are cluster-scoped. */
export interface PolicyObject {
  readonly apiVersion: `admissionregistration.k8s.io/${PolicyVersion}`;
  readonly kind:
    | "MutatingAdmissionPolicy"
    | "MutatingAdmissionPolicyBinding"
    | "ValidatingAdmissionPolicy"
    | "ValidatingAdmissionPolicyBinding";
  readonly metadata: {
    readonly name: string;
    readonly labels: Readonly<Record<string, string>>;
  };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** What the policies depend on besides what fairlead is. */
export interface PolicyScope {
  /** What discovery says: `v1` where it is served, else `v1beta1`. */
  readonly apiVersion: PolicyVersion;
  /** In the restricted mode: the only namespaces whose objects concern fairlead. */
  readonly namespaces?: readonly string[];
}

/** An expression with a name: a variable, or a match condition. */
export interface Named {
  readonly name: string;
  readonly expression: string;
}

/** One of the things that a validating policy looks at; it is false where it denies or warns. */
export interface Validation {
  readonly expression: string;
  /** What is said where there is no `messageExpression`, or it fails. */
  readonly message: string;
  readonly messageExpression?: string;
}

/** What a mutating and a validating policy have in common. */
export interface Rules {
  readonly name: string;
  readonly resource: "pods" | "services";
  readonly operations: readonly ("CREATE" | "UPDATE")[];
  readonly matchConditions: readonly Named[];
  readonly variables: readonly Named[];
}

/** Where a binding finds parameters: in the object's namespace, or in one that is named. */
export interface ParameterSource {
  readonly name: string;
  readonly namespace?: string;
}

/** That the parameters are fairlead's, with these keys. A copy under another name would apply everything twice. */
export function hasParameters(keys: readonly string[]): string {
  const all = keys.map((key) => `${literal(key)} in params.data`);
  return [
    `params.metadata.name == ${literal(PARAMETERS_CONFIG_MAP)}`,
    "has(params.data)",
    ...all,
  ].join(" && ");
}

const metadataOf = (name: string): PolicyObject["metadata"] => ({
  name,
  labels: { [LABEL_MANAGED_BY]: MANAGED_BY },
});

function specOf({ resource, operations, matchConditions, variables }: Rules, scope: PolicyScope) {
  return {
    matchConditions,
    matchConstraints: {
      matchPolicy: "Equivalent",
      namespaceSelector: { matchExpressions: namespaceRequirements(scope.namespaces) },
      objectSelector: {},
      resourceRules: [
        {
          apiGroups: [""],
          apiVersions: ["v1"],
          operations,
          resources: [resource],
          scope: "Namespaced",
        },
      ],
    },
    paramKind: { apiVersion: "v1", kind: "ConfigMap" },
    variables,
  };
}

/**
 * By label and not by name: for a name that the API server's cache does not have, newer ones ask etcd at each request,
 * in every namespace that is not fairlead's.
 */
function paramRefOf({ namespace }: ParameterSource) {
  return {
    ...(namespace === undefined ? {} : { namespace }),
    parameterNotFoundAction: "Allow",
    selector: { matchLabels: parameterLabels },
  };
}

/** A MutatingAdmissionPolicy that applies a JSON patch, given as a CEL list of operations, and its bindings. */
export function mutating(
  rules: Rules & { readonly patch: string },
  sources: readonly ParameterSource[],
  scope: PolicyScope,
): readonly PolicyObject[] {
  const apiVersion = `admissionregistration.k8s.io/${scope.apiVersion}` as const;
  const { name, patch } = rules;
  return [
    {
      apiVersion,
      kind: "MutatingAdmissionPolicy",
      metadata: metadataOf(name),
      spec: {
        failurePolicy: "Fail",
        ...specOf(rules, scope),
        mutations: [{ jsonPatch: { expression: patch }, patchType: "JSONPatch" }],
        reinvocationPolicy: "IfNeeded",
      },
    },
    ...sources.map(
      (source): PolicyObject => ({
        apiVersion,
        kind: "MutatingAdmissionPolicyBinding",
        metadata: metadataOf(source.name),
        spec: { paramRef: paramRefOf(source), policyName: name },
      }),
    ),
  ];
}

/** A ValidatingAdmissionPolicy that denies or warns, and its bindings. */
export function validating(
  rules: Rules & {
    readonly action: "Deny" | "Warn";
    readonly validations: readonly Validation[];
  },
  sources: readonly ParameterSource[],
  scope: PolicyScope,
): readonly PolicyObject[] {
  const apiVersion = "admissionregistration.k8s.io/v1";
  const { name, action, validations } = rules;
  return [
    {
      apiVersion,
      kind: "ValidatingAdmissionPolicy",
      metadata: metadataOf(name),
      spec: {
        // A warning that can't be given is no reason to refuse.
        failurePolicy: action === "Deny" ? "Fail" : "Ignore",
        ...specOf(rules, scope),
        validations: validations.map((validation) => ({ ...validation, reason: "Forbidden" })),
      },
    },
    ...sources.map(
      (source): PolicyObject => ({
        apiVersion,
        kind: "ValidatingAdmissionPolicyBinding",
        metadata: metadataOf(source.name),
        spec: { paramRef: paramRefOf(source), policyName: name, validationActions: [action] },
      }),
    ),
  ];
}
