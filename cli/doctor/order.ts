import type { KubernetesObject } from "../../lib/api";

/** The order of objects in a report. */
export function byNamespaceAndName(a: KubernetesObject, b: KubernetesObject): number {
  const [one, other] = [a, b].map(
    ({ metadata }) => `${metadata.namespace ?? ""} ${metadata.name}`,
  ) as [string, string];
  return one < other ? -1 : one > other ? 1 : 0;
}
