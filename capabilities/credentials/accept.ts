import type {
  GatewayRef,
  HostedAPIServer,
  InternalGateway,
  PartialObjectMetadata,
} from "../../lib/api";
import { findCondition } from "../../lib/domain/conditions";
import { isHostAllowed } from "../../lib/domain/hosts";
import { keyOf } from "../../lib/domain/keys";
import { decideLoadBalancing, type L7Obstacle } from "../../lib/domain/load-balancing";
import {
  findOutOfScope,
  type NamespaceScope,
  type OutOfScope,
} from "../../lib/domain/namespace-scope";
import { matchesLabels } from "./label-selector";

/** What an acceptance is decided by: lookups, so that the work does not grow with the cluster. */
export interface AcceptanceWorld {
  gateway(ref: GatewayRef): InternalGateway | undefined;
  /** Asked for only by a HostedAPIServer that names no gateway and is attached to none. */
  gateways(): readonly InternalGateway[];
  namespace(name: string): PartialObjectMetadata | undefined;
  /** HostedAPIServers with this host in their spec. */
  withHost(host: string): readonly HostedAPIServer[];
  inNamespace(namespace: string): readonly HostedAPIServer[];
  /** In the restricted mode: the namespaces that fairlead works in. */
  readonly scope?: NamespaceScope | undefined;
}

/** Why a HostedAPIServer is not accepted, in CamelCase for programs. */
export type RefusalReason =
  | "GatewayNotFound"
  | "GatewayAmbiguous"
  | "GatewayNotAccepted"
  | "GatewayTerminating"
  | "NotAllowedByGateway"
  | "HostNotAllowed"
  | "HostConflict"
  | "GatewayConflict"
  | "ServiceConflict"
  | OutOfScope["reason"]
  | L7Obstacle;

/** A refusal. */
export interface Refusal {
  readonly accepted: false;
  readonly reason: RefusalReason;
  /** A sentence that says what to do. */
  readonly message: string;
  /**
   * What a refusal means to one that is attached already. "withdrawn": somebody's consent is missing, so what was
   * given goes after a grace period. "kept": something stands in the way, what serves goes on serving.
   */
  readonly consent: "withdrawn" | "kept";
}

/** Whether a HostedAPIServer may use a gateway, and which. */
export type Acceptance = { readonly accepted: true; readonly gateway: InternalGateway } | Refusal;

/** Why a HostedAPIServer is left alone: what it has can be neither read nor written. */
export interface Unreachable extends OutOfScope {
  readonly accepted: false;
  readonly consent: "unreachable";
}

const refuse = (
  reason: RefusalReason,
  message: string,
  consent: Refusal["consent"] = "withdrawn",
): Refusal => ({ accepted: false, reason, message, consent });

const refText = ({ namespace, name }: GatewayRef): string => `${namespace}/${name}`;
const isSame = (a: GatewayRef, b: GatewayRef): boolean =>
  a.namespace === b.namespace && a.name === b.name;

/** The name of a gateway, as a reference. */
export function refOfGateway({ metadata }: InternalGateway): GatewayRef {
  return { namespace: metadata.namespace ?? "", name: metadata.name };
}

/** The Service of the hosted API server's replicas. */
export function serviceNameOf(hapi: HostedAPIServer): string {
  return hapi.spec.service?.name ?? "kube-apiserver";
}

/** The order in which claims count: by age, ties by namespace/name. */
export function compareClaims(a: HostedAPIServer, b: HostedAPIServer): number {
  const [olderA, olderB] = [a, b].map(({ metadata }) =>
    Date.parse(metadata.creationTimestamp ?? ""),
  );
  const byAge = (olderA ?? 0) - (olderB ?? 0);
  if (byAge !== 0 && !Number.isNaN(byAge)) return byAge;
  return keyOf(a) < keyOf(b) ? -1 : 1;
}

/** Of one that is not listed nobody can mean that it be used; where no other is there, its name helps all the same. */
function usableGateways(world: AcceptanceWorld): readonly InternalGateway[] {
  const { scope } = world;
  const all = world.gateways();
  const listed = all.filter(
    ({ metadata }) => scope === undefined || scope.gateways.includes(metadata.namespace ?? ""),
  );
  return listed.length > 0 ? listed : all;
}

