import {
  GATEWAY_LABELS,
  GATEWAY_NAMESPACE,
  GATEWAY_PORT,
  gatewayService,
  secretOf,
  serviceOf,
  type ControlPlane,
  type Way,
} from "./control-plane";

/**
 * Gardener's way to end TLS at its Istio gateways (IstioTLSTermination), written anew from how its code does it: per
 * control plane three Services with a DestinationRule each, a Gateway, a VirtualService and an EnvoyFilter; for all of
 * them together a script that reads client certificates, one that refuses misdirected requests, and one setting.
 * @see https://github.com/gardener/gardener/blob/b312835d/pkg/component/kubernetes/apiserverexposure/sni.go
 * @see https://github.com/gardener/gardener/tree/b312835d/pkg/component/networking/istio/charts/istio/istio-ingress/templates
 */

const SERVICES = {
  plain: "kube-apiserver",
  mutual: "kube-apiserver-mtls",
  upgrade: "kube-apiserver-connection-upgrade",
} as const;
const UPGRADE_ROUTE = "connection-upgrade";
const PORT_NAME = "tls";
const SNI_HOST = "kubernetes.default.svc.cluster.local";
const METADATA_KEY = "authenticated-kube-apiserver-host";
const LUA = "envoy.filters.http.lua";
const ROUTER = "envoy.filters.http.router";
const CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
const exportTo = [GATEWAY_NAMESPACE];

const identityLua = `
function envoy_on_request(request_handle)
  for _, name in ipairs({"X-Remote-User", "X-Remote-Group"}) do
    request_handle:headers():remove(name)
  end
  local info = request_handle:streamInfo()
  local subject = info:downstreamSslConnection():parsedSubjectPeerCertificate()
  if subject then
    info:dynamicMetadata():set("${LUA}", "${METADATA_KEY}", info:requestedServerName())
    local user = subject:commonName()
    if user == "" then
      request_handle:respond({[":status"] = "400"}, "Invalid certificate subject")
    end
    request_handle:headers():add("X-Remote-User", user)
    for _, group in ipairs(subject:organizationName()) do
      if group ~= "" then request_handle:headers():add("X-Remote-Group", group) end
    end
  end
  request_handle:headers():add("x-envoy-upstream-rq-timeout-ms", "86400000")
  request_handle:headers():add("x-envoy-upstream-rq-per-try-timeout-ms", "86400000")
end
`;

const misdirectedLua = `
function envoy_on_request(request_handle)
  local name = request_handle:streamInfo():requestedServerName()
  local authority = request_handle:headers():get(":authority")
  if name == "" or name == authority or name .. ":443" == authority then return end
  if string.sub(name, 1, 2) == "*." and string.find(authority, string.sub(name, 2), 1, true) then return end
  request_handle:respond({[":status"] = "421"}, "Misdirected Request")
end
`;

const luaPatch = (name: string, inlineString: string): object => ({
  applyTo: "HTTP_FILTER",
  match: {
    context: "GATEWAY",
    listener: {
      portNumber: GATEWAY_PORT,
      filterChain: { filter: { name: CONNECTION_MANAGER, subFilter: { name: ROUTER } } },
    },
  },
  patch: {
    operation: "INSERT_BEFORE",
    value: {
      name,
      typed_config: {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
        default_source_code: { inline_string: inlineString },
      },
    },
  },
});

const stripDotPatch: object = {
  applyTo: "NETWORK_FILTER",
  match: { listener: { filterChain: { filter: { name: CONNECTION_MANAGER } } } },
  patch: {
    operation: "MERGE",
    value: {
      typed_config: {
        "@type":
          "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        strip_trailing_host_dot: true,
      },
    },
  },
};

function envoyFilter(name: string, configPatches: readonly object[]): object {
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name, namespace: GATEWAY_NAMESPACE },
    spec: { workloadSelector: { labels: GATEWAY_LABELS }, configPatches },
  };
}

const hostOf = ({ namespace }: ControlPlane, service: string): string =>
  `${service}.${namespace}.svc.cluster.local`;

const clusterOf = (plane: ControlPlane, service: string): string =>
  `outbound|443||${hostOf(plane, service)}`;

