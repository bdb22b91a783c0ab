import { randomUUID } from "node:crypto";
import type { AnyObject, Api } from "../../test/harness/api";

/** What an API server asks a webhook about a Pod that is being created: with its defaults and field managers, without a uid. */
export async function reviewOf(api: Api, pod: AnyObject): Promise<object> {
  const { body } = await api.tryToCreate(pod);
  const {
    uid: _uid,
    creationTimestamp: _at,
    resourceVersion: _version,
    ...metadata
  } = body.metadata;
  const gvk = { group: "", version: "v1", kind: "Pod" };
  const resource = { group: "", version: "v1", resource: "pods" };
  return {
    kind: "AdmissionReview",
    apiVersion: "admission.k8s.io/v1",
    request: {
      uid: randomUUID(),
      kind: gvk,
      resource,
      requestKind: gvk,
      requestResource: resource,
      namespace: metadata.namespace,
      operation: "CREATE",
      userInfo: {
        username: "system:serviceaccount:kube-system:replicaset-controller",
        uid: randomUUID(),
        groups: [
          "system:serviceaccounts",
          "system:serviceaccounts:kube-system",
          "system:authenticated",
        ],
      },
      object: { ...body, metadata },
      oldObject: null,
      dryRun: true,
      options: { kind: "CreateOptions", apiVersion: "meta.k8s.io/v1", dryRun: ["All"] },
    },
  };
}
