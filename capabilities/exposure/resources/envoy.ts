import type { EnvoyConfig } from "../../../lib/api";
import { TCP_KEEPALIVE } from "./timeouts";

/** Names and shapes of Envoy's own configuration. */

export const HTTP_CONNECTION_MANAGER = "envoy.filters.network.http_connection_manager";
export const TCP_PROXY = "envoy.filters.network.tcp_proxy";
export const ROUTER = "envoy.filters.http.router";

/** An extension's configuration with its type. */
export function typed(type: string, config: EnvoyConfig): EnvoyConfig {
  return { "@type": `type.googleapis.com/envoy.extensions.${type}`, ...config };
}

/** SOL_SOCKET and IPPROTO_TCP of Linux, where gateways run; the options are inherited by what is accepted. */
export const KEEPALIVE_SOCKET_OPTIONS = [
  { description: "SO_KEEPALIVE", level: 1, name: 9, int_value: 1 },
  { description: "TCP_KEEPIDLE", level: 6, name: 4, int_value: TCP_KEEPALIVE.idleSeconds },
  { description: "TCP_KEEPINTVL", level: 6, name: 5, int_value: TCP_KEEPALIVE.intervalSeconds },
  { description: "TCP_KEEPCNT", level: 6, name: 6, int_value: TCP_KEEPALIVE.probes },
].map((option) => ({ ...option, state: "STATE_LISTENING" }));
