import type { HostedAPIServer } from "../../lib/api";
import { NETWORK_POLICY_ALLOWED } from "../../lib/domain/network-policy-label";
import { routingOf } from "../../lib/domain/routed-pods";
import {
  isRunning,
  staleReasonOf,
  type ExistingPod,
  type StaleReason,
} from "../../lib/domain/stale-pods";
import { aliasesOf, type Observed, type Route } from "./observed";

/** Why a Pod is stale. */
export type Staleness =
  | Extract<StaleReason, "NoAlias" | "OtherAddress">
  /** Admission led it to the gateway once, and its namespace is not routed there any more. */
  | "LeftOver";

/** A Pod and why it is stale. */
export interface Stale {
  readonly pod: ExistingPod;
  readonly reason: Staleness;
}

/** The running Pods of one HostedAPIServer. */
export interface PodCount {
  /** How many lead to the gateway, with all its hosts. */
  readonly routed: number;
  readonly stale: readonly Stale[];
}

const ROUTED_LABEL = "networking.resources.gardener.cloud/to-";

/** Whether admission has routed a Pod: an alias alone may be the user's own. */
function wasRouted({ metadata }: ExistingPod): boolean {
  return Object.entries(metadata.labels ?? {}).some(
    ([key, value]) => key.startsWith(ROUTED_LABEL) && value === NETWORK_POLICY_ALLOWED,
  );
}

function hasAliasOf({ spec }: ExistingPod, hosts: readonly string[]): boolean {
  return (spec.hostAliases ?? []).some(
    ({ hostnames }) => hostnames?.some((host) => hosts.includes(host)) === true,
  );
}

/** Why a Pod is stale, for hosts that are routed, and for hosts that are not. */
function stalenessOf(
  pod: ExistingPod,
  { routed, unrouted, addresses }: Wanted,
): Staleness | undefined {
  // Who opted out has chosen so.
  if (routed.length > 0 && routingOf(pod) === "Routed") {
    const reason = staleReasonOf(pod, { hosts: routed, addresses });
    if (reason === "NoAlias" || reason === "OtherAddress") return reason;
  }
  return wasRouted(pod) && hasAliasOf(pod, unrouted) ? "LeftOver" : undefined;
}

interface Wanted {
  readonly routed: readonly string[];
  readonly unrouted: readonly string[];
  readonly addresses: readonly string[];
}

function wantedOf({ spec }: HostedAPIServer, route: Route): Wanted {
  const known = aliasesOf(route);
  const isRouted = (host: string): boolean => known.hosts.includes(host);
  return {
    routed: spec.hosts.filter(isRouted),
    unrouted: spec.hosts.filter((host) => !isRouted(host)),
    addresses: known.addresses,
  };
}

/**
 * Counts the running Pods of a HostedAPIServer's namespace by whether their aliases are those that they would get now.
 * @returns Undefined where nobody knows what they should be.
 */
export function countPods(
  server: HostedAPIServer,
  { route, pods }: Pick<Observed, "route" | "pods">,
): PodCount | undefined {
  if (route.kind === "invalid") return undefined;
  const wanted = wantedOf(server, route);
  const { routed, addresses } = wanted;
  const running = pods.filter(isRunning);
  const stale = running.flatMap((pod) => {
    const reason = stalenessOf(pod, wanted);
    return reason === undefined ? [] : [{ pod, reason }];
  });
  const led =
    routed.length === 0
      ? []
      : running.filter((pod) => staleReasonOf(pod, { hosts: routed, addresses }) === undefined);
  return {
    routed: led.length,
    stale: stale.sort((a, b) => (a.pod.metadata.name < b.pod.metadata.name ? -1 : 1)),
  };
}
