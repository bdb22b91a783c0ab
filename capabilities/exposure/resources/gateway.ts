import type { Gateway, GatewayServer } from "../../../lib/api";
import {
  drainingHostsOf,
  metadataOf,
  sortedHostsOf,
  targetPortOf,
  type Credentials,
  type Exposure,
} from "./exposure";

// The name of the server that ends TLS is part of its routes' name in Envoy: it is the same in both modes, so that the
// routes live on where a switch drains connections.
const PORT_NAMES = { terminating: "tls", passthrough: "tls-passthrough" } as const;

function terminatingServerOf(
  { gateway }: Exposure,
  credentials: Credentials,
  hosts: readonly string[],
): GatewayServer {
  return {
    hosts,
    port: { name: PORT_NAMES.terminating, number: targetPortOf(gateway), protocol: "HTTPS" },
    tls: {
      mode: credentials.clientCertificates ? "OPTIONAL_MUTUAL" : "SIMPLE",
      credentialName: credentials.server,
      minProtocolVersion: "TLSV1_2",
    },
  };
}

function serversOf(exposure: Exposure): readonly GatewayServer[] {
  const { server, gateway, mode } = exposure;
  const hosts = sortedHostsOf(server);
  if (mode.kind === "L7") return [terminatingServerOf(exposure, mode.credentials, hosts)];
  const passthrough: GatewayServer = {
    hosts,
    port: { name: PORT_NAMES.passthrough, number: targetPortOf(gateway), protocol: "TLS" },
    tls: { mode: "PASSTHROUGH" },
  };
  const draining = drainingHostsOf(server);
  return mode.credentials === undefined || draining.length === 0
    ? [passthrough]
    : [passthrough, terminatingServerOf(exposure, mode.credentials, draining)];
}

/**
 * The Gateway of a hosted API server: the one object that differs between L4 and L7. In L4 it also has a server for names
 * that nobody can use (the filter refuses them), so that the routes of requests stay. Its port number is the Pods' own,
 * since istiod translates it by the oldest Service that has it, and no Service maps it elsewhere.
 * @see https://github.com/istio/istio/blob/master/pilot/pkg/model/gateway.go
 */
export function gatewayOf(exposure: Exposure): Gateway {
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "Gateway",
    metadata: metadataOf(exposure),
    spec: { selector: exposure.gateway.spec.selector, servers: serversOf(exposure) },
  };
}
