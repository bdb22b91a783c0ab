import type { IstioDuration } from "../../../lib/api";

/**
 * Every limit on time that fairlead sets at the gateway. What each is for, and what it stands against on the client's
 * and on kube-apiserver's side, is in docs/timeouts.md.
 */

/** No stream and no connection is older: what was forgotten ends within a day. */
export const MAX_AGE_SECONDS = 86_400;

/** A client's connection without any request; kube-apiserver's own limit is 90 s, Go's and kubectl's pools' too. */
export const CLIENT_IDLE_SECONDS = 3_600;

/** From the start of a request until all its headers are there; kube-apiserver's ReadHeaderTimeout. */
export const REQUEST_HEADERS_SECONDS = 32;

/**
 * A connection to an API server without any request. It must end before kube-apiserver ends it (90 s idle, 32 s until
 * the first header): a request that meets that end was perhaps seen, so it is not sent again.
 */
export const UPSTREAM_IDLE_SECONDS = 30;

/** From the first packet to an API server until TLS is up. */
export const CONNECT_SECONDS = 5;

/** When and how often the kernel asks a silent peer, on both sides: one that is gone is noticed within a minute. */
export const TCP_KEEPALIVE = { idleSeconds: 30, intervalSeconds: 10, probes: 3 } as const;

/** HTTP/2 pings to API servers, as client-go sends them: HTTP2_READ_IDLE_TIMEOUT_SECONDS, HTTP2_PING_TIMEOUT_SECONDS. */
export const UPSTREAM_PING = { intervalSeconds: 30, timeoutSeconds: 15 } as const;

/** Seconds as Istio and Envoy write them. */
export function seconds(count: number): IstioDuration {
  return `${count}s`;
}
