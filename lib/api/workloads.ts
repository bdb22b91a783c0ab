import type { LabelSelector } from "./network-policy";
import type { KubernetesObject, ObjectMeta } from "./object-meta";

/** What Pods are made from. */
export interface PodTemplate {
  readonly metadata?: Partial<ObjectMeta>;
  readonly spec?: {
    readonly serviceAccountName?: string;
    readonly containers?: readonly {
      readonly name: string;
      readonly env?: readonly { readonly name: string; readonly value?: string }[];
    }[];
    readonly hostAliases?:
      | readonly { readonly ip: string; readonly hostnames?: readonly string[] | null }[]
      | null;
  };
}

/** A condition of a workload's: no `observedGeneration`, other words. */
interface WorkloadCondition {
  readonly type: string;
  readonly status: string;
  readonly reason?: string;
  readonly message?: string;
}

/** A Deployment of `apps/v1`; only what is looked at is typed. */
export interface Deployment extends KubernetesObject {
  readonly kind: "Deployment";
  readonly spec: {
    readonly replicas?: number;
    readonly paused?: boolean;
    readonly template: PodTemplate;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
    readonly availableReplicas?: number;
    readonly conditions?: readonly WorkloadCondition[];
  };
}

/** A StatefulSet of `apps/v1`. */
export interface StatefulSet extends KubernetesObject {
  readonly kind: "StatefulSet";
  readonly spec: {
    readonly replicas?: number;
    readonly template: PodTemplate;
    readonly updateStrategy?: {
      readonly type?: string;
      readonly rollingUpdate?: { readonly partition?: number };
    };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly availableReplicas?: number;
    readonly currentRevision?: string;
    readonly updateRevision?: string;
  };
}

/** A DaemonSet of `apps/v1`. */
export interface DaemonSet extends KubernetesObject {
  readonly kind: "DaemonSet";
  readonly spec: {
    readonly template: PodTemplate;
    readonly updateStrategy?: { readonly type?: string };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly desiredNumberScheduled?: number;
    readonly updatedNumberScheduled?: number;
    readonly numberAvailable?: number;
  };
}

/** A PodDisruptionBudget of `policy/v1`. */
export interface PodDisruptionBudget extends KubernetesObject {
  readonly kind: "PodDisruptionBudget";
  readonly spec: {
    /** Absent: no Pod; empty: all of the namespace. */
    readonly selector?: LabelSelector | null;
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly disruptionsAllowed?: number;
  };
}
