import { createHash } from "node:crypto";
import type { ConfigPatch, EnvoyFilter } from "../../lib/api";

/**
 * A configuration of Envoy's as istiod would make it for one host: the parts that fairlead's EnvoyFilter changes are as
 * in istiod's source (gateway.go, listener_builder.go), and are changed by istiod's rules.
 */

type Json = Readonly<Record<string, unknown>>;

/** Where things are on this machine. */
export interface Places {
  /** Where Envoy finds what the filter names, as it asks istiod for it elsewhere: what `scriptsOf` gives. */
  readonly scriptsPath: string;
  readonly listenPort: number;
  readonly adminPort: number;
  readonly trustedPort: number;
  readonly untrustedPort: number;
}

/** What the listener is set up with. */
export interface Listening {
  readonly host: string;
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  readonly clientCAPem: string;
  readonly routeSecret: string;
}

const envoyType = (type: string, config: Json): Json => ({
  "@type": `type.googleapis.com/envoy.${type}`,
  ...config,
});

const isRecord = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** As istiod merges messages: lists are appended to, and the entry of a map of Anys is replaced. */
function merge(base: unknown, patch: unknown): unknown {
  if (Array.isArray(base) && Array.isArray(patch)) {
    return [...(base as unknown[]), ...(patch as unknown[])];
  }
  if (!isRecord(base) || !isRecord(patch)) return patch;
  const keys = [...new Set([...Object.keys(base), ...Object.keys(patch)])];
  return Object.fromEntries(
    keys.map((key) => {
      if (!(key in patch)) return [key, base[key]];
      const isReplaced = !(key in base) || key.includes("HttpProtocolOptions");
      return [key, isReplaced ? patch[key] : merge(base[key], patch[key])];
    }),
  );
}

function valuesOf(filter: EnvoyFilter, is: (patch: ConfigPatch) => boolean): readonly Json[] {
  return filter.spec.configPatches
    .filter(is)
    .flatMap(({ patch }) => ("value" in patch ? [patch.value] : []));
}

const matchesFilter =
  (applyTo: ConfigPatch["applyTo"], name: string) =>
  (patch: ConfigPatch): boolean =>
    patch.applyTo === applyTo &&
    "listener" in patch.match &&
    patch.match.listener.filterChain?.filter.name === name;

const HCM = "envoy.filters.network.http_connection_manager";

/** Whatever is to be asked of istiod is asked of a file, by the same protocol. */
function fromFile(value: unknown, path: string): unknown {
  return JSON.parse(
    JSON.stringify(value, (key, one: unknown) => {
      if (key !== "config_source" || !isRecord(one)) return one;
      const { ads: _istiod, ...source } = one;
      return { ...source, path_config_source: { path } };
    }),
  );
}

/** istiod's answer to an Envoy that asks for the configurations that an EnvoyFilter has names for. */
export function scriptsOf(filter: EnvoyFilter): Json {
  const found = valuesOf(filter, ({ applyTo }) => applyTo === "EXTENSION_CONFIG");
  return {
    version_info: createHash("sha256").update(JSON.stringify(found)).digest("hex"),
    resources: found.map((one) => envoyType("config.core.v3.TypedExtensionConfig", one)),
  };
}

function httpConnectionManager(
  filter: EnvoyFilter,
  { host, routeSecret }: Listening,
  { scriptsPath }: Places,
): Json {
  const route = (cluster: string, match: Json, more: Json = {}): Json => ({
    // By which the filter knows that there is a route at all.
    name: cluster,
    match: { prefix: "/", ...match },
    route: {
      cluster,
      timeout: "0s",
      retry_policy: {
        retry_on: "connect-failure,refused-stream,reset-before-request",
        num_retries: 3,
      },
    },
    ...more,
  });
  const name = "x-fairlead-client-certificate";
  const header = { name, string_match: { exact: routeSecret } };
  const base = {
    name: HCM,
    typed_config: envoyType(
      "extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
      {
        codec_type: "AUTO",
        stat_prefix: "test",
        use_remote_address: true,
        normalize_path: true,
        stream_idle_timeout: "0s",
        forward_client_cert_details: "SANITIZE_SET",
        set_current_client_cert_details: { subject: true, cert: true, dns: true, uri: true },
        upgrade_configs: [{ upgrade_type: "websocket" }],
        route_config: {
          ignore_port_in_host_matching: true,
          virtual_hosts: [
            {
              name: "host",
              domains: [host],
              routes: [
                route(
                  "client-certificate",
                  { headers: [header] },
                  {
                    request_headers_to_remove: [name],
                  },
                ),
                route("no-client-certificate", {}),
              ],
            },
          ],
        },
        http_filters: [
          ...valuesOf(filter, matchesFilter("HTTP_FILTER", HCM)).map((one) =>
            fromFile(one, scriptsPath),
          ),
          {
            name: "envoy.filters.http.router",
            typed_config: envoyType("extensions.filters.http.router.v3.Router", {}),
          },
        ],
      },
    ),
  };
  return valuesOf(filter, matchesFilter("NETWORK_FILTER", HCM)).reduce<Json>(
    (merged, value) => merge(merged, value) as Json,
    base,
  );
}