function findGateway(hapi: HostedAPIServer, world: AcceptanceWorld): Acceptance {
  const ref = hapi.spec.gatewayRef ?? hapi.status?.gatewayRef;
  if (ref !== undefined) {
    const gateway = world.gateway(ref);
    if (gateway !== undefined) return { accepted: true, gateway };
    return refuse("GatewayNotFound", `InternalGateway ${refText(ref)} does not exist; create it.`);
  }
  const all = usableGateways(world);
  const [only] = all;
  if (only === undefined) {
    return refuse("GatewayNotFound", "There is no InternalGateway in this cluster; create one.");
  }
  if (all.length === 1) return { accepted: true, gateway: only };
  const names = all.map((gateway) => refText(refOfGateway(gateway))).sort();
  return refuse(
    "GatewayAmbiguous",
    `There are ${all.length} InternalGateways (${names.slice(0, 5).join(", ")}${all.length > 5 ? ", …" : ""}); name one in spec.gatewayRef.`,
  );
}

function allowsNamespace(
  gateway: InternalGateway,
  hapi: HostedAPIServer,
  world: AcceptanceWorld,
): boolean {
  const { from = "Same", selector } = gateway.spec.allowedNamespaces ?? {};
  const namespace = hapi.metadata.namespace ?? "";
  if (from === "All") return true;
  if (from === "Same") return namespace === gateway.metadata.namespace;
  const labels = world.namespace(namespace)?.metadata.labels;
  return selector !== undefined && labels !== undefined && matchesLabels(selector, labels);
}

function findUnreachable(
  hapi: HostedAPIServer,
  { scope }: AcceptanceWorld,
): Unreachable | undefined {
  const attachedTo = hapi.status?.gatewayRef;
  const outOfScope =
    findOutOfScope(scope, hapi.metadata.namespace ?? "", "controlPlanes") ??
    (attachedTo === undefined
      ? undefined
      : findOutOfScope(scope, attachedTo.namespace, "gateways"));
  return outOfScope && { accepted: false, consent: "unreachable", ...outOfScope };
}

/** Whether the gateway's owner consents to this HostedAPIServer, by itself: others' claims are not looked at. */
function decideConsent(hapi: HostedAPIServer, world: AcceptanceWorld): Acceptance | Unreachable {
  const unreachable = findUnreachable(hapi, world);
  if (unreachable !== undefined) return unreachable;
  const found = findGateway(hapi, world);
  if (!found.accepted) return found;
  const { gateway } = found;
  const name = refText(refOfGateway(gateway));
  if (!allowsNamespace(gateway, hapi, world)) {
    return refuse(
      "NotAllowedByGateway",
      `InternalGateway ${name} does not allow namespace ${hapi.metadata.namespace ?? ""}; ask its owner to extend spec.allowedNamespaces.`,
    );
  }
  const strangers = hapi.spec.hosts.filter(
    (host) => !isHostAllowed(gateway.spec.allowedHosts, host),
  );
  if (strangers.length === 0) return found;
  return refuse(
    "HostNotAllowed",
    `InternalGateway ${name} does not allow ${strangers.join(", ")}; ask its owner to extend spec.allowedHosts.`,
  );
}

const isAttached = (hapi: HostedAPIServer): boolean => hapi.status?.gatewayRef !== undefined;

/**
 * Whether somebody's claim counts against others: with the gateway owner's consent, or while it still serves. A claim
 * without consent blocks nobody, and nothing changes hands before it was let go.
 */
function isClaimant(hapi: HostedAPIServer, world: AcceptanceWorld): boolean {
  if (isAttached(hapi)) return true;
  if (hapi.metadata.deletionTimestamp !== undefined) return false;
  return decideConsent(hapi, world).accepted;
}

function findOlder(
  hapi: HostedAPIServer,
  others: readonly HostedAPIServer[],
  world: AcceptanceWorld,
): HostedAPIServer | undefined {
  const key = keyOf(hapi);
  return others
    .filter((other) => keyOf(other) !== key && compareClaims(other, hapi) < 0)
    .sort(compareClaims)
    .find((other) => isClaimant(other, world));
}

