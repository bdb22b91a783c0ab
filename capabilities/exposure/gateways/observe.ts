import { equals } from "ramda";
import type {
  EnvoyFilter,
  InternalGateway,
  KubernetesObject,
  NetworkPolicy,
} from "../../../lib/api";
import { Freshest, type CacheContext, type Change, type ServiceObject } from "../../../lib/cluster";
import { keyOf, splitKey } from "../../../lib/domain/keys";
import { isManaged } from "../../../lib/domain/names";
import type { AnyGateway, ExposureCaches } from "../caches";
import { GatewayCacheSet, type GatewayCaches } from "./caches";
import { serviceNameOf } from "./internal-service";
import type { ObservedGateway } from "./observed";
import { filterNameOf } from "./parts";
import { concernsGateways, desiredPolicies } from "./policies";
import { routeSecretNameOf } from "./route-secret";
import { RouteSecrets } from "./route-secrets";
import { Selection } from "./selection";

/** What an InternalGateway is brought in line with. */
export interface GatewayContext extends CacheContext {
  readonly caches: ExposureCaches;
}

/** What the cluster says about an InternalGateway. */
export type SeenGateway = Omit<ObservedGateway, "deadAddresses" | "attached" | "refusal">;

/** What comes of a look: `gone` is the InternalGateway; `unknown`: the key is told again when more is known. */
export type Look =
  | { readonly kind: "seen"; readonly seen: SeenGateway }
  | { readonly kind: "gone" }
  | { readonly kind: "unknown" };

/** An InternalGateway that is watched for. */
interface Watched {
  readonly gateway: InternalGateway;
  readonly caches: GatewayCaches;
  /** `namespace/name` of its route Secret. */
  readonly secretPlace: string;
}

function asForeignGateway(object: KubernetesObject): AnyGateway | undefined {
  return isManaged(object) ? undefined : (object as AnyGateway);
}

function asPolicy(object: KubernetesObject): NetworkPolicy | undefined {
  const policy = object as NetworkPolicy;
  return concernsGateways(policy) ? policy : undefined;
}

/** Whether more has changed than status and metadata. */
function isOtherSpec({ kind, object, previous }: Change<KubernetesObject & { spec: unknown }>) {
  if (kind !== "updated" || previous === undefined) return true;
  return object.metadata.uid !== previous.metadata.uid || !equals(object.spec, previous.spec);
}

/** @param written Undefined: the object was deleted. */
function noteIn<T extends KubernetesObject>(
  fresh: Freshest<T> | undefined,
  object: KubernetesObject,
  written: KubernetesObject | undefined,
): void {
  if (written === undefined) fresh?.removed(object as T);
  else fresh?.wrote(written as T);
}

/**
 * Looks at InternalGateways and all that concerns them, by caches and by one's own writes that those have not seen yet.
 * Its work does not grow with HostedAPIServers, whatever is made for them.
 */
export class GatewayObserver {
  readonly routeSecrets: RouteSecrets;
  readonly #opened: GatewayCacheSet;
  readonly #gateways: Freshest<InternalGateway>;
  readonly #services: Freshest<ServiceObject>;
  readonly #policies: Freshest<NetworkPolicy>;
  readonly #foreignGateways: Selection<AnyGateway>;
  readonly #gatewayPolicies: Selection<NetworkPolicy>;
  readonly #watched = new Map<string, Watched>();
  /** `namespace/name` of a route Secret → the key of its InternalGateway. */
  readonly #secretOwners = new Map<string, string>();
  #isIstioKnown = false;

