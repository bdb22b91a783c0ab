import type { KubernetesObject, PartialObjectMetadata, PodDisruptionBudget } from "../../lib/api";
import type { KubernetesClient } from "../../lib/cluster";
import type { ExistingPod } from "../../lib/domain/stale-pods";
import type { Workload, Workloads } from "./observed";

/** Lists what a namespace holds of a kind; items of a list carry neither apiVersion nor kind. */
async function listAll<T extends KubernetesObject>(
  client: KubernetesClient,
  collection: Parameters<KubernetesClient["list"]>[0],
): Promise<readonly T[]> {
  const { apiVersion, kind } = collection;
  const { items } = await client.list<T>(collection);
  return items.map((item) => ({ ...item, apiVersion, kind }));
}

/** The Pods of a namespace. */
export async function listPods(
  client: KubernetesClient,
  namespace: string,
): Promise<readonly ExistingPod[]> {
  return listAll<ExistingPod>(client, { apiVersion: "v1", kind: "Pod", namespace });
}

/** What the Pods of a namespace belong to, and the budgets that protect them. */
export async function listWorkloads(
  client: KubernetesClient,
  namespace: string,
): Promise<Workloads> {
  const apps = (kind: string) => ({ apiVersion: "apps/v1", kind, namespace });
  const [replicaSets, budgets, ...owners] = await Promise.all([
    listAll<PartialObjectMetadata>(client, { ...apps("ReplicaSet"), metadataOnly: true }),
    listAll<PodDisruptionBudget>(client, {
      apiVersion: "policy/v1",
      kind: "PodDisruptionBudget",
      namespace,
    }),
    ...["Deployment", "StatefulSet", "DaemonSet"].map(async (kind) =>
      listAll<Workload>(client, apps(kind)),
    ),
  ]);
  return { replicaSets, budgets, owners: owners.flat() };
}
