import type { PolicyObject, PolicyScope } from "./object";
import { podPolicies } from "./pods";
import { servicePolicies } from "./services";

export type { PolicyObject, PolicyScope, PolicyVersion } from "./object";

/**
 * fairlead's admission rules for Pods and Services as policies: MutatingAdmissionPolicies, ValidatingAdmissionPolicies for
 * denials and warnings, and their bindings, in an order in which they can be created: policies before their bindings.
 * They are as the API server keeps them, with all its defaults, so that what is equal needs no write; owner references
 * are the caller's. They do not depend on what is in the cluster: that is in their parameters.
 */
export function policyObjects(scope: PolicyScope): readonly PolicyObject[] {
  return [...podPolicies(scope), ...servicePolicies(scope)];
}
