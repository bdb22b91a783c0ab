import type {
  Destination,
  HostedAPIServer,
  HttpRoute,
  ServiceEntry,
  TunnelGateway,
  TunnelRoute,
  TunnelVirtualService,
} from "../../../../lib/api";
import { destinationHostOf, serviceOf, sortedHostsOf, type Exposure } from "../exposure";
import { SUBSETS } from "../subsets";
import { shortHash } from "../names";
import { RETRIES, requestRoutesOf, revisionPathOf } from "../virtual-service";
import {
  TUNNEL_ROUTES,
  tunnelMetadataOf,
  tunnelNamesOf,
  tunnelServiceHostOf,
  type TunnelPorts,
} from "./names";

/** A tunnel of an exposure. */
export interface Tunnel {
  readonly exposure: Exposure;
  readonly ports: TunnelPorts;
  /** Of the gateway's Pods, where it ends. */
  readonly address: string;
}

/** All objects of a tunnel, in the order in which they are made: first what others refer to. */
export interface TunnelObjects {
  readonly serviceEntry: ServiceEntry;
  readonly virtualService: TunnelVirtualService;
  readonly gateway: TunnelGateway;
}

/** Names the inner port in Envoy's cluster and in the routes' name. */
const PORT_NAMES = { outside: "http-tunnel", inside: "tls-tunnel" } as const;

function gatewayOf({ exposure, ports, address }: Tunnel): TunnelGateway {
  const { credentials } = exposure.mode;
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: tunnelMetadataOf(exposure),
    spec: {
      selector: exposure.gateway.spec.selector,
      servers: [
        {
          hosts: sortedHostsOf(exposure.server),
          port: { name: PORT_NAMES.outside, number: ports.port, protocol: "HTTP" },
        },
        ...(credentials === undefined
          ? []
          : [
              {
                // The listener is this tenant's: by address, without SNI, it is reached too.
                hosts: ["*"] as const,
                port: { name: PORT_NAMES.inside, number: ports.loopbackPort, protocol: "HTTPS" },
                bind: address,
                tls: {
                  mode: credentials.clientCertificates ? "OPTIONAL_MUTUAL" : "SIMPLE",
                  credentialName: credentials.server,
                  minProtocolVersion: "TLSV1_2",
                },
              } as const,
            ]),
      ],
    },
  };
}

function serviceEntryOf({ exposure, ports, address }: Tunnel): ServiceEntry {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "ServiceEntry",
    metadata: tunnelMetadataOf(exposure),
    spec: {
      exportTo: ["."],
      hosts: [tunnelServiceHostOf(exposure.server)],
      location: "MESH_EXTERNAL",
      resolution: "STATIC",
      ports: [{ name: PORT_NAMES.inside, number: ports.loopbackPort, protocol: "TCP" }],
      endpoints: [{ address }],
    },
  };
}

/** In L4 a new tunnel leads to the API servers themselves; those that are open end where they ended. */
function tunnelRouteOf({ exposure, ports }: Tunnel): TunnelRoute {
  const isL7 = exposure.mode.kind === "L7";
  const destination: Omit<Destination, "subset"> & { subset?: string } = isL7
    ? { host: tunnelServiceHostOf(exposure.server), port: { number: ports.loopbackPort } }
    : {
        host: destinationHostOf(exposure),
        subset: SUBSETS.passthrough,
        port: { number: serviceOf(exposure.server).port },
      };
  return {
    name: isL7 ? TUNNEL_ROUTES.inside : TUNNEL_ROUTES.passthrough,
    match: [{ port: ports.port }],
    retries: RETRIES,
    route: [{ destination }],
  };
}

/** The path at which the end of a tunnel itself answers 200 once it has this very VirtualService. */
export function tunnelRevisionPathOf({ exposure, ports, address }: Tunnel): string {
  const facts = [tunnelNamesOf(exposure.server), ports, address];
  return `${revisionPathOf(exposure)}-${shortHash(JSON.stringify(facts))}`;
}

/** The routes of requests, at the one port alone: on the other they would be reached without TLS. */
function insideOf(route: HttpRoute, tunnel: Tunnel): TunnelRoute {
  const port = tunnel.ports.loopbackPort;
  if ("directResponse" in route) {
    return { ...route, match: [{ uri: { exact: tunnelRevisionPathOf(tunnel) }, port }] };
  }
  return { ...route, match: (route.match ?? [{}]).map((match) => ({ ...match, port })) };
}

/** istiod takes a host without a dot for a Service beside it; the filter gives such a name the routes of a longer one. */
function routedNamesOf(server: HostedAPIServer): readonly string[] {
  return tunnelNamesOf(server).filter((name) => name.includes("."));
}

function virtualServiceOf(tunnel: Tunnel): TunnelVirtualService {
  const { exposure } = tunnel;
  const metadata = tunnelMetadataOf(exposure);
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata,
    spec: {
      exportTo: ["."],
      hosts: [...sortedHostsOf(exposure.server), ...routedNamesOf(exposure.server)],
      gateways: [metadata.name],
      http: [
        tunnelRouteOf(tunnel),
        ...requestRoutesOf(exposure).map((route) => insideOf(route, tunnel)),
      ],
    },
  };
}

/**
 * The objects of a tunnel: the tenant is named by one of its public hosts, which nobody else can have; the connection
 * inside comes out at a listener that is this tenant's alone, since all tenants' SNI is the same.
 * @throws {Error} for a malformed route secret.
 */
export function tunnelObjectsOf(tunnel: Tunnel): TunnelObjects {
  return {
    serviceEntry: serviceEntryOf(tunnel),
    virtualService: virtualServiceOf(tunnel),
    gateway: gatewayOf(tunnel),
  };
}
