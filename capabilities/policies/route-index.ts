import type { Cache } from "../../lib/cluster";
import { parseRouteConfig, type ConfigMap } from "../../lib/domain/route-config";

/** Which namespaces' routes lead to a Service, so that a change of one costs nothing but a look-up. */
export class RouteIndex {
  readonly #namespaces = new Map<string, Set<string>>();

  /** @param routes The route ConfigMaps of all namespaces; those that come later are heard of, too. */
  constructor(routes: Cache<ConfigMap>) {
    for (const configMap of routes.list()) this.#add(configMap);
    routes.onChange(({ kind, object, previous }) => {
      if (previous !== undefined) this.#remove(previous);
      if (kind !== "deleted") this.#add(object);
    });
  }

  /** The namespaces whose route leads to a Service. */
  leadingTo(namespace: string, service: string): readonly string[] {
    return [...(this.#namespaces.get(`${namespace}/${service}`) ?? [])];
  }

  #add(configMap: ConfigMap): void {
    const target = targetOf(configMap);
    if (target === undefined) return;
    const namespaces = this.#namespaces.get(target) ?? new Set();
    this.#namespaces.set(target, namespaces.add(configMap.metadata.namespace ?? ""));
  }

  #remove(configMap: ConfigMap): void {
    const target = targetOf(configMap);
    const namespaces = target === undefined ? undefined : this.#namespaces.get(target);
    if (target === undefined || namespaces === undefined) return;
    namespaces.delete(configMap.metadata.namespace ?? "");
    if (namespaces.size === 0) this.#namespaces.delete(target);
  }
}

/** The Service that a route leads to, `namespace/name`; undefined where it can't be followed. */
function targetOf({ data }: ConfigMap): string | undefined {
  const route = parseRouteConfig(data);
  return route.kind === "valid"
    ? `${route.config.gatewayNamespace}/${route.config.service}`
    : undefined;
}
