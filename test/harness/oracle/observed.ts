import { Refusal, type AnyObject, type Api, type Kind } from "../api";

/** All objects of a cluster that fairlead has to do with. */
export type ObservedCluster = Readonly<Record<ObservedKind, readonly AnyObject[]>>;

const coreKinds = [
  "Namespace",
  "Secret",
  "ConfigMap",
  "Service",
  "NetworkPolicy",
  "HostedAPIServer",
  "InternalGateway",
] as const;
const istioKinds = ["Gateway", "VirtualService", "DestinationRule", "EnvoyFilter"] as const;

/** A kind that the oracle looks at. */
export type ObservedKind = (typeof coreKinds)[number] | (typeof istioKinds)[number];

/** Kinds of which fairlead makes objects. */
export const madeKinds: readonly ObservedKind[] = [
  "Secret",
  "ConfigMap",
  "Service",
  "NetworkPolicy",
  ...istioKinds,
];

async function listOf(api: Api, kind: Kind): Promise<readonly AnyObject[]> {
  try {
    return (await api.list(kind)).map((object) => ({ ...object, kind }));
  } catch (error) {
    // Istio's kinds are not served everywhere.
    if (error instanceof Refusal && error.code === 404) return [];
    throw error;
  }
}

/** Reads them all. */
export async function observeCluster(api: Api): Promise<ObservedCluster> {
  const kinds: readonly ObservedKind[] = [...coreKinds, ...istioKinds];
  const lists = await Promise.all(
    kinds.map(async (kind) => [kind, await listOf(api, kind)] as const),
  );
  return Object.fromEntries(lists) as ObservedCluster;
}
