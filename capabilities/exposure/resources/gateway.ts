import type { Gateway, GatewayServer } from "../../../lib/api";
import { metadataOf, sortedHostsOf, targetPortOf, type Exposure } from "./exposure";

// The name is part of the route's name in Envoy; a Gateway has one server, so it need not differ from others.
const PORT_NAME = "tls";

function serverOf({ server, gateway, mode }: Exposure): GatewayServer {
  const hosts = sortedHostsOf(server);
  const port = { name: PORT_NAME, number: targetPortOf(gateway) };
  if (mode.kind === "L4") {
    return { hosts, port: { ...port, protocol: "TLS" }, tls: { mode: "PASSTHROUGH" } };
  }
  const { clientCertificates, server: credentialName } = mode.credentials;
  return {
    hosts,
    port: { ...port, protocol: "HTTPS" },
    tls: {
      mode: clientCertificates ? "OPTIONAL_MUTUAL" : "SIMPLE",
      credentialName,
      minProtocolVersion: "TLSV1_2",
    },
  };
}

/**
 * The Gateway of a hosted API server: the one object that differs between L4 and L7. Its port number is the Pods' own,
 * since istiod translates it by the oldest Service that has it, and no Service maps it elsewhere.
 * @see https://github.com/istio/istio/blob/master/pilot/pkg/model/gateway.go
 */
export function gatewayOf(exposure: Exposure): Gateway {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: metadataOf(exposure),
    spec: { selector: exposure.gateway.spec.selector, servers: [serverOf(exposure)] },
  };
}
