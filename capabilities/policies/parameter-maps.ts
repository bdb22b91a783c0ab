import { equals } from "ramda";
import type { HostedAPIServer, OwnerReference, PartialObjectMetadata } from "../../lib/api";
import {
  describeError,
  isForbidden,
  isInvalid,
  openScopedCache,
  refOf,
  type Cache,
  type CacheContext,
  type ServiceObject,
} from "../../lib/cluster";
import { PARAMETERS_CONFIG_MAP, parameterLabels } from "../../lib/domain/admission-policies";
import { isManaged, LABEL_MANAGED_BY, LABEL_NAMESPACE, MANAGED_BY } from "../../lib/domain/names";
import type { ConfigMap } from "../../lib/domain/route-config";
import type { RouteInputs } from "../../lib/domain/routes";
import { ignoredNamespaces, SYSTEM_NAMESPACE } from "../../lib/domain/webhook";
import { covers, digest } from "./compare";
import { writeConfigMap } from "./execute";
import type { ParamsState } from "./observed";
import {
  clusterParamsOf,
  isLargeRoute,
  namespaceParamsOf,
  OWN_PARAMETERS_PREFIX,
  PARAMETERS,
  type Parameters,
} from "./params";

/** What parameters are made from. */
export interface ParameterInputs {
  /** The route ConfigMaps of all namespaces. */
  readonly routes: Cache<ConfigMap>;
  readonly services: Cache<ServiceObject>;
  readonly hostedAPIServers: Cache<HostedAPIServer>;
  readonly namespaces: Cache<PartialObjectMetadata>;
  /** The management cluster's minor that counts; undefined while it is not known. */
  readonly versions: { readonly minor: number | undefined };
  /** How many zones its nodes span, likewise. */
  readonly zones: { readonly count: number | undefined };
}

/** How a ConfigMap of parameters is to be; undefined: it is not to be there. */
interface Wish {
  readonly namespace: string;
  readonly data: Parameters | undefined;
}

/** What the choice between policies and the webhook says about parameters. */
export interface ParameterOptions {
  /** What all of them go with; undefined while it is not there. */
  readonly owner: () => OwnerReference | undefined;
  /** Whether the webhook has had all of a namespace for so long that every API server knows it. */
  readonly isLeft: (namespace: string) => boolean;
}

/**
 * The ConfigMaps that policies read: one in each namespace that has a route or HostedAPIServers, and one of the whole
 * cluster. What they are to be is computed from caches; a write is made where that differs.
 */
export class ParameterMaps {
  /** Empty before `open`. */
  #live: Cache<ConfigMap> | undefined;
  /** Why a namespace's can't be written: what the API server says. */
  readonly #refused = new Map<string, string>();

  constructor(
    private readonly context: CacheContext,
    private readonly inputs: ParameterInputs,
    private readonly options: ParameterOptions,
  ) {}

