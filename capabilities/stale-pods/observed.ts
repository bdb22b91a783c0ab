import type {
  DaemonSet,
  Deployment,
  HostedAPIServer,
  PartialObjectMetadata,
  PodDisruptionBudget,
  StatefulSet,
} from "../../lib/api";
import type { ExistingPod } from "../../lib/domain/stale-pods";

/** Where the Pods of a namespace are routed. */
export type Route =
  | { readonly kind: "none" }
  | {
      readonly kind: "known";
      readonly hosts: readonly string[];
      readonly addresses: readonly string[];
    }
  /** The route ConfigMap can't be followed: nobody knows what aliases Pods should have. */
  | { readonly kind: "invalid"; readonly problem: string };

/** What makes Pods anew, and can be rolled. */
export type Workload = Deployment | StatefulSet | DaemonSet;

/** What Pods of a namespace belong to. */
export interface Workloads {
  readonly owners: readonly Workload[];
  /** Metadata of the ReplicaSets, by which Pods are told to be a Deployment's. */
  readonly replicaSets: readonly PartialObjectMetadata[];
  readonly budgets: readonly PodDisruptionBudget[];
}

/** All that is known of a namespace. */
export interface Observed {
  /** Its HostedAPIServers. */
  readonly servers: readonly HostedAPIServer[];
  readonly route: Route;
  readonly pods: readonly ExistingPod[];
  /** Undefined: not looked at. */
  readonly workloads: Workloads | undefined;
  /** Since when Pods are to have these aliases, as far as this process knows. */
  readonly routeSinceMs: number;
  /** Owners (by `restartMark`) that this process has restarted, whatever became of the annotation. */
  readonly restarted: ReadonlySet<string>;
  readonly nowMs: number;
}

/** The hosts and addresses that Pods' aliases should name; none where they should have none, or nobody knows. */
export function aliasesOf(route: Route): {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
} {
  return route.kind === "known" ? route : { hosts: [], addresses: [] };
}
