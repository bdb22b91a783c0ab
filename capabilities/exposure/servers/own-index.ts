import type {
  DestinationRule,
  Gateway,
  KubernetesObject,
  NetworkPolicy,
  ServiceEntry,
  TunnelGateway,
  TunnelVirtualService,
  VirtualService,
} from "../../../lib/api";
import { Freshest, type Cache } from "../../../lib/cluster";
import {
  isManaged,
  LABEL_NAME,
  LABEL_NAMESPACE,
  LABEL_USE,
  USE_GATEWAY,
  USE_TUNNEL,
} from "../../../lib/domain/names";
import type { ExposureCaches } from "../caches";
import type { OwnObjects, OwnTunnel } from "./observed";

/** The key of the HostedAPIServer that an object was made for; undefined where it was not made for one. */
export function serverKeyOf(object: KubernetesObject): string | undefined {
  const { labels = {}, ownerReferences = [] } = object.metadata;
  if (!isManaged(object)) return undefined;
  const [namespace = "", name = ""] = [labels[LABEL_NAMESPACE], labels[LABEL_NAME]];
  if (namespace === "" || name === "") return undefined;
  // An InternalGateway can have the same namespace and name; what is made for it says so, or is owned by it.
  if (labels[LABEL_USE] === USE_GATEWAY) return undefined;
  if (ownerReferences.some((owner) => owner.kind === "InternalGateway")) return undefined;
  return `${namespace}/${name}`;
}

const isTunnel = ({ metadata }: KubernetesObject): boolean =>
  metadata.labels?.[LABEL_USE] === USE_TUNNEL;

/** Objects of one kind that were made for HostedAPIServers, by the key of those. */
class OwnKind<T extends KubernetesObject> {
  readonly fresh: Freshest<T>;
  readonly #places = new Map<string, Set<string>>();

  constructor(cache: Cache<KubernetesObject>, tell: (key: string) => void) {
    // The cache holds others' objects too, cut down; those are never asked for.
    this.fresh = new Freshest(cache as unknown as Cache<T>);
    for (const object of cache.list()) this.note(object);
    cache.onChange(({ kind, object, previous }) => {
      const before = previous === undefined ? undefined : serverKeyOf(previous);
      const now = kind === "deleted" ? undefined : this.note(object);
      if (before !== undefined && before !== now) this.#forget(before, object);
      for (const key of new Set([before, now])) if (key !== undefined) tell(key);
    });
  }

  of(key: string): readonly T[] {
    return this.fresh
      .pick(this.#places.get(key) ?? [])
      .filter((object) => serverKeyOf(object) === key);
  }

  keys(): Iterable<string> {
    return this.#places.keys();
  }

  /** Takes in an object; answers its key. */
  note(object: KubernetesObject): string | undefined {
    const key = serverKeyOf(object);
    if (key === undefined) return undefined;
    const places = this.#places.get(key) ?? new Set();
    this.#places.set(key, places.add(this.#place(object)));
    return key;
  }

  #forget(key: string, object: KubernetesObject): void {
    const places = this.#places.get(key);
    places?.delete(this.#place(object));
    if (places?.size === 0) this.#places.delete(key);
  }

  #place({ metadata }: KubernetesObject): string {
    return `${metadata.namespace ?? ""}/${metadata.name}`;
  }
}

/** What fairlead made for HostedAPIServers, kept up to date change by change. */
export class OwnIndex {
  readonly #gateways: OwnKind<Gateway>;
  readonly #virtualServices: OwnKind<VirtualService>;
  readonly #destinationRules: OwnKind<DestinationRule>;
  readonly #networkPolicies: OwnKind<NetworkPolicy>;
  readonly #serviceEntries: OwnKind<ServiceEntry>;

  /** @param tell Called with the key of a HostedAPIServer whose objects changed. */
  constructor({ istio, networkPolicies }: ExposureCaches, tell: (key: string) => void) {
    this.#gateways = new OwnKind<Gateway>(istio.gateways, tell);
    this.#virtualServices = new OwnKind<VirtualService>(istio.virtualServices, tell);
    this.#destinationRules = new OwnKind<DestinationRule>(istio.destinationRules, tell);
    this.#networkPolicies = new OwnKind<NetworkPolicy>(networkPolicies, tell);
    this.#serviceEntries = new OwnKind<ServiceEntry>(istio.serviceEntries, tell);
  }

  of(key: string): OwnObjects {
    return {
      gateways: this.#gateways.of(key).filter((object) => !isTunnel(object)),
      virtualServices: this.#virtualServices.of(key).filter((object) => !isTunnel(object)),
      destinationRules: this.#destinationRules.of(key),
      networkPolicies: this.#networkPolicies.of(key),
    };
  }

  /** What was made for the tunnel of a HostedAPIServer. */
  tunnelOf(key: string): OwnTunnel {
    // By their mark these are of the other type.
    return {
      gateways: this.#gateways.of(key).filter(isTunnel) as unknown as readonly TunnelGateway[],
      virtualServices: this.#virtualServices
        .of(key)
        .filter(isTunnel) as unknown as readonly TunnelVirtualService[],
      serviceEntries: this.#serviceEntries.of(key),
    };
  }

  /** The ServiceEntries of the tunnels of all others than one. */
  otherTunnels(key: string): readonly ServiceEntry[] {
    return [...this.#serviceEntries.keys()]
      .filter((other) => other !== key)
      .flatMap((other) => this.#serviceEntries.of(other));
  }

  /** The keys of all HostedAPIServers that something was made for. */
  keys(): readonly string[] {
    return [...new Set(this.#all().flatMap((kind) => [...kind.keys()]))];
  }

  /** Notes a write of one's own, before the watch tells it. */
  wrote(object: KubernetesObject, written: KubernetesObject | undefined): void {
    const kind = this.#kindOf(object);
    if (written === undefined) {
      kind?.fresh.removed(object as never);
      return;
    }
    kind?.note(written);
    kind?.fresh.wrote(written as never);
  }

  #kindOf({ kind }: KubernetesObject) {
    switch (kind) {
      case "Gateway":
        return this.#gateways;
      case "VirtualService":
        return this.#virtualServices;
      case "DestinationRule":
        return this.#destinationRules;
      case "NetworkPolicy":
        return this.#networkPolicies;
      case "ServiceEntry":
        return this.#serviceEntries;
      default:
        return undefined;
    }
  }

  #all() {
    return [
      this.#gateways,
      this.#virtualServices,
      this.#destinationRules,
      this.#networkPolicies,
      this.#serviceEntries,
    ];
  }
}
