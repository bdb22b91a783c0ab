import type { KubernetesObject } from "../../../lib/api";
import type { GatewayService } from "./internal-service";

/** An endpoint of an EndpointSlice. */
interface Endpoint {
  readonly addresses?: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly terminating?: boolean };
  readonly targetRef?: { readonly kind?: string; readonly name?: string };
}

/** What is looked at of an EndpointSlice. */
export interface EndpointSlice extends KubernetesObject {
  readonly addressType: string;
  readonly endpoints?: readonly Endpoint[] | null;
}

// An absent condition "ready" means yes.
const isReady = ({ conditions }: Endpoint): boolean =>
  conditions?.ready !== false && conditions?.terminating !== true;

const readyEndpoints = ({ endpoints }: EndpointSlice): readonly Endpoint[] =>
  (endpoints ?? []).filter(isReady);

const familyOf = (address: string): string => (address.includes(":") ? "IPv6" : "IPv4");

/** Cluster IPs of the families that have a ready endpoint, in the Service's order. */
export function serviceAddressesOf(
  { spec }: GatewayService,
  slices: readonly EndpointSlice[],
): readonly string[] {
  const families = slices
    .filter((slice) => readyEndpoints(slice).length > 0)
    .map(({ addressType }) => addressType);
  return (spec.clusterIPs ?? []).filter(
    (address) => address !== "None" && families.includes(familyOf(address)),
  );
}

/**
 * One address of each ready Pod, sorted: its IPv4 address where it has one. Istio binds that in any case, and IPv6
 * beside it only where its dual stack is on.
 */
export function podAddressesOf(slices: readonly EndpointSlice[]): readonly string[] {
  const byPod = new Map<string, string>();
  for (const slice of slices) {
    for (const { addresses = [], targetRef } of readyEndpoints(slice)) {
      // All addresses of an endpoint are fungible; clients take the first.
      const [address] = addresses;
      if (address === undefined) continue;
      const pod = targetRef?.kind === "Pod" ? `pod/${targetRef.name ?? ""}` : address;
      const isFirst = !byPod.has(pod);
      if (isFirst || familyOf(address) === "IPv4") byPod.set(pod, address);
    }
  }
  return [...new Set(byPod.values())].sort();
}
