import type { KubernetesObject } from "../../lib/api";
import { SYSTEM_NAMESPACE } from "../../lib/domain/webhook";
import { IN_FORCE_CONFIG_MAP, IN_FORCE_PROBE } from "../../lib/domain/admission-policies";
import { LABEL_NAMESPACE_NAME, LABEL_USE } from "../../lib/domain/names";
import type { PolicyVersion } from "./resources";
import type { AnyPolicy } from "./observed";

// Whether an API server follows policies is asked by the attempt to create a ConfigMap that nobody may create: a mutating
// policy writes the mark into it, and a validating one refuses it with a sentence that has the mark twice, by itself and as
// it was written. An API server hears of policies, of bindings and of ConfigMaps each in the order of their writes, and
// these are the last of each: who knows them knows those that were made before.

/** Name of the policies and of their bindings. */
const NAME = IN_FORCE_CONFIG_MAP;
const SENTENCE = "fairlead's policies are in force:";
const VALIDATING = "admissionregistration.k8s.io/v1";

const matchConstraints = {
  matchPolicy: "Equivalent",
  namespaceSelector: {
    matchExpressions: [{ key: LABEL_NAMESPACE_NAME, operator: "In", values: [SYSTEM_NAMESPACE] }],
  },
  objectSelector: {},
  resourceRules: [
    {
      apiGroups: [""],
      apiVersions: ["v1"],
      operations: ["CREATE"],
      resources: ["configmaps"],
      resourceNames: [IN_FORCE_PROBE],
      scope: "Namespaced",
    },
  ],
};
const paramKind = { apiVersion: "v1", kind: "ConfigMap" };
/** By label: what its cache does not have by name, an API server reads elsewhere, and knows it before its time. */
export const markLabels: Readonly<Record<string, string>> = { [LABEL_USE]: "policies-in-force" };
const paramRef = {
  namespace: SYSTEM_NAMESPACE,
  parameterNotFoundAction: "Allow",
  selector: { matchLabels: markLabels },
};
const metadata = { name: NAME };

/** The policies by which it is seen whether policies are in force, and their bindings. */
export function inForceObjects(version: PolicyVersion): readonly AnyPolicy[] {
  return [
    {
      apiVersion: `admissionregistration.k8s.io/${version}`,
      kind: "MutatingAdmissionPolicy",
      metadata,
      spec: {
        failurePolicy: "Fail",
        reinvocationPolicy: "Never",
        paramKind,
        matchConstraints,
        mutations: [
          {
            patchType: "JSONPatch",
            jsonPatch: {
              expression:
                '[JSONPatch{op: "add", path: "/data", value: {"mark": params.data.mark}}]',
            },
          },
        ],
      },
    },
    {
      apiVersion: VALIDATING,
      kind: "ValidatingAdmissionPolicy",
      metadata,
      spec: {
        failurePolicy: "Fail",
        paramKind,
        matchConstraints,
        validations: [
          {
            expression: "false",
            messageExpression: `${JSON.stringify(`${SENTENCE} `)} + params.data.mark + " " + object.?data[?"mark"].orValue("-")`,
            // Not Forbidden: whoever looks for rights that are missing looks for that.
            reason: "Invalid",
          },
        ],
      },
    },
    {
      apiVersion: `admissionregistration.k8s.io/${version}`,
      kind: "MutatingAdmissionPolicyBinding",
      metadata,
      spec: { policyName: NAME, paramRef },
    },
    {
      apiVersion: VALIDATING,
      kind: "ValidatingAdmissionPolicyBinding",
      metadata,
      spec: { policyName: NAME, paramRef, validationActions: ["Deny"] },
    },
  ];
}

/** What is tried to be created. */
export function probeConfigMap(labels: Readonly<Record<string, string>>): KubernetesObject {
  return {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: IN_FORCE_PROBE, namespace: SYSTEM_NAMESPACE, labels },
  };
}

/** Whether a refusal says that an API server follows both policies, and knows the mark. */
export function isInForce(sentence: string, mark: string): boolean {
  return sentence.includes(`${SENTENCE} ${mark} ${mark}`);
}