  /** Opens the watch of what there is. */
  open(): Cache<ConfigMap> {
    const { context } = this;
    const { scope } = context;
    // The cluster's own are in fairlead's namespace, which is in no list.
    const here = scope && { ...scope, controlPlanes: [...scope.controlPlanes, SYSTEM_NAMESPACE] };
    this.#live ??= openScopedCache<ConfigMap>(here ? { ...context, scope: here } : context, {
      apiVersion: "v1",
      kind: "ConfigMap",
      fieldSelector: `metadata.name=${PARAMETERS_CONFIG_MAP}`,
    });
    return this.#live;
  }

  /** Ends the watch. */
  stop(): void {
    this.#live?.stop();
  }

  /** All namespaces that have parameters, or are to have some; the system's, which has the cluster's, comes last. */
  namespaces(): readonly string[] {
    const { routes, hostedAPIServers } = this.inputs;
    const all = [...routes.list(), ...hostedAPIServers.list(), ...this.#all()];
    const names = new Set(all.map(({ metadata }) => metadata.namespace ?? ""));
    names.delete(SYSTEM_NAMESPACE);
    return [...names, SYSTEM_NAMESPACE];
  }

  /** How all of them compare with how they are to be. */
  state(): ParamsState {
    const all = this.namespaces();
    const live = this.#all();
    const foreign = all.filter((each) => each !== SYSTEM_NAMESPACE && this.isInTheWay(each));
    const shared = this.#find(SYSTEM_NAMESPACE);
    return {
      outOfLine: all
        .filter((namespace) => !this.isInTheWay(namespace))
        .filter((namespace) => this.#isOutOfLine(namespace)).length,
      own: live.filter(isManaged).length,
      foreign: [...foreign].sort(),
      foreignShared:
        shared !== undefined && !isManaged(shared)
          ? `${SYSTEM_NAMESPACE}/${PARAMETERS_CONFIG_MAP}`
          : undefined,
    };
  }

  /** Changes whenever one of them does. */
  versions(): string {
    return digest(
      this.#all()
        .map(({ metadata: { namespace, uid, resourceVersion } }) => [
          namespace,
          uid,
          resourceVersion,
        ])
        .sort(),
    );
  }

  /**
   * Brings those of a namespace in line.
   * @returns what was done; wait: it is to be tried again.
   */
  async keep(namespace: string): Promise<"create" | "change" | "delete" | "none" | "wait"> {
    const live = this.#find(namespace);
    if ((live !== undefined && !isManaged(live)) || this.options.owner() === undefined)
      return "none";
    const isEarly = this.#isLarge(namespace) && !this.options.isLeft(namespace);
    // Policies lead Pods where they were led before, until all of them reach the webhook.
    if (isEarly && live?.data?.[PARAMETERS.hosts] !== undefined) return "wait";
    const wished = this.#wish(namespace);
    if (wished.data === undefined) {
      if (live === undefined || this.#isStillCounted(namespace)) return "none";
      await this.#delete(live);
      return "delete";
    }
    if (live !== undefined && this.#isAs(live, wished)) return "none";
    try {
      await this.#write(wished, live);
      this.#refused.delete(namespace);
    } catch (error) {
      if (!isForbidden(error) && !isInvalid(error)) throw error;
      this.#refused.set(namespace, describeError(error));
      throw error;
    }
    return live === undefined ? "create" : "change";
  }

  /** Takes those of a namespace away. */
  async remove(namespace: string): Promise<"delete" | "none"> {
    const live = this.#find(namespace);
    if (live === undefined || !isManaged(live)) return "none";
    await this.#delete(live);
    return "delete";
  }

  /** Refusals count until the next full pass. */
  forgetRefusals(): void {
    this.#refused.clear();
  }

  #all(): readonly ConfigMap[] {
    return this.#live?.list() ?? [];
  }

  #find(namespace: string): ConfigMap | undefined {
    return this.#live?.get(PARAMETERS_CONFIG_MAP, namespace);
  }

  /**
   * Whether policies can't act in a namespace: its route is too large for them, a ConfigMap of others is in the way, or the
   * write was refused.
   */
  isInTheWay(namespace: string): boolean {
    if (this.#isLarge(namespace)) return true;
    if (this.#wish(namespace).data === undefined) return false;
    const live = this.#find(namespace);
    return this.#refused.has(namespace) || (live !== undefined && !isManaged(live));
  }

  #isLarge(namespace: string): boolean {
    return this.#isHere(namespace) && isLargeRoute(this.#routeOf(namespace));
  }

  #isOutOfLine(namespace: string): boolean {
    const live = this.#find(namespace);
    const wish = this.#wish(namespace);
    if (wish.data === undefined) return live !== undefined && isManaged(live);
    return live === undefined || !this.#isAs(live, wish);
  }

  #isAs(live: ConfigMap, wish: Wish): boolean {
    const { labels, ownerReferences } = this.#metadata(wish.namespace);
    return (
      equals(live.data ?? {}, { ...wish.data }) &&
      covers(live.metadata.labels, labels) &&
      equals(live.metadata.ownerReferences, ownerReferences)
    );
  }

  #wish(namespace: string): Wish {
    return { namespace, data: this.#dataOf(namespace) };
  }

  #dataOf(namespace: string): Parameters | undefined {
    const { hostedAPIServers, versions, zones } = this.inputs;
    const topology = { minor: versions.minor, zones: zones.count };
    if (namespace === SYSTEM_NAMESPACE) {
      return clusterParamsOf({ ...topology, namespaces: this.#counted() });
    }
    if (!this.#isHere(namespace)) return undefined;
    return namespaceParamsOf({
      ...topology,
      route: this.#routeOf(namespace),
      hostedAPIServers: hostedAPIServers.list(namespace),
    });
  }

  #routeOf(namespace: string): RouteInputs {
    const { routes, services } = this.inputs;
    const [configMap] = routes.list(namespace);
    return { namespace, configMap, service: (of, name) => services.get(name, of) };
  }

  /** Whether a namespace may have parameters of its own. */
  #isHere(namespace: string): boolean {
    if (ignoredNamespaces.includes(namespace)) return false;
    const { scope } = this.context;
    if (scope !== undefined && !scope.controlPlanes.includes(namespace)) return false;
    // Nothing can be made in a namespace that goes, and what there is goes with it.
    const { namespaces } = this.inputs;
    return namespaces.get(namespace)?.metadata.deletionTimestamp === undefined;
  }

  /**
   * The namespaces whose own parameters count: once they are there, or while something is in the way, so that the webhook
   * has the namespace to itself.
   */
  #counted(): readonly string[] {
    const names = new Set(
      this.inputs.hostedAPIServers.list().map(({ metadata }) => metadata.namespace ?? ""),
    );
    return [...names].filter(
      (namespace) => this.#find(namespace) !== undefined || this.#refused.has(namespace),
    );
  }

  /** The cluster's parameters say that a namespace's own count. */
  #isStillCounted(namespace: string): boolean {
    const shared = this.#find(SYSTEM_NAMESPACE);
    return shared?.data?.[`${OWN_PARAMETERS_PREFIX}${namespace}`] !== undefined;
  }

  #metadata(namespace: string) {
    const owner = this.options.owner();
    return {
      name: PARAMETERS_CONFIG_MAP,
      namespace,
      labels: {
        [LABEL_MANAGED_BY]: MANAGED_BY,
        [LABEL_NAMESPACE]: namespace,
        ...parameterLabels,
      },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    };
  }

  async #write({ namespace, data = {} }: Wish, live: ConfigMap | undefined): Promise<void> {
    const metadata = this.#metadata(namespace);
    await writeConfigMap(
      this.context.client,
      { apiVersion: "v1", kind: "ConfigMap", metadata, data },
      live,
    );
  }

  async #delete({ metadata, apiVersion, kind }: ConfigMap): Promise<void> {
    const { uid = "", resourceVersion = "" } = metadata;
    const ref = refOf({ apiVersion, kind, metadata });
    await this.context.client.delete(ref, { uid, resourceVersion });
  }
}
