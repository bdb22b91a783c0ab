import { equals } from "ramda";
import type { InternalGateway, NetworkPolicy } from "../../../lib/api";
import { isManaged, LABEL_USE, USE_GATEWAY } from "../../../lib/domain/names";
import { gatewayNetworkPoliciesOf, marks } from "../resources";

// A HostedAPIServer may have the same namespace and name, and so the same marks, and the owners are those of the
// narrowed policies.
const USE = { [LABEL_USE]: USE_GATEWAY } as const;

/** Whether a NetworkPolicy matters to InternalGateways: somebody else's, or one that is made for them. */
export function concernsGateways(policy: NetworkPolicy): boolean {
  return !isManaged(policy) || policy.metadata.labels?.[LABEL_USE] === USE[LABEL_USE];
}

/** Whether a NetworkPolicy is one that fairlead made for this InternalGateway. */
export function isOwnPolicy(gateway: InternalGateway, { metadata }: NetworkPolicy): boolean {
  const wanted = { ...marks(gateway.metadata), ...USE };
  const { labels = {} } = metadata;
  return (
    metadata.namespace === gateway.metadata.namespace &&
    Object.entries(wanted).every(([key, value]) => equals(labels[key], value))
  );
}

/**
 * The NetworkPolicies to have for an InternalGateway.
 * @param policies Those of its namespace.
 */
export function desiredPolicies(
  gateway: InternalGateway,
  policies: readonly NetworkPolicy[],
): readonly NetworkPolicy[] {
  const planned = gatewayNetworkPoliciesOf(gateway, policies);
  if (planned.kind === "none") return [];
  return planned.policies.map((policy) => ({
    ...policy,
    metadata: { ...policy.metadata, labels: { ...policy.metadata.labels, ...USE } },
  }));
}
