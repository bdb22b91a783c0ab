import { API_VERSION } from "../domain/names";

/** Names an object; `namespace` is absent for cluster-scoped kinds. */
export interface ObjectRef {
  readonly apiVersion: string;
  readonly kind: string;
  readonly namespace?: string;
  readonly name: string;
}

/** Names a kind. */
export interface KindRef {
  readonly apiVersion: string;
  readonly kind: string;
}

// The kinds that fairlead works with, by their plural: a table instead of discovery, which would cost a read each.
const plurals: Readonly<Record<string, string>> = {
  "v1/ConfigMap": "configmaps",
  "v1/Event": "events",
  "v1/Namespace": "namespaces",
  "v1/Node": "nodes",
  "v1/Pod": "pods",
  "v1/Secret": "secrets",
  "v1/Service": "services",
  "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy": "mutatingadmissionpolicies",
  "admissionregistration.k8s.io/v1/MutatingAdmissionPolicyBinding":
    "mutatingadmissionpolicybindings",
  "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicy": "mutatingadmissionpolicies",
  "admissionregistration.k8s.io/v1beta1/MutatingAdmissionPolicyBinding":
    "mutatingadmissionpolicybindings",
  "admissionregistration.k8s.io/v1/MutatingWebhookConfiguration": "mutatingwebhookconfigurations",
  "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicy": "validatingadmissionpolicies",
  "admissionregistration.k8s.io/v1/ValidatingAdmissionPolicyBinding":
    "validatingadmissionpolicybindings",
  "apps/v1/DaemonSet": "daemonsets",
  "apps/v1/Deployment": "deployments",
  "apps/v1/ReplicaSet": "replicasets",
  "apps/v1/StatefulSet": "statefulsets",
  "discovery.k8s.io/v1/EndpointSlice": "endpointslices",
  "apiextensions.k8s.io/v1/CustomResourceDefinition": "customresourcedefinitions",
  "networking.k8s.io/v1/NetworkPolicy": "networkpolicies",
  "networking.istio.io/v1/DestinationRule": "destinationrules",
  "networking.istio.io/v1/Gateway": "gateways",
  "networking.istio.io/v1/ServiceEntry": "serviceentries",
  "networking.istio.io/v1/VirtualService": "virtualservices",
  "networking.istio.io/v1alpha3/EnvoyFilter": "envoyfilters",
  "policy/v1/PodDisruptionBudget": "poddisruptionbudgets",
  "rbac.authorization.k8s.io/v1/ClusterRole": "clusterroles",
  "rbac.authorization.k8s.io/v1/ClusterRoleBinding": "clusterrolebindings",
  "rbac.authorization.k8s.io/v1/Role": "roles",
  "rbac.authorization.k8s.io/v1/RoleBinding": "rolebindings",
  [`${API_VERSION}/HostedAPIServer`]: "hostedapiservers",
  [`${API_VERSION}/InternalGateway`]: "internalgateways",
};

/**
 * The path of a kind's collection: over all namespaces, or in one.
 * @throws Error for a kind that is not in the table (a bug).
 */
export function collectionPath({ apiVersion, kind }: KindRef, namespace?: string): string {
  const plural = plurals[`${apiVersion}/${kind}`];
  if (plural === undefined) throw new Error(`unknown kind ${apiVersion} ${kind}`);
  const base = apiVersion.includes("/") ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
  return namespace === undefined
    ? `${base}/${plural}`
    : `${base}/namespaces/${encodeURIComponent(namespace)}/${plural}`;
}

/** The path of an object. */
export function objectPath(ref: ObjectRef): string {
  return `${collectionPath(ref, ref.namespace)}/${encodeURIComponent(ref.name)}`;
}