  /** @param tell Told the key of an InternalGateway that something changed for. */
  constructor(
    private readonly context: GatewayContext,
    private readonly tell: (key: string) => void,
  ) {
    const { caches } = context;
    this.#opened = new GatewayCacheSet(context, caches.istio.gateways.synced, tell);
    this.#gateways = new Freshest(caches.internalGateways);
    this.#services = new Freshest(caches.services);
    this.#policies = new Freshest(caches.networkPolicies);
    this.routeSecrets = new RouteSecrets(context, caches.secrets);
    this.#foreignGateways = new Selection(caches.istio.gateways, asForeignGateway, (change) => {
      if (isOtherSpec(change)) this.#tellAll();
    });
    this.#gatewayPolicies = new Selection(caches.networkPolicies, asPolicy, ({ object }) => {
      this.#tellNamespace(object.metadata.namespace);
    });
    this.#listen();
  }

  /** Looks at an InternalGateway. */
  async look(key: string): Promise<Look> {
    const { namespace, name } = splitKey(key);
    const gateway = this.#gateways.get(name, namespace);
    if (gateway === undefined) {
      this.#forget(key);
      return { kind: "gone" };
    }
    const watched = this.#watch(key, gateway);
    if (!this.#isSynced(watched.caches)) return { kind: "unknown" };
    return { kind: "seen", seen: await this.#seen(watched) };
  }

  /** Notes a write, so that the next look does not show the state before it. */
  wrote(key: string, object: KubernetesObject, written: KubernetesObject | undefined): void {
    switch (object.kind) {
      case "InternalGateway":
        noteIn(this.#gateways, object, written);
        break;
      case "Service":
        noteIn(this.#services, object, written);
        break;
      case "NetworkPolicy":
        noteIn(this.#policies, object, written);
        break;
      case "EnvoyFilter":
        noteIn(this.#watched.get(key)?.caches.filters, object, written);
        break;
      case "Secret":
        // What is made is noted where it is made.
        if (written === undefined) this.routeSecrets.removed(object);
        break;
    }
  }

  #listen(): void {
    const { caches } = this.context;
    caches.internalGateways.onChange((change) => {
      this.tell(keyOf(change.object));
      // A port may have become free for a neighbour, or be another one's now.
      if (isOtherSpec(change)) this.#tellNamespace(change.object.metadata.namespace);
    });
    caches.services.onChange(({ object }) => {
      this.#tellNamespace(object.metadata.namespace);
    });
    caches.namespaces.onChange(({ object }) => {
      this.#tellNamespace(object.metadata.name);
    });
    caches.secrets.onChange(({ object }) => {
      const key = this.#secretOwners.get(keyOf(object));
      if (key !== undefined) this.tell(key);
    });
    void caches.istio.known.then(() => {
      this.#isIstioKnown = true;
      this.#tellAll();
    });
    for (const { synced } of [caches.networkPolicies, caches.istio.gateways]) {
      void synced.then(() => {
        this.#tellAll();
      });
    }
  }

  #tellAll(): void {
    for (const gateway of this.context.caches.internalGateways.list()) this.tell(keyOf(gateway));
  }

  #tellNamespace(namespace = ""): void {
    for (const gateway of this.context.caches.internalGateways.list(namespace)) {
      this.tell(keyOf(gateway));
    }
  }

  #watch(key: string, gateway: InternalGateway): Watched {
    const secretPlace = `${gateway.metadata.namespace ?? ""}/${routeSecretNameOf(gateway)}`;
    const watched = { gateway, caches: this.#opened.of(key, gateway), secretPlace };
    this.#watched.set(key, watched);
    this.#secretOwners.set(secretPlace, key);
    return watched;
  }

  #forget(key: string): void {
    const watched = this.#watched.get(key);
    if (watched === undefined) return;
    this.#opened.close(key);
    this.#watched.delete(key);
    this.#secretOwners.delete(watched.secretPlace);
    this.routeSecrets.forget(watched.secretPlace);
  }

  #isSynced({ endpointSlices, pods, envoyFilters }: GatewayCaches): boolean {
    const { istio, networkPolicies } = this.context.caches;
    const isIstioSynced = this.#isIstioKnown && (!istio.gateways.isSynced || envoyFilters.isSynced);
    return endpointSlices.isSynced && pods.isSynced && networkPolicies.isSynced && isIstioSynced;
  }

  async #seen({ gateway, caches }: Watched): Promise<SeenGateway> {
    const { internalGateways, istio } = this.context.caches;
    const { name, namespace = "" } = gateway.metadata;
    const routeSecret = await this.routeSecrets.observe(gateway);
    return {
      gateway,
      neighbours: internalGateways.list(namespace).filter(({ metadata }) => metadata.name !== name),
      services: this.#servicesOf(gateway),
      pods: caches.pods.list(),
      foreignGateways: this.#foreignGateways.list(),
      endpointSlices: caches.endpointSlices.list(),
      istio: istio.gateways.isSynced
        ? { envoyFilter: this.#filterOf(gateway, caches.filters) }
        : undefined,
      routeSecret,
      policies: this.#policiesOf(gateway),
      terminating: this.#isTerminating(namespace),
      nowMs: this.context.clock.nowMs(),
    };
  }

  #isTerminating(namespace: string): boolean {
    const found = this.context.caches.namespaces.get(namespace);
    return found === undefined || found.metadata.deletionTimestamp !== undefined;
  }

  #filterOf(gateway: InternalGateway, filters: Freshest<EnvoyFilter>): EnvoyFilter | undefined {
    return filters.get(filterNameOf(gateway), gateway.metadata.namespace);
  }

  /** The Services of a gateway's namespace. */
  #servicesOf(gateway: InternalGateway): readonly ServiceObject[] {
    const { namespace = "" } = gateway.metadata;
    const name = serviceNameOf(gateway);
    const own = this.#services.get(name, namespace);
    const others = this.context.caches.services
      .list(namespace)
      .filter(({ metadata }) => metadata.name !== name);
    return own === undefined ? others : [...others, own];
  }

  /** The NetworkPolicies of a gateway's namespace; without those that are made for HostedAPIServers. */
  #policiesOf(gateway: InternalGateway): readonly NetworkPolicy[] {
    const { namespace = "" } = gateway.metadata;
    const seen = this.#gatewayPolicies.list(namespace);
    const places = [...seen, ...desiredPolicies(gateway, seen)].map(keyOf);
    return this.#policies.pick(new Set(places));
  }
}
