import type { OwnerReference, PartialObjectMetadata, PodDisruptionBudget } from "../../lib/api";
import { isSameAddress } from "../../lib/domain/ip-addresses";
import { selects } from "../../lib/domain/label-selectors";
import type { ExistingPod } from "../../lib/domain/stale-pods";
import { aliasesOf, type Route, type Workload, type Workloads } from "./observed";

/** Why stale Pods are not made anew: there is nobody to do it, or he has to be left alone. */
export type LeftAlone =
  | "BarePod"
  | "Job"
  | "OtherOwner"
  | "Paused"
  | "OnDelete"
  | "Partitioned"
  | "OwnAlias"
  | "StillStale"
  | "BeingDeleted";

/** Whom a Pod belongs to. */
export type Ownership =
  | { readonly kind: "owned"; readonly owner: Workload }
  | { readonly kind: "none"; readonly reason: "BarePod" | "Job" | "OtherOwner" }
  /** Its ReplicaSet is newer than what was looked at, or gone. */
  | { readonly kind: "unknown" };

/** `Deployment main`. */
export function titleOf({ kind, metadata }: Workload): string {
  return `${kind} ${metadata.name}`;
}

function controllerOf({ metadata }: PartialObjectMetadata): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** Finds whom a Pod belongs to: a ReplicaSet's is its Deployment's. */
export function ownershipOf(pod: ExistingPod, { owners, replicaSets }: Workloads): Ownership {
  const direct = controllerOf(pod as PartialObjectMetadata);
  if (direct === undefined) return { kind: "none", reason: "BarePod" };
  if (direct.kind === "Job") return { kind: "none", reason: "Job" };
  const replicaSet = replicaSets.find(({ metadata }) => metadata.uid === direct.uid);
  if (direct.kind === "ReplicaSet" && replicaSet === undefined) return { kind: "unknown" };
  const reference = replicaSet === undefined ? direct : controllerOf(replicaSet);
  const owner = owners.find(({ metadata }) => metadata.uid === reference?.uid);
  return owner === undefined ? { kind: "none", reason: "OtherOwner" } : { kind: "owned", owner };
}

/** Whether all Pods of an owner are of its present template, and available: what `kubectl rollout status` waits for. */
export function isComplete(owner: Workload): boolean {
  const { generation = 0 } = owner.metadata;
  if ((owner.status?.observedGeneration ?? 0) < generation) return false;
  switch (owner.kind) {
    case "Deployment": {
      const { replicas: wanted = 1 } = owner.spec;
      const { replicas = 0, updatedReplicas = 0, availableReplicas = 0 } = owner.status ?? {};
      return (
        updatedReplicas >= wanted && replicas <= updatedReplicas && availableReplicas >= wanted
      );
    }
    case "StatefulSet": {
      const { replicas: wanted = 1 } = owner.spec;
      const { updateRevision, currentRevision, availableReplicas = 0 } = owner.status ?? {};
      return updateRevision === currentRevision && availableReplicas >= wanted;
    }
    case "DaemonSet": {
      const {
        desiredNumberScheduled = 0,
        updatedNumberScheduled = 0,
        numberAvailable = 0,
      } = owner.status ?? {};
      return (
        updatedNumberScheduled >= desiredNumberScheduled &&
        numberAvailable >= desiredNumberScheduled
      );
    }
  }
}

/** The template itself aliases a host elsewhere: so would new Pods. */
function hasOwnAlias({ spec }: Workload, route: Route): boolean {
  const known = aliasesOf(route);
  return (spec.template.spec?.hostAliases ?? []).some(
    ({ ip, hostnames }) =>
      !known.addresses.some((address) => isSameAddress(address, ip)) &&
      hostnames?.some((host) => known.hosts.includes(host)) === true,
  );
}

/** Why an owner must be left alone for what it is; undefined where it can be rolled. */
export function obstacleOf(owner: Workload, route: Route): LeftAlone | undefined {
  if (owner.metadata.deletionTimestamp !== undefined) return "BeingDeleted";
  if (owner.kind === "Deployment" && owner.spec.paused === true) return "Paused";
  if (owner.kind !== "Deployment" && owner.spec.updateStrategy?.type === "OnDelete") {
    return "OnDelete";
  }
  const isPartitioned =
    owner.kind === "StatefulSet" && (owner.spec.updateStrategy?.rollingUpdate?.partition ?? 0) > 0;
  if (isPartitioned) return "Partitioned";
  return hasOwnAlias(owner, route) ? "OwnAlias" : undefined;
}

/**
 * The first budget that lets none of these Pods be disrupted now. One whose status is about an older generation says
 * nothing, so it is waited for.
 */
export function findExhaustedBudget(
  owner: Workload,
  pods: readonly ExistingPod[],
  budgets: readonly PodDisruptionBudget[],
): PodDisruptionBudget | undefined {
  const labels = [...pods, owner.spec.template].map(({ metadata }) => metadata?.labels ?? {});
  return budgets.find(({ metadata, spec: { selector }, status }) => {
    if (selector === undefined || selector === null) return false;
    if (!labels.some((each) => selects(selector, each))) return false;
    const isOld = (status?.observedGeneration ?? 0) < (metadata.generation ?? 0);
    return isOld || (status?.disruptionsAllowed ?? 0) < 1;
  });
}