/** The EnvoyFilter of one control plane: a route for validated client certificates, and all that upgrades need. */
function filterOf(plane: ControlPlane): object {
  const { namespace, host } = plane;
  const routeConfiguration = {
    name: `https.443.${PORT_NAME}.${SERVICES.plain}.${namespace}`,
  };
  return envoyFilter(`${namespace}-istio-tls-termination`, [
    {
      applyTo: "HTTP_ROUTE",
      match: { context: "GATEWAY", routeConfiguration },
      patch: {
        operation: "INSERT_BEFORE",
        value: {
          match: {
            prefix: "/",
            dynamic_metadata: [
              {
                filter: LUA,
                path: [{ key: METADATA_KEY }],
                value: { string_match: { exact: host } },
              },
            ],
          },
          route: { cluster: clusterOf(plane, SERVICES.mutual) },
        },
      },
    },
    {
      applyTo: "CLUSTER",
      match: { context: "GATEWAY", cluster: { name: clusterOf(plane, SERVICES.upgrade) } },
      patch: {
        operation: "MERGE",
        value: {
          transport_socket: {
            name: "envoy.transport_sockets.tls",
            typed_config: {
              "@type":
                "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext",
              common_tls_context: { alpn_protocols: ["http/1.1"] },
            },
          },
        },
      },
    },
    {
      applyTo: "HTTP_ROUTE",
      match: {
        context: "GATEWAY",
        routeConfiguration: { ...routeConfiguration, vhost: { route: { name: UPGRADE_ROUTE } } },
      },
      patch: {
        operation: "MERGE",
        value: {
          route: {
            upgrade_configs: [{ upgrade_type: "spdy/3.1" }, { upgrade_type: "websocket" }],
          },
        },
      },
    },
  ]);
}

const metadataOf = ({ namespace }: ControlPlane, name: string): object => ({
  name,
  namespace,
  labels: { app: "kubernetes", role: "apiserver" },
});

const apiVersion = "networking.istio.io/v1beta1";

function ruleOf(plane: ControlPlane, service: string, mode: "SIMPLE" | "MUTUAL"): object {
  const spec = {
    exportTo,
    host: hostOf(plane, service),
    trafficPolicy: {
      connectionPool: {
        tcp: {
          maxConnectionDuration: "86400s",
          tcpKeepalive: { time: "7200s", interval: "75s" },
        },
        http: { useClientProtocol: true },
      },
      loadBalancer: { simple: "LEAST_REQUEST" },
      tls: { mode, credentialName: upstreamSecretOf(plane), sni: SNI_HOST },
    },
  };
  return { apiVersion, kind: "DestinationRule", metadata: metadataOf(plane, service), spec };
}

const serverSecretOf = ({ namespace }: ControlPlane): string => `${namespace}-kube-apiserver-tls`;
const upstreamSecretOf = ({ namespace }: ControlPlane): string =>
  `${namespace}-kube-apiserver-istio-mtls`;

const routeTo = (plane: ControlPlane, service: string): object => ({
  route: [{ destination: { host: hostOf(plane, service), port: { number: 443 } } }],
});

function objectsOf(plane: ControlPlane): readonly object[] {
  const { host, keys } = plane;
  const upgrade = {
    name: UPGRADE_ROUTE,
    match: [{ headers: { Connection: { exact: "Upgrade" }, Upgrade: {} } }],
    ...routeTo(plane, SERVICES.upgrade),
  };
  const server = {
    hosts: [host],
    port: { number: 443, name: PORT_NAME, protocol: "HTTPS" },
    tls: {
      mode: "OPTIONAL_MUTUAL",
      credentialName: serverSecretOf(plane),
      minProtocolVersion: "TLSV1_2",
    },
  };
  const metadata = metadataOf(plane, SERVICES.plain);
  return [
    secretOf(serverSecretOf(plane), keys.server, keys.clientCA),
    secretOf(upstreamSecretOf(plane), keys.proxyClient, keys.serverCA),
    filterOf(plane),
    ruleOf(plane, SERVICES.plain, "SIMPLE"),
    ruleOf(plane, SERVICES.mutual, "MUTUAL"),
    ruleOf(plane, SERVICES.upgrade, "SIMPLE"),
    {
      apiVersion,
      kind: "Gateway",
      metadata,
      spec: { selector: GATEWAY_LABELS, servers: [server] },
    },
    {
      apiVersion,
      kind: "VirtualService",
      metadata,
      spec: {
        exportTo,
        hosts: [host],
        gateways: [SERVICES.plain],
        http: [upgrade, routeTo(plane, SERVICES.plain)],
      },
    },
  ];
}

/** As Gardener does it, without its listener for the in-cluster name: fairlead's is left out, too. */
export const gardenerWay: Way = {
  name: "Gardener's way, an EnvoyFilter each",
  shared: [
    gatewayService("istio-ingressgateway"),
    envoyFilter("apiserver-tls-termination", [luaPatch(LUA, identityLua)]),
    envoyFilter("misdirected-requests", [luaPatch("envoy.lua", misdirectedLua)]),
    envoyFilter("strip-trailing-dot", [stripDotPatch]),
  ],
  servicesOf: (plane) =>
    Object.values(SERVICES).flatMap((service) =>
      serviceOf(plane, service, { "networking.istio.io/exportTo": GATEWAY_NAMESPACE }),
    ),
  exposureOf: objectsOf,
};
