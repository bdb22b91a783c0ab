/** What a hosted cluster's own Pods know of how to reach its API server. */
export interface InCluster {
  /** Cluster IPs of the Service `default/kubernetes`. */
  readonly clusterIPs: readonly string[];
  /** The cluster's DNS domain, `cluster.local` say. */
  readonly clusterDomain: string;
}

/**
 * The names by which the Pods of a cluster reach its API server, the shortest first.
 * @see https://kubernetes.io/docs/concepts/services-networking/dns-pod-service/
 */
export function inClusterNames(clusterDomain: string): readonly string[] {
  const name = "kubernetes.default.svc";
  return ["kubernetes", "kubernetes.default", name, `${name}.${clusterDomain}`];
}
