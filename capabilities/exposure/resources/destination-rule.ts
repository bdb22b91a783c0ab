import type {
  ClientTls,
  ConnectionPool,
  DestinationRule,
  Subset,
  TrafficPolicy,
} from "../../../lib/api";
import {
  destinationHostOf,
  metadataOf,
  serverNameOf,
  type Credentials,
  type Exposure,
} from "./exposure";
import {
  CONNECTION_LOAD_BALANCER,
  CONNECTION_OUTLIER_DETECTION,
  REQUEST_LOAD_BALANCER,
} from "./load-balancing";
import { SUBSETS } from "./subsets";
import {
  CONNECT_SECONDS,
  MAX_AGE_SECONDS,
  seconds,
  TCP_KEEPALIVE,
  UPSTREAM_IDLE_SECONDS,
} from "./timeouts";

// A passed-through connection takes these from the top of the rule, whatever its subset says
// (istiod's networkfilter.go), so they stand there.
const TCP: ConnectionPool["tcp"] = {
  connectTimeout: seconds(CONNECT_SECONDS),
  idleTimeout: seconds(MAX_AGE_SECONDS),
  maxConnectionDuration: seconds(MAX_AGE_SECONDS),
  tcpKeepalive: {
    time: seconds(TCP_KEEPALIVE.idleSeconds),
    interval: seconds(TCP_KEEPALIVE.intervalSeconds),
    probes: TCP_KEEPALIVE.probes,
  },
};

const PASSTHROUGH: Subset = {
  name: SUBSETS.passthrough,
  trafficPolicy: {
    loadBalancer: CONNECTION_LOAD_BALANCER,
    outlierDetection: CONNECTION_OUTLIER_DETECTION,
    tls: { mode: "DISABLE" },
  },
};

function tlsOf(exposure: Exposure, mode: "SIMPLE" | "MUTUAL", credentialName: string): ClientTls {
  const name = serverNameOf(exposure.server);
  return { mode, credentialName, sni: name, subjectAltNames: [name] };
}

function requestPolicyOf(tls: ClientTls): TrafficPolicy {
  return {
    // Upgrades (exec, port-forward) need HTTP/1.1 and all else HTTP/2: the client's version goes on, and no ALPN of
    // istiod's stands in the way.
    connectionPool: {
      tcp: TCP,
      http: { idleTimeout: seconds(UPSTREAM_IDLE_SECONDS), useClientProtocol: true },
    },
    loadBalancer: REQUEST_LOAD_BALANCER,
    tls,
  };
}

function requestSubsetsOf(
  exposure: Exposure,
  { clientCertificates, upstream }: Credentials,
): readonly Subset[] {
  const subset = (name: string, mode: "SIMPLE" | "MUTUAL"): Subset => ({
    name,
    trafficPolicy: requestPolicyOf(tlsOf(exposure, mode, upstream)),
  });
  const untrusted = subset(SUBSETS.untrusted, "SIMPLE");
  return clientCertificates ? [subset(SUBSETS.trusted, "MUTUAL"), untrusted] : [untrusted];
}

/**
 * The DestinationRule of a hosted API server: unlabelled subsets, so that one Service is reached with the gateway's own
 * certificate, without, and by passed-through connections. What is not in a subset is for others: the same gateway Pods
 * take this rule before any of another namespace, so a Gateway of somebody else's that passes TLS through to the same
 * Service, the public one say, would get TLS within TLS if the rule began any here.
 */
export function destinationRuleOf(exposure: Exposure): DestinationRule {
  const { credentials } = exposure.mode;
  const subsets = credentials === undefined ? [] : requestSubsetsOf(exposure, credentials);
  return {
    apiVersion: "networking.istio.io/v1",
    kind: "DestinationRule",
    metadata: metadataOf(exposure),
    spec: {
      exportTo: ["."],
      host: destinationHostOf(exposure),
      trafficPolicy: { connectionPool: { tcp: TCP }, tls: { mode: "DISABLE" } },
      subsets: [...subsets, PASSTHROUGH],
    },
  };
}