/** The gateway that another one uses, whether or not it is still allowed to. */
function gatewayOf(hapi: HostedAPIServer, world: AcceptanceWorld): GatewayRef | undefined {
  const consent = decideConsent(hapi, world);
  return consent.accepted ? refOfGateway(consent.gateway) : hapi.status?.gatewayRef;
}

function findConflict(
  hapi: HostedAPIServer,
  gateway: InternalGateway,
  world: AcceptanceWorld,
): Refusal | undefined {
  const neighbours = world.inNamespace(hapi.metadata.namespace ?? "");
  const eldest = findOlder(hapi, neighbours, world);
  const decided = eldest === undefined ? undefined : gatewayOf(eldest, world);
  if (eldest !== undefined && decided !== undefined && !isSame(decided, refOfGateway(gateway))) {
    return refuse(
      "GatewayConflict",
      `HostedAPIServer ${keyOf(eldest)} was there first and uses InternalGateway ${refText(decided)}; all of a namespace use one: name that one, or use another namespace.`,
    );
  }
  const service = serviceNameOf(hapi);
  const sameService = neighbours.filter((other) => serviceNameOf(other) === service);
  const server = findOlder(hapi, sameService, world);
  if (server !== undefined) {
    return refuse(
      "ServiceConflict",
      `HostedAPIServer ${keyOf(server)} was there first and has Service ${service} too; name another Service in spec.service or delete one of the two.`,
    );
  }
  for (const host of [...hapi.spec.hosts].sort()) {
    const holder = findOlder(hapi, world.withHost(host), world);
    if (holder !== undefined) {
      return refuse(
        "HostConflict",
        `${host} belongs to HostedAPIServer ${keyOf(holder)}, which was there first; remove it from one of the two.`,
      );
    }
  }
  return undefined;
}

/** What stands in the way of one that has everybody's consent. */
function findObstacle(
  hapi: HostedAPIServer,
  gateway: InternalGateway,
  world: AcceptanceWorld,
): Refusal | undefined {
  const ref = refOfGateway(gateway);
  const outOfScope = findOutOfScope(world.scope, ref.namespace, "gateways");
  if (outOfScope !== undefined) {
    const message = `InternalGateway ${refText(ref)} is left alone: ${outOfScope.message}`;
    return refuse(outOfScope.reason, message, "kept");
  }
  const attachedTo = hapi.status?.gatewayRef;
  const isNew = attachedTo === undefined || !isSame(attachedTo, ref);
  if (gateway.metadata.deletionTimestamp !== undefined && isNew) {
    const message = `InternalGateway ${refText(ref)} is being deleted; name another one.`;
    return refuse("GatewayTerminating", message, "kept");
  }
  const accepted = findCondition(gateway.status?.conditions, "Accepted");
  if (accepted?.status === "False") {
    const message = `InternalGateway ${refText(ref)} is not accepted itself (${accepted.reason}): ${accepted.message}`;
    return refuse("GatewayNotAccepted", message, "kept");
  }
  const namespace = world.namespace(hapi.metadata.namespace ?? "");
  const loadBalancing = decideLoadBalancing(hapi, namespace?.metadata);
  if (loadBalancing.kind !== "refused") return undefined;
  return refuse(
    loadBalancing.reason,
    `loadBalancing is L7, which cannot be: ${loadBalancing.message}`,
    "kept",
  );
}

/**
 * Decides whether a HostedAPIServer may use a gateway: fairlead works in its namespace, the gateway exists, its owner consents to the namespace and the
 * hosts, no older claim stands against it, and what it asks for can be. Modifies and throws nothing; the answer does
 * not depend on the order in which anything was created or seen, ages aside.
 */
export function decideAcceptance(
  hapi: HostedAPIServer,
  world: AcceptanceWorld,
): Acceptance | Unreachable {
  const consent = decideConsent(hapi, world);
  if (!consent.accepted) return consent;
  const { gateway } = consent;
  return (
    findConflict(hapi, gateway, world) ??
    findObstacle(hapi, gateway, world) ?? { accepted: true, gateway }
  );
}
