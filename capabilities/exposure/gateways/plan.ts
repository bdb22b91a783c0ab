import type { InternalGatewayStatus } from "../../../lib/api";
import { stampCondition } from "../../../lib/domain/conditions";
import { FINALIZER_EXPOSURE } from "../../../lib/domain/names";
import { podAddressesOf, serviceAddressesOf } from "./addresses";
import { decideAccepted, decideProgrammed } from "./conditions";
import type { GatewayFacts } from "./facts";
import type { ObservedGateway } from "./observed";
import { alignParts, filterPart, removeParts, servicePart, type PartAction } from "./parts";

/** What to do for an InternalGateway. */
export type GatewayAction =
  | PartAction
  | { readonly kind: "add-finalizer" }
  | { readonly kind: "remove-finalizer" };

/** What to do for an InternalGateway, in this order, and the status to show. */
export interface GatewayPlan {
  readonly actions: readonly GatewayAction[];
  /** Undefined: the object is going, its status is no longer written. */
  readonly status: InternalGatewayStatus | undefined;
}

/** Addresses of the internal Service that are worth to try, in the Service's order. */
function addressesOf(observed: ObservedGateway): readonly string[] {
  const service = servicePart(observed);
  return service.kind === "own" ? serviceAddressesOf(service.object, observed.endpointSlices) : [];
}

/** What HostedAPIServers need to know; undefined as long as not everything is there. */
export function factsOf(observed: ObservedGateway): GatewayFacts | undefined {
  const { routeSecret, endpointSlices } = observed;
  if (servicePart(observed).kind !== "own" || routeSecret.kind !== "known") return undefined;
  const filter = filterPart(observed);
  return {
    routeSecret: routeSecret.value,
    filterInLine: filter.kind === "own" && filter.inLine,
    podAddresses: podAddressesOf(endpointSlices),
    serviceAddresses: addressesOf(observed),
  };
}

function statusOf(observed: ObservedGateway): InternalGatewayStatus {
  const { gateway, attached, deadAddresses, nowMs } = observed;
  const context = {
    current: gateway.status?.conditions,
    generation: gateway.metadata.generation,
    nowMs,
  };
  return {
    addresses: addressesOf(observed).filter((address) => !deadAddresses.has(address)),
    attachedAPIServers: attached,
    conditions: [decideAccepted(observed), decideProgrammed(observed)].map((decided) =>
      stampCondition(decided, context),
    ),
  };
}

/**
 * Plans what an InternalGateway leads to in its namespace: the internal ClusterIP Service, the route secret, the shared
 * EnvoyFilter, NetworkPolicies, and the status. An object of theirs that is not fairlead's is left alone. While the
 * gateway is not accepted, nothing becomes other than it was: what is missing or was edited is mended, as long as the
 * internal Service shows that the spec is the one that was accepted once.
 * @param observed The state of the cluster; nothing of it is modified.
 */
export function planGateway(observed: ObservedGateway): GatewayPlan {
  const { gateway, attached, terminating } = observed;
  const { deletionTimestamp, finalizers = [] } = gateway.metadata;
  const isDeleted = deletionTimestamp !== undefined;
  const isHeld = finalizers.includes(FINALIZER_EXPOSURE);
  if (isDeleted && !isHeld) return { actions: [], status: undefined };
  if (isDeleted && (attached === 0 || terminating)) {
    return { actions: [...removeParts(observed), { kind: "remove-finalizer" }], status: undefined };
  }
  const service = servicePart(observed);
  const isSettled = service.kind === "own" && service.inLine;
  const isAccepted = decideAccepted(observed).status === "True";
  const status = statusOf(observed);
  if (terminating || !(isAccepted || isSettled)) return { actions: [], status };
  const finalizer = isAccepted && !isHeld ? [{ kind: "add-finalizer" } as const] : [];
  return { actions: [...finalizer, ...alignParts(observed)], status };
}
