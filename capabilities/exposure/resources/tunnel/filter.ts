import type { ConfigPatch, EnvoyConfig } from "../../../../lib/api";
import { tunnelLua } from "../../filter/tunnel.generated";
import {
  CLIENT_IDLE_SECONDS,
  MAX_AGE_SECONDS,
  REQUEST_HEADERS_SECONDS,
  seconds,
} from "../timeouts";
import { HTTP_CONNECTION_MANAGER, KEEPALIVE_SOCKET_OPTIONS, ROUTER, typed } from "../envoy";
import { TUNNEL_ROUTES, type TunnelPorts } from "./names";

const GATEWAY = { context: "GATEWAY" } as const;

/** A node's proxy sends a handful. */
const MAX_HEADERS = 20;

const connectionManager: EnvoyConfig = typed(
  "filters.network.http_connection_manager.v3.HttpConnectionManager",
  {
    strip_trailing_host_dot: true,
    upgrade_configs: [{ upgrade_type: "CONNECT" }],
    stream_idle_timeout: seconds(MAX_AGE_SECONDS),
    // A tunnel is a request that does not end.
    request_timeout: seconds(0),
    request_headers_timeout: seconds(REQUEST_HEADERS_SECONDS),
    common_http_protocol_options: {
      idle_timeout: seconds(CLIENT_IDLE_SECONDS),
      max_stream_duration: seconds(MAX_AGE_SECONDS),
      max_headers_count: MAX_HEADERS,
    },
  },
);

const refusals: EnvoyConfig = {
  name: "fairlead.tunnel",
  typed_config: typed("filters.http.lua.v3.Lua", {
    default_source_code: { inline_string: `${tunnelLua}\n` },
  }),
};

const proxyProtocolListener: EnvoyConfig = {
  name: "envoy.filters.listener.proxy_protocol",
  typed_config: typed("filters.listener.proxy_protocol.v3.ProxyProtocol", {}),
};

const proxyProtocolSocket: EnvoyConfig = {
  name: "envoy.transport_sockets.upstream_proxy_protocol",
  typed_config: typed("transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport", {
    config: { version: "V2" },
    transport_socket: {
      name: "envoy.transport_sockets.raw_buffer",
      typed_config: typed("transport_sockets.raw_buffer.v3.RawBuffer", {}),
    },
  }),
};

/** A VirtualService can't say CONNECT; by its name a route is known as one, whoever's it is. */
function connectRoute(portNumber: number, name: string): ConfigPatch {
  return {
    applyTo: "HTTP_ROUTE",
    match: { ...GATEWAY, routeConfiguration: { portNumber, vhost: { route: { name } } } },
    patch: {
      operation: "MERGE",
      value: {
        match: { connect_matcher: {} },
        route: { upgrade_configs: [{ upgrade_type: "CONNECT", connect_config: {} }] },
      },
    },
  };
}

/**
 * What the shared EnvoyFilter says of tunnels, whatever their number: one port takes CONNECT and answers what leads
 * nowhere; on the way to where a tunnel ends, PROXY protocol tells the client's address, for the API server's audit log.
 * Who a request is from is found out there as on the main port, by the same patches.
 */
export function tunnelPatches(ports: TunnelPorts): readonly ConfigPatch[] {
  const { port: portNumber, loopbackPort } = ports;
  const filter = { name: HTTP_CONNECTION_MANAGER };
  return [
    {
      applyTo: "LISTENER",
      match: { ...GATEWAY, listener: { portNumber } },
      patch: { operation: "MERGE", value: { socket_options: KEEPALIVE_SOCKET_OPTIONS } },
    },
    {
      applyTo: "NETWORK_FILTER",
      match: { ...GATEWAY, listener: { portNumber, filterChain: { filter } } },
      patch: { operation: "MERGE", value: { typed_config: connectionManager } },
    },
    {
      applyTo: "HTTP_FILTER",
      match: {
        ...GATEWAY,
        listener: {
          portNumber,
          filterChain: { filter: { ...filter, subFilter: { name: ROUTER } } },
        },
      },
      patch: { operation: "INSERT_BEFORE", value: refusals },
    },
    ...Object.values(TUNNEL_ROUTES).map((name) => connectRoute(portNumber, name)),
    {
      applyTo: "LISTENER_FILTER",
      match: { ...GATEWAY, listener: { portNumber: loopbackPort } },
      patch: { operation: "INSERT_FIRST", value: proxyProtocolListener },
    },
    {
      applyTo: "CLUSTER",
      match: { ...GATEWAY, cluster: { portNumber: loopbackPort } },
      patch: { operation: "MERGE", value: { transport_socket: proxyProtocolSocket } },
    },
  ];
}
