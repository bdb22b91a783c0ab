import type {
  Destination,
  DirectRoute,
  ForwardingRoute,
  HttpRetry,
  HttpRoute,
  VirtualService,
} from "../../../lib/api";
import {
  checkedRouteSecret,
  destinationHostOf,
  drainingHostsOf,
  metadataOf,
  serviceOf,
  sortedHostsOf,
  targetPortOf,
  type Exposure,
} from "./exposure";
import { shortHash } from "./names";
import { ROUTE_HEADER, SUBSETS } from "./subsets";

/**
 * Only what kube-apiserver has certainly not seen is sent again: no connection, a stream that it refused, or an end
 * before the headers left. Istio's own default repeats on 503, a POST included.
 * @see https://www.envoyproxy.io/docs/envoy/latest/configuration/http/http_filters/router_filter#x-envoy-retry-on
 */
export const RETRIES: HttpRetry = {
  attempts: 3,
  retryOn: "connect-failure,refused-stream,reset-before-request",
};

function destinationOf(exposure: Exposure, subset: string): { destination: Destination } {
  const host = destinationHostOf(exposure);
  return { destination: { host, subset, port: { number: serviceOf(exposure.server).port } } };
}

function trustedRouteOf(exposure: Exposure): ForwardingRoute {
  const exact = checkedRouteSecret(exposure.routeSecret);
  return {
    name: SUBSETS.trusted,
    match: [{ headers: { [ROUTE_HEADER]: { exact } } }],
    // The API server may pass headers on to extensions that its tenant runs, who must not learn the secret.
    headers: { request: { remove: [ROUTE_HEADER] } },
    retries: RETRIES,
    route: [destinationOf(exposure, SUBSETS.trusted)],
  };
}

/**
 * The path at which the gateway itself answers 200 once it has this very VirtualService: what is seen there was not
 * read from what was asked for. It tells nobody more than that; kube-apiserver has no such path.
 */
export function revisionPathOf(exposure: Exposure): string {
  const facts = [
    sortedHostsOf(exposure.server),
    destinationOf(exposure, ""),
    hasTrustedRoute(exposure),
  ];
  return `/.well-known/fairlead/${shortHash(JSON.stringify(facts))}`;
}

function revisionRouteOf(exposure: Exposure): DirectRoute {
  return {
    name: "revision",
    match: [{ uri: { exact: revisionPathOf(exposure) } }],
    directResponse: { status: 200 },
  };
}

/** Whether client certificates have a route of their own. */
function hasTrustedRoute({ mode, trusted }: Exposure): boolean {
  return trusted && mode.credentials?.clientCertificates === true;
}

/**
 * The routes of requests to a hosted API server; none where there are no credentials. The last one is the untrusted one.
 * @throws {Error} for a malformed route secret.
 */
export function requestRoutesOf(exposure: Exposure): readonly HttpRoute[] {
  if (exposure.mode.credentials === undefined) return [];
  const untrusted: ForwardingRoute = {
    name: SUBSETS.untrusted,
    retries: RETRIES,
    route: [destinationOf(exposure, SUBSETS.untrusted)],
  };
  return [
    revisionRouteOf(exposure),
    ...(hasTrustedRoute(exposure) ? [trustedRouteOf(exposure)] : []),
    untrusted,
  ];
}

/**
 * The VirtualService of a hosted API server: routes for requests (where there are credentials) and for passed-through
 * connections, in both modes. The default route of requests is the untrusted one.
 * @throws {Error} for a malformed route secret.
 */
export function virtualServiceOf(exposure: Exposure): VirtualService {
  const metadata = metadataOf(exposure);
  const hosts = sortedHostsOf(exposure.server);
  const http = requestRoutesOf(exposure);
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "VirtualService",
    metadata,
    spec: {
      exportTo: ["."],
      hosts: http.length === 0 ? hosts : [...hosts, ...drainingHostsOf(exposure.server)],
      gateways: [metadata.name],
      ...(http.length === 0 ? {} : { http }),
      tls: [
        {
          match: [{ port: targetPortOf(exposure.gateway), sniHosts: hosts }],
          route: [destinationOf(exposure, SUBSETS.passthrough)],
        },
      ],
    },
  };
}
