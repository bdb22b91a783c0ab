import type { GatewayRef, HostedAPIServer } from "../../lib/api";
import { keyOf } from "../../lib/domain/keys";

/** Sets of keys by a name. */
class Groups {
  readonly #members = new Map<string, Set<string>>();

  add(group: string, key: string): void {
    const members = this.#members.get(group) ?? new Set();
    this.#members.set(group, members.add(key));
  }

  remove(group: string, key: string): void {
    const members = this.#members.get(group);
    members?.delete(key);
    if (members?.size === 0) this.#members.delete(group);
  }

  get(group: string): readonly string[] {
    return [...(this.#members.get(group) ?? [])];
  }
}

const gatewayGroup = (ref: GatewayRef | undefined): string =>
  ref === undefined ? "gateway:" : `gateway:${ref.namespace}/${ref.name}`;
const hostGroup = (host: string): string => `host:${host}`;
const namespaceGroup = (namespace: string): string => `namespace:${namespace}`;

/** Groups whose members contest with each other. Those of one Service are in one namespace too. */
function claimGroups(hapi: HostedAPIServer): readonly string[] {
  return [namespaceGroup(hapi.metadata.namespace ?? ""), ...hapi.spec.hosts.map(hostGroup)];
}

function gatewayGroups({ spec, status }: HostedAPIServer): readonly string[] {
  const attachedTo = status?.gatewayRef;
  const asked = gatewayGroup(spec.gatewayRef ?? attachedTo);
  return attachedTo === undefined ? [asked] : [asked, gatewayGroup(attachedTo)];
}

/** What of a HostedAPIServer matters to others. */
function claimOf(hapi: HostedAPIServer): string {
  const { creationTimestamp, deletionTimestamp, uid } = hapi.metadata;
  return JSON.stringify([
    uid,
    creationTimestamp,
    deletionTimestamp,
    hapi.spec.hosts,
    hapi.spec.service?.name,
    hapi.spec.gatewayRef,
    hapi.status?.gatewayRef,
  ]);
}

/**
 * Who claims what. It is kept up to date change by change, and says who is affected by each: the work grows with what
 * changed, not with the cluster.
 */
export class ClaimIndex {
  readonly #groups = new Groups();
  readonly #byKey = new Map<string, HostedAPIServer>();

  /**
   * Takes in a HostedAPIServer as it is now.
   * @returns the keys that it affects: its own, and of those that contest with what it claims or claimed.
   */
  put(hapi: HostedAPIServer): ReadonlySet<string> {
    const key = keyOf(hapi);
    const previous = this.#byKey.get(key);
    if (previous !== undefined && claimOf(previous) === claimOf(hapi)) {
      this.#byKey.set(key, hapi);
      return new Set([key]);
    }
    const affected = previous === undefined ? [] : [...this.remove(key)];
    this.#byKey.set(key, hapi);
    for (const group of [...claimGroups(hapi), ...gatewayGroups(hapi)])
      this.#groups.add(group, key);
    return new Set([key, ...affected, ...this.contestants(key)]);
  }

  /** Forgets a HostedAPIServer. @returns the keys that this affects, its own among them. */
  remove(key: string): ReadonlySet<string> {
    const hapi = this.#byKey.get(key);
    if (hapi === undefined) return new Set([key]);
    const affected = new Set([key, ...this.contestants(key)]);
    this.#byKey.delete(key);
    for (const group of [...claimGroups(hapi), ...gatewayGroups(hapi)]) {
      this.#groups.remove(group, key);
    }
    return affected;
  }

  get(key: string): HostedAPIServer | undefined {
    return this.#byKey.get(key);
  }

  /** Those with this host in their spec. */
  withHost(host: string): readonly HostedAPIServer[] {
    return this.#resolve(this.#groups.get(hostGroup(host)));
  }

  inNamespace(namespace: string): readonly HostedAPIServer[] {
    return this.#resolve(this.#groups.get(namespaceGroup(namespace)));
  }

  /** The keys that share a host, a namespace or a Service with one. */
  contestants(key: string): readonly string[] {
    const hapi = this.#byKey.get(key);
    if (hapi === undefined) return [];
    return claimGroups(hapi).flatMap((group) => this.#groups.get(group));
  }

  /** The keys that a change of a gateway affects: those that name it, use it or name none, and who contests with them. */
  affectedByGateway(ref: GatewayRef): ReadonlySet<string> {
    const users = [gatewayGroup(ref), gatewayGroup(undefined)].flatMap((group) =>
      this.#groups.get(group),
    );
    return new Set(users.flatMap((key) => [key, ...this.contestants(key)]));
  }

  /** The keys that a change of a Namespace affects. */
  affectedByNamespace(namespace: string): ReadonlySet<string> {
    const keys = this.#groups.get(namespaceGroup(namespace));
    return new Set(keys.flatMap((key) => [key, ...this.contestants(key)]));
  }

  #resolve(keys: readonly string[]): readonly HostedAPIServer[] {
    return keys.flatMap((key) => this.#byKey.get(key) ?? []);
  }
}
