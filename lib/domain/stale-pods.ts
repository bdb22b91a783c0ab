import type { ObjectMeta } from "../api";
import { isSameAddress } from "./ip-addresses";
import { mountedSecrets, routingOf, type Pod, type Routing } from "./routed-pods";

/** What of a container takes values from Secrets; they stay as they were when the container started. */
interface Container {
  readonly env?:
    | readonly {
        readonly valueFrom?: { readonly secretKeyRef?: { readonly name?: string } | null } | null;
      }[]
    | null;
  readonly envFrom?: readonly { readonly secretRef?: { readonly name?: string } | null }[] | null;
}

type Containers = readonly Container[] | null;

/** A Pod that exists. */
export interface ExistingPod extends Pod {
  readonly metadata: ObjectMeta;
  readonly spec: Pod["spec"] & {
    readonly containers?: Containers;
    readonly initContainers?: Containers;
    readonly ephemeralContainers?: Containers;
  };
  readonly status?: { readonly phase?: string };
}

/** What running Pods must have: each host aliased to at least one of the addresses, and to nothing else. */
export interface WantedAliases {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
}

/** Why a Pod does not have the aliases. */
export type StaleReason =
  /** It has no alias of a host, though it would get one today: it is older than the route. */
  | "NoAlias"
  /** It has an alias of a host to another address: an old one of the gateway's, or the user's own. */
  | "OtherAddress"
  /** It has no alias of a host and would not get one today either. */
  | Exclude<Routing, "Routed">;

/** A Pod whose host aliases no longer match, or that has none. */
export interface StalePod {
  readonly name: string;
  readonly reason: StaleReason;
}

/** Whether a Pod runs or will: it has not ended and is not being deleted. */
export function isRunning({ metadata, status }: ExistingPod): boolean {
  const hasEnded = status?.phase === "Succeeded" || status?.phase === "Failed";
  return !hasEnded && metadata.deletionTimestamp === undefined;
}

function environmentSecrets({ env, envFrom }: Container): readonly (string | undefined)[] {
  return [
    ...(env ?? []).map(({ valueFrom }) => valueFrom?.secretKeyRef?.name),
    ...(envFrom ?? []).map(({ secretRef }) => secretRef?.name),
  ];
}

/**
 * Whether a Pod's containers get what a Secret holds: by a volume, or by their environment. The latter do not see a
 * change before they start again, but then they do.
 */
export function usesSecret(pod: ExistingPod, name: string): boolean {
  const { containers, initContainers, ephemeralContainers } = pod.spec;
  const all = [containers, initContainers, ephemeralContainers].flatMap((list) => list ?? []);
  return mountedSecrets(pod).includes(name) || all.flatMap(environmentSecrets).includes(name);
}

/** Why a Pod does not have the aliases that it should have; undefined where it has them. */
export function staleReasonOf(pod: ExistingPod, wanted: WantedAliases): StaleReason | undefined {
  const aliases = pod.spec.hostAliases ?? [];
  const isWanted = (ip: string): boolean =>
    wanted.addresses.some((address) => isSameAddress(address, ip));
  const addressesByHost = wanted.hosts.map((host) =>
    aliases.filter(({ hostnames }) => hostnames?.includes(host) === true).map(({ ip }) => ip),
  );
  if (addressesByHost.some((addresses) => !addresses.every(isWanted))) return "OtherAddress";
  if (addressesByHost.every((addresses) => addresses.length > 0)) return undefined;
  const routing = routingOf(pod);
  return routing === "Routed" ? "NoAlias" : routing;
}

/**
 * The running ones of some Pods that do not have the aliases that they should have, sorted by name.
 * @param pods Those that it matters for: that use a Secret (`usesSecret`), or that are to be routed (`routingOf`).
 */
export function findStalePods(
  pods: readonly ExistingPod[],
  wanted: WantedAliases,
): readonly StalePod[] {
  return pods
    .filter(isRunning)
    .flatMap((pod) => {
      const reason = staleReasonOf(pod, wanted);
      return reason === undefined ? [] : [{ name: pod.metadata.name, reason }];
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}
