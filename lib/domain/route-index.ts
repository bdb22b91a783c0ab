import { parseRouteConfig, type ConfigMap } from "./route-config";

/** Where a route ConfigMap leads, as `namespace/name` of a Service; undefined where it can't be followed. */
function destinationOf({ data }: ConfigMap): string | undefined {
  const parsed = parseRouteConfig(data);
  if (parsed.kind !== "valid") return undefined;
  return `${parsed.config.gatewayNamespace}/${parsed.config.service}`;
}

/** Which namespaces are routed to which Service, so that a change of any other Service costs a look and no more. */
export class RouteIndex {
  readonly #destinations = new Map<string, string>();
  readonly #namespaces = new Map<string, Set<string>>();

  /** Takes in the route ConfigMap of a namespace as it is now. */
  put(configMap: ConfigMap): void {
    const { namespace = "" } = configMap.metadata;
    this.remove(namespace);
    const destination = destinationOf(configMap);
    if (destination === undefined) return;
    this.#destinations.set(namespace, destination);
    const namespaces = this.#namespaces.get(destination) ?? new Set();
    this.#namespaces.set(destination, namespaces.add(namespace));
  }

  /** Forgets the route ConfigMap of a namespace. */
  remove(namespace: string): void {
    const destination = this.#destinations.get(namespace);
    if (destination === undefined) return;
    this.#destinations.delete(namespace);
    const namespaces = this.#namespaces.get(destination);
    namespaces?.delete(namespace);
    if (namespaces?.size === 0) this.#namespaces.delete(destination);
  }

  /**
   * The namespaces that are routed to a Service.
   * @param service `namespace/name`.
   */
  routedTo(service: string): readonly string[] {
    return [...(this.#namespaces.get(service) ?? [])];
  }
}
