import type { ObjectMeta } from "../api";
import { LABEL_ROUTE } from "./names";

/** Kubeconfigs of Gardener's kind, which name a public host and are mounted by whoever talks to the API server. */
export const GENERIC_KUBECONFIG_PREFIX = "generic-token-kubeconfig";

/** An entry of `spec.hostAliases`. */
export interface HostAlias {
  readonly ip: string;
  readonly hostnames?: readonly string[] | null;
}

/** A volume; only what decides about routing is typed. */
interface Volume {
  readonly name: string;
  readonly secret?: { readonly secretName?: string } | null;
  readonly projected?: {
    readonly sources?: readonly { readonly secret?: { readonly name?: string } | null }[] | null;
  } | null;
}

/** A Pod as it is on the wire; before it is created it may have no name, and no namespace of its own. */
export interface Pod {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Partial<ObjectMeta> & { readonly generateName?: string };
  readonly spec: {
    readonly volumes?: readonly Volume[] | null;
    readonly hostAliases?: readonly HostAlias[] | null;
  };
}

/** Whether a Pod is to be routed, and why not. */
export type Routing = "Routed" | "NotRouted" | "OptedOut";

function secretNames(volume: Volume): readonly (string | undefined)[] {
  const sources = volume.projected?.sources ?? [];
  return [volume.secret?.secretName, ...sources.map(({ secret }) => secret?.name)];
}

/** The names of the Secrets that a Pod's volumes hold, whole or in part. */
export function mountedSecrets({ spec }: Pod): readonly string[] {
  return (spec.volumes ?? []).flatMap(secretNames).filter((name) => name !== undefined);
}

/**
 * Whether a Pod is to be routed: its label decides, else whether it mounts a generic kubeconfig. Other values of the
 * label than "true" and "false" say nothing.
 */
export function routingOf(pod: Pod): Routing {
  const label = pod.metadata.labels?.[LABEL_ROUTE];
  if (label === "false") return "OptedOut";
  const mounts = mountedSecrets(pod).some((name) => name.startsWith(GENERIC_KUBECONFIG_PREFIX));
  return label === "true" || mounts ? "Routed" : "NotRouted";
}
