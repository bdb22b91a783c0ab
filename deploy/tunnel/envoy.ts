import { isIPAddress } from "../../lib/domain/ip-addresses";

/** What the proxy of a hosted cluster's node is told. */
export interface NodeProxy {
  /** Where the gateway takes tunnels, as nodes reach it: a DNS name or an IP address. */
  readonly gateway: { readonly host: string; readonly port: number };
  /** A public host of the hosted API server, which names it to the gateway. */
  readonly apiServerHost: string;
  /** Where Pods' connections to the API server come to on each node. */
  readonly listen: { readonly addresses: readonly string[]; readonly port: number };
  /** Of 127.0.0.1, for the kubelet's probes and for metrics. */
  readonly statusPort: number;
}

/** A part of Envoy's configuration, in the JSON form of its protobuf. */
type Json = Readonly<Record<string, unknown>>;

const ADMIN_SOCKET = "/run/envoy/admin.sock";
const STATUS = "status";
const GATEWAY = "gateway";

/** No tunnel is older, whatever goes on in it: the gateway's own limit. */
const MAX_AGE_SECONDS = 86_400;
const CONNECT_SECONDS = 5;
const MAX_CONNECT_ATTEMPTS = 3;
const MAX_CONNECTIONS = 10_000;
/** Envoy's default of 1 MiB each would make a node that is busy a large one. */
const BUFFER_BYTES = 32_768;
/** One that is gone is noticed within a minute, on both sides. */
const KEEPALIVE = { idleSeconds: 30, intervalSeconds: 10, probes: 3 } as const;

const typed = (type: string, config: Json): Json => ({
  "@type": `type.googleapis.com/envoy.extensions.${type}`,
  ...config,
});

const socketAddress = (address: string, port: number): Json => ({
  socket_address: { address, port_value: port },
});

// SOL_SOCKET and IPPROTO_TCP of Linux; inherited by what is accepted.
const SOCKET_OPTIONS = [
  { description: "SO_KEEPALIVE", level: 1, name: 9, int_value: 1 },
  { description: "TCP_KEEPIDLE", level: 6, name: 4, int_value: KEEPALIVE.idleSeconds },
  { description: "TCP_KEEPINTVL", level: 6, name: 5, int_value: KEEPALIVE.intervalSeconds },
  { description: "TCP_KEEPCNT", level: 6, name: 6, int_value: KEEPALIVE.probes },
].map((option) => ({ ...option, state: "STATE_LISTENING" }));

const LOG_LINE =
  "[%START_TIME%] %DOWNSTREAM_REMOTE_ADDRESS% %UPSTREAM_HOST% %RESPONSE_FLAGS% %CONNECTION_TERMINATION_DETAILS% %UPSTREAM_TRANSPORT_FAILURE_REASON% %BYTES_RECEIVED% %BYTES_SENT% %DURATION%\n";

/** Only what did not become a tunnel is worth a line: each connection would be one otherwise. */
const accessLog: Json = {
  name: "envoy.access_loggers.stdout",
  filter: { response_flag_filter: {} },
  typed_config: typed("access_loggers.stream.v3.StdoutAccessLog", {
    log_format: { text_format_source: { inline_string: LOG_LINE } },
  }),
};

function listenerOf({ listen, apiServerHost }: NodeProxy): Json {
  const [first = "", ...more] = listen.addresses;
  return {
    name: "api-server",
    address: socketAddress(first, listen.port),
    additional_addresses: more.map((address) => ({ address: socketAddress(address, listen.port) })),
    per_connection_buffer_limit_bytes: BUFFER_BYTES,
    socket_options: SOCKET_OPTIONS,
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.tcp_proxy",
            typed_config: typed("filters.network.tcp_proxy.v3.TcpProxy", {
              stat_prefix: "api-server",
              cluster: GATEWAY,
              max_connect_attempts: MAX_CONNECT_ATTEMPTS,
              idle_timeout: `${MAX_AGE_SECONDS}s`,
              // The port is of no matter to the gateway; the host is who is meant.
              tunneling_config: { hostname: `${apiServerHost}:443` },
              access_log: [accessLog],
            }),
          },
        ],
      },
    ],
  };
}

/** Two paths of Envoy's administration, since all of it could stop the proxy. */
function statusListenerOf({ statusPort }: NodeProxy): Json {
  const route = (path: string, rewritten: string): Json => ({
    match: { path },
    route: { cluster: STATUS, prefix_rewrite: rewritten },
  });
  return {
    name: STATUS,
    address: socketAddress("127.0.0.1", statusPort),
    filter_chains: [
      {
        filters: [
          {
            name: "envoy.filters.network.http_connection_manager",
            typed_config: typed(
              "filters.network.http_connection_manager.v3.HttpConnectionManager",
              {
                stat_prefix: STATUS,
                route_config: {
                  virtual_hosts: [
                    {
                      name: STATUS,
                      domains: ["*"],
                      routes: [route("/ready", "/ready"), route("/metrics", "/stats/prometheus")],
                    },
                  ],
                },
                http_filters: [
                  {
                    name: "envoy.filters.http.router",
                    typed_config: typed("filters.http.router.v3.Router", {}),
                  },
                ],
              },
            ),
          },
        ],
      },
    ],
  };
}

function clusterOf(name: string, address: Json, more: Json): Json {
  return {
    name,
    connect_timeout: `${CONNECT_SECONDS}s`,
    load_assignment: {
      cluster_name: name,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
    ...more,
  };
}

/**
 * The configuration of upstream Envoy on a node: each connection to the API server becomes a tunnel of its own (HTTP/1.1
 * CONNECT), so that none waits for another. TLS inside is the client's and stays so: the proxy has no key, no
 * certificate and no token, and can read nothing.
 */
export function nodeProxyConfiguration(proxy: NodeProxy): Json {
  const { gateway } = proxy;
  const isAddress = isIPAddress(gateway.host);
  return {
    admin: { address: { pipe: { path: ADMIN_SOCKET } } },
    overload_manager: {
      resource_monitors: [
        {
          name: "envoy.resource_monitors.global_downstream_max_connections",
          typed_config: typed(
            "resource_monitors.downstream_connections.v3.DownstreamConnectionsConfig",
            { max_active_downstream_connections: MAX_CONNECTIONS },
          ),
        },
      ],
    },
    static_resources: {
      listeners: [listenerOf(proxy), statusListenerOf(proxy)],
      clusters: [
        clusterOf(GATEWAY, socketAddress(gateway.host, gateway.port), {
          type: isAddress ? "STATIC" : "STRICT_DNS",
          ...(isAddress ? {} : { dns_lookup_family: "V4_PREFERRED" }),
          per_connection_buffer_limit_bytes: BUFFER_BYTES,
          upstream_connection_options: {
            tcp_keepalive: {
              keepalive_time: KEEPALIVE.idleSeconds,
              keepalive_interval: KEEPALIVE.intervalSeconds,
              keepalive_probes: KEEPALIVE.probes,
            },
          },
        }),
        clusterOf(STATUS, { pipe: { path: ADMIN_SOCKET } }, { type: "STATIC" }),
      ],
    },
  };
}
