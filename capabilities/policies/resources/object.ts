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
