import { mirror } from "./mirror";
import type { Relay, Route, RouteTarget } from "./relay";
import type { Rest } from "./rest";

/** The parts of a Service that lead connections. */
interface Service {
  readonly metadata: { readonly name: string; readonly namespace: string };
  readonly spec: {
    readonly clusterIPs?: readonly string[];
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly protocol?: string;
    }[];
  };
}

/** The parts of an EndpointSlice that lead connections. */
interface EndpointSlice {
  readonly metadata: {
    readonly name: string;
    readonly namespace: string;
    readonly labels?: Readonly<Record<string, string>>;
  };
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly ports?: readonly { readonly name?: string; readonly port?: number }[] | null;
  readonly endpoints?: readonly Endpoint[] | null;
}

interface Endpoint {
  readonly addresses: readonly string[];
  readonly conditions?: { readonly ready?: boolean; readonly serving?: boolean };
  readonly hints?: { readonly forZones?: readonly { readonly name: string }[] };
}

/** What plays kube-proxy. */
export interface ServiceProxy {
  /** Tells the zone of a client's address, for hints. */
  readonly setZone: (address: string, zone: string | undefined) => void;
  /** A route beside those of Services; another one to the same address replaces it. */
  setRoute(route: Route): Promise<void>;
}

/**
 * Routes for Services as kube-proxy makes them: every cluster IP and TCP port to the ready
 * endpoints of its family; when there is none, to those that still serve while they terminate.
 * @see https://kubernetes.io/docs/concepts/services-networking/endpoint-slices/#conditions
 */
export function serviceRoutes(
  services: readonly Service[],
  slices: readonly EndpointSlice[],
): Route[] {
  const byService = groupByService(slices);
  return services.flatMap((service) =>
    (service.spec.clusterIPs ?? [])
      .filter((ip) => ip !== "None" && ip !== "")
      .flatMap((ip) =>
        (service.spec.ports ?? [])
          .filter((port) => (port.protocol ?? "TCP") === "TCP")
          .map((port) => ({
            listen: joinAddress(ip, port.port),
            targets: targetsOf(port.name, {
              slices: byService.get(placeOf(service)) ?? [],
              isIPv6: ip.includes(":"),
            }),
          })),
      ),
  );
}

const placeOf = ({ metadata }: Service): string => `${metadata.namespace}/${metadata.name}`;

// Once for all Services: there may be thousands of both.
function groupByService(
  slices: readonly EndpointSlice[],
): ReadonlyMap<string, readonly EndpointSlice[]> {
  const groups = new Map<string, EndpointSlice[]>();
  for (const slice of slices) {
    const { namespace, labels } = slice.metadata;
    const place = `${namespace}/${labels?.["kubernetes.io/service-name"] ?? ""}`;
    const group = groups.get(place);
    if (group === undefined) groups.set(place, [slice]);
    else group.push(slice);
  }
  return groups;
}

function targetsOf(
  portName: string | undefined,
  from: { readonly slices: readonly EndpointSlice[]; readonly isIPv6: boolean },
): RouteTarget[] {
  const family = from.isIPv6 ? "IPv6" : "IPv4";
  const endpoints = from.slices
    .filter(({ addressType }) => addressType === family)
    .flatMap((slice) => {
      const port = slice.ports?.find((one) => (one.name ?? "") === (portName ?? ""))?.port;
      return port === undefined
        ? []
        : (slice.endpoints ?? []).map((endpoint) => ({ endpoint, port }));
    });
  const ready = endpoints.filter(({ endpoint }) => endpoint.conditions?.ready !== false);
  const serving = endpoints.filter(({ endpoint }) => endpoint.conditions?.serving === true);
  return (ready.length > 0 ? ready : serving).flatMap(({ endpoint, port }) => {
    const zones = endpoint.hints?.forZones?.map((zone) => zone.name) ?? [];
    return endpoint.addresses.slice(0, 1).map((address) => ({
      address: joinAddress(address, port),
      ...(zones.length > 0 ? { zones } : {}),
    }));
  });
}

function joinAddress(ip: string, port: number): string {
  return ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`;
}

/** What a service proxy works with. */
export interface ServiceProxyRequest {
  readonly rest: Rest;
  /** Runs in the node's network namespace. */
  readonly relay: Relay;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Watches Services and EndpointSlices, and keeps the relay's routes like them. */
export function startServiceProxy(request: ServiceProxyRequest): ServiceProxy {
  const { rest, relay, signal } = request;
  const zones = new Map<string, string>();
  const extra = new Map<string, Route>();
  const change = () => {
    // An address that cannot be listened to is the relay's log's to tell; the others work.
    apply().catch(() => undefined);
  };
  const services = mirror<Service>({ rest, signal, path: "/api/v1/services", change });
  const slices = mirror<EndpointSlice>({
    rest,
    signal,
    path: "/apis/discovery.k8s.io/v1/endpointslices",
    change,
  });
  const apply = serialize(async () => {
    const found = serviceRoutes([...services.values()], [...slices.values()]);
    const routes = [...found.filter(({ listen }) => !extra.has(listen)), ...extra.values()];
    await relay.setRoutes({ routes, zones: Object.fromEntries(zones) });
  });
  return {
    setZone(address, zone) {
      if (zone === undefined) zones.delete(address);
      else zones.set(address, zone);
      change();
    },
    async setRoute(route) {
      extra.set(route.listen, route);
      await apply();
    },
  };
}

/** Runs work one at a time; calls during a run share the next one. */
function serialize(work: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | undefined;
  let next: Promise<void> | undefined;
  return async () => {
    if (running === undefined) {
      running = work().finally(() => {
        running = undefined;
      });
      return running;
    }
    next ??= running
      .catch(() => undefined)
      .then(async () => {
        next = undefined;
        running = work().finally(() => {
          running = undefined;
        });
        return running;
      });
    return next;
  };
}
