import { envoyFilterOf } from "../resources";
import type {
  EnvoyFilter,
  InternalGateway,
  NetworkPolicy,
  PartialObjectMetadata,
} from "../../../lib/api";
import { isOwnObject, planWrite, planWrites, type Write } from "../objects";
import {
  internalServiceOf,
  isOwnService,
  servicePatchOf,
  serviceNameOf,
  type GatewayService,
  type ServicePatch,
} from "./internal-service";
import type { ObservedGateway } from "./observed";
import { desiredPolicies, isOwnPolicy } from "./policies";
import { routeSecretMetadataOf } from "./route-secret";

/** A write that brings an InternalGateway's objects in line. */
export type PartAction =
  | Write
  | { readonly kind: "create-route-secret" }
  | {
      readonly kind: "patch-service";
      readonly service: GatewayService;
      readonly patch: ServicePatch;
    };

/** An object of an InternalGateway's, as it was found. */
export type Part<T> =
  | { readonly kind: "absent" }
  /** Somebody else's object has its name. */
  | { readonly kind: "foreign"; readonly object: PartialObjectMetadata }
  | { readonly kind: "own"; readonly object: T; readonly inLine: boolean };

/** The internal Service. */
export function servicePart({ gateway, services }: ObservedGateway): Part<GatewayService> {
  const object = services.find(({ metadata }) => metadata.name === serviceNameOf(gateway));
  if (object === undefined) return { kind: "absent" };
  if (!isOwnService(gateway, object)) return { kind: "foreign", object };
  return { kind: "own", object, inLine: servicePatchOf(gateway, object) === undefined };
}

/** The shared EnvoyFilter as it is to be; undefined as long as the route secret is not known. */
function desiredFilter({ gateway, routeSecret }: ObservedGateway): EnvoyFilter | undefined {
  return routeSecret.kind === "known" ? envoyFilterOf(gateway, routeSecret.value) : undefined;
}

/** The name of the EnvoyFilter of an InternalGateway. */
export function filterNameOf(gateway: InternalGateway): string {
  return envoyFilterOf(gateway, SOME_SECRET).metadata.name;
}

// Marks and owner do not depend on the route secret.
const SOME_SECRET = "0".repeat(64);

/** The shared EnvoyFilter. */
export function filterPart(observed: ObservedGateway): Part<EnvoyFilter> {
  const object = observed.istio?.envoyFilter;
  if (object === undefined) return { kind: "absent" };
  const isOwn = isOwnObject(object, envoyFilterOf(observed.gateway, SOME_SECRET));
  if (!isOwn) return { kind: "foreign", object };
  const desired = desiredFilter(observed);
  const isGoing = object.metadata.deletionTimestamp !== undefined;
  const inLine = desired !== undefined && !isGoing && planWrite(desired, object) === undefined;
  return { kind: "own", object, inLine };
}

/** NetworkPolicies: the own ones, and those of others that have the name of one that is to be. */
export function policyParts({ gateway, policies }: ObservedGateway): {
  readonly desired: readonly NetworkPolicy[];
  readonly own: readonly NetworkPolicy[];
  readonly foreign: readonly NetworkPolicy[];
} {
  const own = policies.filter((policy) => isOwnPolicy(gateway, policy));
  const all = desiredPolicies(gateway, policies);
  const foreign = policies.filter(
    (policy) =>
      !own.includes(policy) && all.some(({ metadata }) => metadata.name === policy.metadata.name),
  );
  const taken = new Set(foreign.map(({ metadata }) => metadata.name));
  return { desired: all.filter(({ metadata }) => !taken.has(metadata.name)), own, foreign };
}

function serviceActions(observed: ObservedGateway): readonly PartAction[] {
  const { gateway } = observed;
  const part = servicePart(observed);
  if (part.kind === "foreign") return [];
  if (part.kind === "absent") return [{ kind: "create", object: internalServiceOf(gateway) }];
  const patch = servicePatchOf(gateway, part.object);
  return patch === undefined ? [] : [{ kind: "patch-service", service: part.object, patch }];
}

function filterActions(observed: ObservedGateway): readonly PartAction[] {
  // Without Istio nobody has need of the route secret.
  if (observed.istio === undefined) return [];
  if (observed.routeSecret.kind === "absent") return [{ kind: "create-route-secret" }];
  const part = filterPart(observed);
  const desired = desiredFilter(observed);
  if (desired === undefined || part.kind === "foreign") return [];
  const write = planWrite(desired, part.kind === "own" ? part.object : undefined);
  return write === undefined ? [] : [write];
}

/** The writes that bring everything in line that an InternalGateway's servers share. */
export function alignParts(observed: ObservedGateway): readonly PartAction[] {
  const { desired, own } = policyParts(observed);
  return [...serviceActions(observed), ...filterActions(observed), ...planWrites(desired, own)];
}

/** The writes that take it all away: what acts on the gateway first, the Service last. */
export function removeParts(observed: ObservedGateway): readonly Write[] {
  const { routeSecret } = observed;
  const [filter, service] = [filterPart(observed), servicePart(observed)];
  const { own } = policyParts(observed);
  return [
    ...(filter.kind === "own" ? [filter.object] : []),
    ...(routeSecret.kind === "known" || routeSecret.kind === "invalid" ? [routeSecret.object] : []),
    ...own,
    ...(service.kind === "own" ? [service.object] : []),
  ]
    .map((object) => planWrite(undefined, object))
    .filter((write) => write !== undefined);
}

/** Whatever has the name of an InternalGateway's object and is not fairlead's, the most important first. */
export function foreignObjects(observed: ObservedGateway): readonly PartialObjectMetadata[] {
  const { gateway, routeSecret } = observed;
  const [service, filter] = [servicePart(observed), filterPart(observed)];
  return [
    ...(service.kind === "foreign" ? [service.object] : []),
    ...(routeSecret.kind === "foreign" ? [routeSecretMetadataOf(gateway)] : []),
    ...(filter.kind === "foreign" ? [filter.object] : []),
    ...policyParts(observed).foreign,
  ];
}
