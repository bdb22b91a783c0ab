import type { ConfigPatch, EnvoyConfig, EnvoyFilter, InternalGateway } from "../../../lib/api";
import { clientCertificatesLua } from "../filter/client-certificates.generated";
import {
  HTTP_CONNECTION_MANAGER,
  KEEPALIVE_SOCKET_OPTIONS,
  ROUTER,
  TCP_PROXY,
  typed,
} from "./envoy";
import { checkedRouteSecret, marks, targetPortOf } from "./exposure";
import { objectName } from "./names";
import { SUBSETS } from "./subsets";
import {
  CLIENT_IDLE_SECONDS,
  MAX_AGE_SECONDS,
  REQUEST_HEADERS_SECONDS,
  seconds,
  UPSTREAM_IDLE_SECONDS,
  UPSTREAM_PING,
} from "./timeouts";
import { tunnelPatches } from "./tunnel/filter";
import { tunnelPortsOf } from "./tunnel/names";

/** Of the filter, and of the configuration that it asks istiod for. */
const FILTER_NAME = "fairlead.client-certificates";
const LUA = "filters.http.lua.v3.Lua";

/** After the filters of others, so that ours is next to the router and sees what goes on, and our limits stand. */
const PRIORITY = 10;

/** A request with as many groups to impersonate passes; Envoy's own limits are 60 KiB and 100. */
const MAX_HEADERS = { kilobytes: 128, count: 1_000 } as const;

/** Of a stream that its client does not read, Envoy holds this much; its default is 256 MiB. */
const UPSTREAM_STREAM_WINDOW_BYTES = 1_048_576;

/** An API server that takes no connection was not reached; another one is tried. */
const MAX_CONNECT_ATTEMPTS = 3;

const connectionManager: EnvoyConfig = typed(
  "filters.network.http_connection_manager.v3.HttpConnectionManager",
  {
    // kubectl knows "host." as "host".
    strip_trailing_host_dot: true,
    // istiod has allowed websocket already, and a list is appended to; twice would be an error of the listener.
    upgrade_configs: [{ upgrade_type: "spdy/3.1" }],
    // Whatever the mesh is set to: %2F is part of a name to kube-apiserver's proxies.
    path_with_escaped_slashes_action: "KEEP_UNCHANGED",
    max_request_headers_kb: MAX_HEADERS.kilobytes,
    stream_idle_timeout: seconds(MAX_AGE_SECONDS),
    // An upgraded request never ends, so that any limit on its whole would end exec and port-forward.
    request_timeout: seconds(0),
    request_headers_timeout: seconds(REQUEST_HEADERS_SECONDS),
    common_http_protocol_options: {
      idle_timeout: seconds(CLIENT_IDLE_SECONDS),
      max_stream_duration: seconds(MAX_AGE_SECONDS),
      max_headers_count: MAX_HEADERS.count,
    },
  },
);

// istiod replaces this entry as a whole when it merges, so it says everything, what the DestinationRule says too.
const upstreamProtocol: EnvoyConfig = typed("upstreams.http.v3.HttpProtocolOptions", {
  common_http_protocol_options: {
    idle_timeout: seconds(UPSTREAM_IDLE_SECONDS),
    max_connection_duration: seconds(MAX_AGE_SECONDS),
  },
  use_downstream_protocol_config: {
    http_protocol_options: {},
    http2_protocol_options: {
      initial_stream_window_size: UPSTREAM_STREAM_WINDOW_BYTES,
      connection_keepalive: {
        interval: seconds(UPSTREAM_PING.intervalSeconds),
        timeout: seconds(UPSTREAM_PING.timeoutSeconds),
      },
    },
  },
});

/** Where requests are taken: for the public hosts, or at the end of tunnels. */
interface Place {
  readonly portNumber: number;
  readonly isTunnel: boolean;
  /** By which the filter and its script find each other; the gateway's own, since Pods may have several. */
  readonly scriptName: string;
}

/**
 * The filter as each host's filter chain has it: a reference. Without a default and without a limit on the wait, there
 * is no moment in which a request passes unseen: a listener that has no script yet does not take over from the one before
 * it, and a script that Envoy refuses leaves the last one, or answers 500.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/overview/extension
 */
function scriptReference({ scriptName }: Place): EnvoyConfig {
  return {
    name: scriptName,
    config_discovery: {
      config_source: { ads: {}, initial_fetch_timeout: seconds(0), resource_api_version: "V3" },
      type_urls: [`type.googleapis.com/envoy.extensions.${LUA}`],
    },
  };
}