function tcpProxy(filter: EnvoyFilter): Json {
  const name = "envoy.filters.network.tcp_proxy";
  const base = {
    name,
    typed_config: envoyType("extensions.filters.network.tcp_proxy.v3.TcpProxy", {
      stat_prefix: "passthrough",
      cluster: "passthrough",
    }),
  };
  return valuesOf(filter, matchesFilter("NETWORK_FILTER", name)).reduce<Json>(
    (merged, value) => merge(merged, value) as Json,
    base,
  );
}

function listener(filter: EnvoyFilter, listening: Listening, places: Places): Json {
  const inline = (text: string): Json => ({ inline_string: text });
  const tls = envoyType("extensions.transport_sockets.tls.v3.DownstreamTlsContext", {
    // As OPTIONAL_MUTUAL: none is fine, but one that is there must be good.
    require_client_certificate: false,
    common_tls_context: {
      alpn_protocols: ["h2", "http/1.1"],
      tls_certificates: [
        {
          certificate_chain: inline(listening.certificatePem),
          private_key: inline(listening.privateKeyPem),
        },
      ],
      validation_context: { trusted_ca: inline(listening.clientCAPem) },
    },
  });
  const base = {
    name: "fairlead",
    address: { socket_address: { address: "127.0.0.1", port_value: places.listenPort } },
    listener_filters: [
      {
        name: "envoy.filters.listener.tls_inspector",
        typed_config: envoyType("extensions.filters.listener.tls_inspector.v3.TlsInspector", {}),
      },
    ],
    filter_chains: [
      {
        filter_chain_match: { server_names: [listening.host] },
        transport_socket: { name: "envoy.transport_sockets.tls", typed_config: tls },
        filters: [httpConnectionManager(filter, listening, places)],
      },
      {
        filter_chain_match: { server_names: ["passed.through.example.com"] },
        filters: [tcpProxy(filter)],
      },
    ],
  };
  const patches = valuesOf(filter, ({ applyTo }) => applyTo === "LISTENER");
  return patches.reduce<Json>((merged, value) => merge(merged, value) as Json, base);
}

const tlsToServers = {
  name: "envoy.transport_sockets.tls",
  typed_config: envoyType("extensions.transport_sockets.tls.v3.UpstreamTlsContext", {
    sni: "kubernetes.default.svc",
  }),
};

const MAX_UINT32 = 4_294_967_295;

const UNLIMITED = {
  max_connections: MAX_UINT32,
  max_pending_requests: MAX_UINT32,
  max_requests: MAX_UINT32,
  max_retries: MAX_UINT32,
};

function cluster(filter: EnvoyFilter, subset: string, port: number): Json {
  const address = { socket_address: { address: "127.0.0.1", port_value: port } };
  const base = {
    name: subset,
    type: "STATIC",
    load_assignment: {
      cluster_name: subset,
      endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }],
    },
    // istiod's, where Envoy's own are 1,024 requests and 3 of them that are sent again.
    circuit_breakers: { thresholds: [UNLIMITED] },
    ...(subset === "passthrough" ? {} : { transport_socket: tlsToServers }),
  };
  const patches = valuesOf(
    filter,
    ({ match }) => "cluster" in match && match.cluster.subset === subset,
  );
  return patches.reduce<Json>((merged, value) => merge(merged, value) as Json, base);
}

/** The bootstrap configuration of an Envoy behind which two servers stand for the trusted and untrusted route. */
export function bootstrapOf(filter: EnvoyFilter, listening: Listening, places: Places): Json {
  return {
    // Whoever asks says who it is.
    node: { id: "gateway", cluster: "test" },
    admin: {
      address: { socket_address: { address: "127.0.0.1", port_value: places.adminPort } },
    },
    static_resources: {
      listeners: [listener(filter, listening, places)],
      clusters: [
        cluster(filter, "client-certificate", places.trustedPort),
        cluster(filter, "no-client-certificate", places.untrustedPort),
        cluster(filter, "passthrough", places.untrustedPort),
      ],
    },
  };
}
