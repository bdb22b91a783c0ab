import type { Cache, CacheOptions, Clock } from "../../lib/cluster";
import { INTERNAL_SERVICE, ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import { routeServiceName, type ConfigMap } from "../../lib/domain/route-config";
import type { RouteInputs, RouteService as Service } from "../../lib/domain/routes";

/** Opens the caches that routes are read from: `openCache` with its context given. */
interface RouteCaches {
  configMaps(options: CacheOptions<ConfigMap>): Cache<ConfigMap>;
  services(options: CacheOptions<Service>): Cache<Service>;
}

/** What Routes needs. */
interface RoutesOptions {
  readonly caches: RouteCaches;
  readonly clock: Clock;
  /** How long a request waits for the first reads; less than the webhook's timeout. */
  readonly waitMs: number;
  /** What the API server says where there is no right to read a namespace. Absent: there always is. */
  readonly refusal?: (namespace: string) => string | undefined;
}

interface ServiceWatch {
  readonly cache: Cache<Service>;
  /** The namespaces whose ConfigMaps name it. */
  readonly users: Set<string>;
}

const byName = (name: string): string => `metadata.name=${name}`;

/** All that a decision reads, and nothing else is kept. */
function projectConfigMap({ apiVersion, kind, metadata, data }: ConfigMap): ConfigMap {
  const { name, namespace = "" } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, namespace },
    ...(data === undefined ? {} : { data }),
  };
}

function projectService({ apiVersion, kind, metadata, spec = {} }: Service): Service {
  const { name, namespace = "" } = metadata;
  const { type, clusterIP, clusterIPs } = spec;
  return {
    apiVersion,
    kind,
    metadata: { name, namespace },
    spec: {
      ...(type === undefined ? {} : { type }),
      ...(clusterIP === undefined ? {} : { clusterIP }),
      ...(clusterIPs === undefined ? {} : { clusterIPs }),
    },
  };
}

/**
 * What the cluster says about routes, kept up to date by watches that the server filters by name: one of the route
 * ConfigMaps, one of the Services of the default name, and one a further name that a ConfigMap mentions, for as long as
 * it does. Nothing is read and no watch is opened before `start`.
 */
export class Routes {
  readonly #options: RoutesOptions;
  readonly #services = new Map<string, ServiceWatch>();
  readonly #started: Promise<Cache<ConfigMap>>;
  #configMaps: Cache<ConfigMap> | undefined;
  #markStarted: (configMaps: Cache<ConfigMap>) => void = () => undefined;

  /** @param options The caches to open at the start, and how long requests wait for them. */
  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#started = new Promise((resolve) => {
      this.#markStarted = resolve;
    });
  }

  /** Opens the watches, once. It does not wait for them. */
  start(): void {
    if (this.#configMaps !== undefined) return;
    // Most ConfigMaps name the default Service, so it is never closed.
    this.#watchService(INTERNAL_SERVICE);
    const configMaps = this.#options.caches.configMaps({
      apiVersion: "v1",
      kind: "ConfigMap",
      fieldSelector: byName(ROUTE_CONFIG_MAP),
      project: projectConfigMap,
    });
    configMaps.onChange(({ kind, object, previous }) => {
      const namespace = object.metadata.namespace ?? "";
      const before = previous === undefined ? undefined : routeServiceName(previous.data);
      const after = kind === "deleted" ? undefined : routeServiceName(object.data);
      // The new one first: a name that stays is not closed in between.
      if (after !== undefined) this.#watchService(after).users.add(namespace);
      if (before !== undefined && before !== after) this.#leaveService(before, namespace);
    });
    this.#configMaps = configMaps;
    this.#markStarted(configMaps);
  }

  /** Closes the watches. */
  stop(): void {
    this.#configMaps?.stop();
    for (const { cache } of this.#services.values()) cache.stop();
  }

  /**
   * Waits until the route of a namespace is known, but not for long.
   * @returns Whether it is.
   */
  async ready(namespace: string): Promise<boolean> {
    if (this.refusal(namespace) !== undefined) return false;
    if (this.#unknown(namespace) === undefined) return true;
    const { clock, waitMs } = this.#options;
    let cancel = (): void => undefined;
    const late = new Promise<"late">((resolve) => {
      cancel = clock.after(waitMs, () => {
        resolve("late");
      });
    });
    try {
      return await this.#readyBefore(late, namespace);
    } finally {
      cancel();
    }
  }

  /** Why the route of a namespace can't become known: what the API server says. */
  refusal(namespace: string): string | undefined {
    return this.#options.refusal?.(namespace);
  }

  /** What is known of the route of a namespace, as of now. */
  inputs(namespace: string): RouteInputs {
    return {
      namespace,
      configMap: this.#configMaps?.get(ROUTE_CONFIG_MAP, namespace),
      service: (of, name) => this.#services.get(name)?.cache.get(name, of),
    };
  }

  /** What to wait for until the route of a namespace is known; undefined when it is. */
  #unknown(namespace: string): Promise<unknown> | undefined {
    const configMaps = this.#configMaps;
    if (configMaps === undefined) return this.#started;
    if (!configMaps.isSynced) return configMaps.synced;
    const configMap = configMaps.get(ROUTE_CONFIG_MAP, namespace);
    if (configMap === undefined) return undefined;
    const services = this.#services.get(routeServiceName(configMap.data))?.cache;
    return services === undefined || services.isSynced ? undefined : services.synced;
  }

  async #readyBefore(late: Promise<"late">, namespace: string): Promise<boolean> {
    // Once one thing is known another may be missing: a ConfigMap names a Service.
    for (;;) {
      const unknown = this.#unknown(namespace);
      if (unknown === undefined) return true;
      if ((await Promise.race([unknown, late])) === "late") return false;
    }
  }

  #watchService(name: string): ServiceWatch {
    const open = this.#services.get(name);
    if (open !== undefined) return open;
    const cache = this.#options.caches.services({
      apiVersion: "v1",
      kind: "Service",
      fieldSelector: byName(name),
      project: projectService,
    });
    const watch = { cache, users: new Set<string>() };
    this.#services.set(name, watch);
    return watch;
  }

  #leaveService(name: string, namespace: string): void {
    const watch = this.#services.get(name);
    watch?.users.delete(namespace);
    if (watch === undefined || watch.users.size > 0 || name === INTERNAL_SERVICE) return;
    watch.cache.stop();
    this.#services.delete(name);
  }
}