/** The script itself, which istiod sends once, however many hosts there are. */
function scriptPatch({ scriptName, isTunnel }: Place, routeSecret: string): ConfigPatch {
  const values = `"${checkedRouteSecret(routeSecret)}"${isTunnel ? ", true" : ""}`;
  const start = `envoy_on_request = fairlead_client_certificates(${values})`;
  const typedConfig = typed(LUA, {
    default_source_code: { inline_string: `${clientCertificatesLua}\n${start}\n` },
  });
  return {
    applyTo: "EXTENSION_CONFIG",
    match: { context: "GATEWAY" },
    patch: { operation: "ADD", value: { name: scriptName, typed_config: typedConfig } },
  };
}

/** Of istiod's default filters, in each host's filter chain: no request to an API server has anything for them to do. */
const NEEDLESS_FILTERS = [
  "envoy.filters.http.cors",
  "envoy.filters.http.fault",
  "envoy.filters.http.grpc_stats",
];

function listenerPatches(place: Place, routeSecret: string): readonly ConfigPatch[] {
  const { portNumber } = place;
  const match = { context: "GATEWAY" } as const;
  const listener = (name: string, subFilter?: string) => ({
    portNumber,
    filterChain: {
      filter: { name, ...(subFilter === undefined ? {} : { subFilter: { name: subFilter } }) },
    },
  });
  return [
    {
      applyTo: "LISTENER",
      match: { ...match, listener: { portNumber } },
      patch: { operation: "MERGE", value: { socket_options: KEEPALIVE_SOCKET_OPTIONS } },
    },
    {
      applyTo: "NETWORK_FILTER",
      match: { ...match, listener: listener(HTTP_CONNECTION_MANAGER) },
      patch: { operation: "MERGE", value: { typed_config: connectionManager } },
    },
    {
      applyTo: "NETWORK_FILTER",
      match: { ...match, listener: listener(TCP_PROXY) },
      patch: {
        operation: "MERGE",
        value: {
          typed_config: typed("filters.network.tcp_proxy.v3.TcpProxy", {
            max_connect_attempts: MAX_CONNECT_ATTEMPTS,
          }),
        },
      },
    },
    {
      applyTo: "HTTP_FILTER",
      match: { ...match, listener: listener(HTTP_CONNECTION_MANAGER, ROUTER) },
      patch: { operation: "INSERT_BEFORE", value: scriptReference(place) },
    },
    scriptPatch(place, routeSecret),
    ...NEEDLESS_FILTERS.map(
      (name): ConfigPatch => ({
        applyTo: "HTTP_FILTER",
        match: { ...match, listener: listener(HTTP_CONNECTION_MANAGER, name) },
        patch: { operation: "REMOVE" },
      }),
    ),
  ];
}

const clusterPatch = (subset: string): ConfigPatch => ({
  applyTo: "CLUSTER",
  match: { context: "GATEWAY", cluster: { subset } },
  patch: {
    operation: "MERGE",
    value: {
      typed_extension_protocol_options: {
        "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": upstreamProtocol,
      },
    },
  },
});

function placesOf(gateway: InternalGateway): readonly Place[] {
  const tunnel = tunnelPortsOf(gateway);
  const scriptName = `${FILTER_NAME}/${gateway.metadata.name}`;
  const hosts = { portNumber: targetPortOf(gateway), isTunnel: false, scriptName };
  if (tunnel === undefined) return [hosts];
  const inside = {
    portNumber: tunnel.loopbackPort,
    isTunnel: true,
    scriptName: `${scriptName}/tunnel`,
  };
  return [hosts, inside];
}

/**
 * The one EnvoyFilter of an InternalGateway, whatever its number of hosted API servers. It acts on fairlead's ports and
 * on the clusters of fairlead's subsets, and never on a `transport_socket`: istiod would add it to passed-through chains
 * too, and Envoy would refuse the whole listener.
 * @param gateway Owns it.
 * @param routeSecret Selects the trusted route; random, 32 hex digits at least. Never to be logged.
 * @throws {Error} for a malformed route secret.
 */
export function envoyFilterOf(gateway: InternalGateway, routeSecret: string): EnvoyFilter {
  const { name, namespace = "", uid = "" } = gateway.metadata;
  const tunnel = tunnelPortsOf(gateway);
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: {
      name: objectName("fairlead", name),
      namespace,
      labels: marks(gateway.metadata),
      ownerReferences: [{ apiVersion: gateway.apiVersion, kind: gateway.kind, name, uid }],
    },
    spec: {
      workloadSelector: { labels: gateway.spec.selector },
      priority: PRIORITY,
      configPatches: [
        ...placesOf(gateway).flatMap((place) => listenerPatches(place, routeSecret)),
        ...(tunnel === undefined ? [] : tunnelPatches(tunnel)),
        ...[SUBSETS.trusted, SUBSETS.untrusted].map(clusterPatch),
      ],
    },
  };
}
