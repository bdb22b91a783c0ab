import { createHash } from "node:crypto";

import { applyPatch, type Operation } from "fast-json-patch";

import type { Effect, Pod, Verdict } from "./types";

/** The part of an AdmissionReview's `response` that is read. */
export interface AdmissionAnswer {
  readonly uid: string;
  readonly allowed: boolean;
  readonly patch?: string;
  readonly status?: { readonly code?: number; readonly message?: string };
  readonly warnings?: readonly string[];
}

const uidOf = (text: string): string =>
  createHash("sha256")
    .update(text)
    .digest("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12}).*$/, "$1-$2-$3-$4-$5");

/** The AdmissionReview that an API server sends when the Pod is created in the namespace. */
export const admissionReview = (pod: Pod, namespace: string): object => {
  const resource = { group: "", version: "v1", resource: "pods" };
  const kind = { group: "", version: "v1", kind: "Pod" };
  return {
    apiVersion: "admission.k8s.io/v1",
    kind: "AdmissionReview",
    request: {
      uid: uidOf(`${namespace}/${JSON.stringify(pod)}`),
      kind,
      resource,
      requestKind: kind,
      requestResource: resource,
      ...(pod.metadata.name === undefined ? {} : { name: pod.metadata.name }),
      namespace,
      operation: "CREATE",
      userInfo: { username: "system:serviceaccount:kube-system:replicaset-controller" },
      object: pod,
      oldObject: null,
      dryRun: false,
      options: { apiVersion: "meta.k8s.io/v1", kind: "CreateOptions" },
    },
  };
};

/** The Pod after the answer's JSON patch. Throws where the patch does not apply. */
export const patchedPod = (pod: Pod, answer: AdmissionAnswer): Pod => {
  if (!answer.allowed || answer.patch === undefined) return pod;
  const operations = JSON.parse(
    Buffer.from(answer.patch, "base64").toString("utf8"),
  ) as Operation[];
  return applyPatch(structuredClone(pod), operations, true).newDocument;
};

/** The host aliases and labels of a Pod; null where it has none. */
export const effectOf = (pod: Pod): Effect => {
  const hostAliases = pod.spec.hostAliases ?? [];
  const labels = pod.metadata.labels ?? {};
  return {
    hostAliases: hostAliases.length > 0 ? hostAliases : null,
    labels: Object.keys(labels).length > 0 ? labels : null,
  };
};

/** What is recorded of an answer besides its patch. */
export const verdictOf = ({ allowed, status }: AdmissionAnswer): Verdict => ({
  allowed,
  code: status?.code ?? null,
  message: status?.message ?? "",
});
