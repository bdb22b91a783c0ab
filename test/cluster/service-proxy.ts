import { setTimeout as sleep } from "node:timers/promises";
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
  /** Routes beside those of Services. */
  addRoute(route: Route): Promise<void>;
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
  return services.flatMap((service) =>
    (service.spec.clusterIPs ?? [])
      .filter((ip) => ip !== "None" && ip !== "")
      .flatMap((ip) =>
        (service.spec.ports ?? [])
          .filter((port) => (port.protocol ?? "TCP") === "TCP")
          .map((port) => ({
            listen: joinAddress(ip, port.port),
            targets: targetsOf(service, port.name, { slices, isIPv6: ip.includes(":") }),
          })),
      ),
  );
}

function targetsOf(
  service: Service,
  portName: string | undefined,
  from: { readonly slices: readonly EndpointSlice[]; readonly isIPv6: boolean },
): RouteTarget[] {
  const { name, namespace } = service.metadata;
  const family = from.isIPv6 ? "IPv6" : "IPv4";
  const endpoints = from.slices
    .filter(
      ({ metadata, addressType }) =>
        metadata.namespace === namespace &&
        metadata.labels?.["kubernetes.io/service-name"] === name &&
        addressType === family,
    )
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

const relistMs = 300;

/** Watches Services and EndpointSlices, and keeps the relay's routes like them. */
export function startServiceProxy(request: ServiceProxyRequest): ServiceProxy {
  const { relay } = request;
  const services = new Map<string, Service>();
  const slices = new Map<string, EndpointSlice>();
  const zones = new Map<string, string>();
  const extra: Route[] = [];
  const apply = serialize(async () => {
    const routes = [...extra, ...serviceRoutes([...services.values()], [...slices.values()])];
    await relay.setRoutes({ routes, zones: Object.fromEntries(zones) });
  });
  const change = () => {
    // An address that cannot be listened to is the relay's log's to tell; the others work.
    apply().catch(() => undefined);
  };
  void follow(request, "/api/v1/services", { objects: services, change });
  void follow(request, "/apis/discovery.k8s.io/v1/endpointslices", { objects: slices, change });
  return {
    setZone(address, zone) {
      if (zone === undefined) zones.delete(address);
      else zones.set(address, zone);
      change();
    },
    async addRoute(route) {
      extra.push(route);
      await apply();
    },
  };
}

interface Named {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

// Lists and watches for as long as the signal lets it; a watch that ends is followed by a list.
async function follow<T extends Named>(
  { rest, signal }: ServiceProxyRequest,
  path: string,
  sink: { readonly objects: Map<string, T>; readonly change: () => void },
): Promise<void> {
  const keyOf = ({ metadata }: T) => `${metadata.namespace}/${metadata.name}`;
  while (!signal.aborted) {
    try {
      const list = await rest.json<{
        readonly metadata: { readonly resourceVersion: string };
        readonly items: readonly T[];
      }>({ path });
      sink.objects.clear();
      for (const item of list.items) sink.objects.set(keyOf(item), item);
      sink.change();
      const query = `?watch=1&resourceVersion=${list.metadata.resourceVersion}`;
      await rest.watch(
        path + query,
        (event) => {
          const { type, object } = event as { readonly type: string; readonly object: T };
          if (type === "ADDED" || type === "MODIFIED") sink.objects.set(keyOf(object), object);
          else if (type === "DELETED") sink.objects.delete(keyOf(object));
          sink.change();
        },
        signal,
      );
    } catch {
      // The API server is away: asked again below.
    }
    await sleep(relistMs, undefined, { ref: false });
  }
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
