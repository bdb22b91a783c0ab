import type { HostedAPIServer } from "../api";

/** Services that every control plane has where they exist, its API server's own aside. */
const defaultServices = [
  "etcd-main-client",
  "etcd-events-client",
  "gardener-resource-manager",
  "vpa-webhook",
];
/** The same of a garden runtime cluster. */
const defaultGardenServices = [
  "virtual-garden-etcd-main-client",
  "virtual-garden-etcd-events-client",
  "gardener-apiserver",
  "gardener-admission-controller",
];
/** Names under which control planes are known to run their API server. */
export const apiServerServices: readonly string[] = [
  "kube-apiserver",
  "virtual-garden-kube-apiserver",
];

/** The Services that are topology-aware by default, beside the hosted API server's own. */
export const defaultTopologyAwareServices: readonly string[] = [
  ...defaultServices,
  ...defaultGardenServices,
];

/** The name of a hosted API server's own Service. */
export function serviceOf(hapi: HostedAPIServer): string {
  return hapi.spec.service?.name ?? "kube-apiserver";
}

/**
 * The names of the Services that a HostedAPIServer wants topology-aware: `topologyAware.services`, or else the default
 * lists with its own Service, but not with that of another one in its namespace.
 */
export function servicesOf(
  hapi: HostedAPIServer,
  all: readonly HostedAPIServer[],
): readonly string[] {
  const { topologyAware } = hapi.spec;
  if (topologyAware?.enabled !== true) return [];
  if (topologyAware.services !== undefined) return topologyAware.services;
  const own = serviceOf(hapi);
  const others = all.map(serviceOf).filter((name) => name !== own);
  const names = [own, ...apiServerServices].filter((name) => !others.includes(name));
  return [...new Set([...defaultTopologyAwareServices, ...names])];
}
