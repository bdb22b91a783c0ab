import type { HostedAPIServer } from "../../../lib/api";
import type { GatewayProbe, GatewaySighting, ServiceObject } from "../../../lib/cluster";
import type { GatewayFacts } from "../gateways/facts";
import {
  revisionPathOf,
  serviceOf,
  sortedHostsOf,
  targetPortOf,
  tunnelRevisionPathOf,
  type Exposure,
  type Tunnel,
} from "../resources";

const TIMEOUT_MS = 3_000;

/** What the gateway is to be seen to serve for a HostedAPIServer, and where. */
export interface GatewayCheck {
  /** Changes with what is to be seen, not with where. */
  readonly id: string;
  readonly mode: "L7" | "L4";
  /** The gateway's ready Pods: each must serve it. */
  readonly pods: readonly GatewayTarget[];
  /** Cluster IPs of the internal Service: at least one must lead to it. */
  readonly services: readonly GatewayTarget[];
  readonly probe: Omit<GatewayProbe, "address" | "port">;
  /** SHA-256 of the certificate that is to be served, in L7. */
  readonly expectedSha256: string | undefined;
}

/** Where to look. */
export interface GatewayTarget {
  readonly address: string;
  readonly port: number;
}

/** The name of a target in sightings. */
export function targetName({ address, port }: GatewayTarget): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

// No cluster has this host. The filter answers 421 to it; without the filter there is no such host, which is 404. An API
// server takes any host, and answers 404 to "/" never.
const OTHER_HOST = "spoofing-probe.fairlead.invalid";
const MISDIRECTED = 421;
const NO_SUCH_HOST = 404;

/** What somebody would send who wants to be somebody else. */
const SPOOFED = {
  "x-remote-user": "system:admin",
  "x-remote-group": "system:masters",
  "x-fairlead-client-certificate": "spoofed",
};

function sha256Of({ status }: HostedAPIServer): string | undefined {
  return status?.certificates?.find(({ use }) => use === "server")?.sha256;
}

/**
 * What to look for at the gateway, once it has an exposure's objects.
 * @param versions Of these objects: what was seen of earlier ones does not count.
 */
export function gatewayCheckOf(
  exposure: Exposure,
  facts: GatewayFacts,
  versions: readonly string[],
): GatewayCheck {
  const { server, gateway, mode } = exposure;
  const [host = ""] = sortedHostsOf(server);
  const path = revisionPathOf(exposure);
  const expectedSha256 = mode.kind === "L7" ? sha256Of(server) : undefined;
  const requests = [
    { path, host },
    { path: "/", host: OTHER_HOST, ...(mode.kind === "L7" ? { headers: SPOOFED } : {}) },
  ];
  const port = targetPortOf(gateway);
  const servicePort = gateway.spec.port?.service ?? 443;
  return {
    id: JSON.stringify([mode.kind, server.metadata.uid, host, path, expectedSha256, versions]),
    mode: mode.kind,
    pods: facts.podAddresses.map((address) => ({ address, port })),
    services: facts.serviceAddresses.map((address) => ({ address, port: servicePort })),
    probe: { serverName: host, requests, timeoutMs: TIMEOUT_MS },
    expectedSha256,
  };
}

/** What clients of a tunnel say in their handshake, if anything: the name that every client library has by default. */
const IN_CLUSTER_NAME = "kubernetes.default.svc";

/**
 * What to look for through a tunnel, once the gateway has its objects: what the public hosts are looked at for.
 * @param versions Of these objects.
 */
export function tunnelCheckOf(
  tunnel: Tunnel,
  facts: GatewayFacts,
  versions: readonly string[],
): GatewayCheck {
  const { exposure, ports } = tunnel;
  const check = gatewayCheckOf(exposure, facts, versions);
  const path = tunnelRevisionPathOf(tunnel);
  const [host = ""] = sortedHostsOf(exposure.server);
  const [, ...others] = check.probe.requests;
  return {
    ...check,
    id: JSON.stringify(["tunnel", path, ports.port, check.id]),
    pods: facts.podAddresses.map((address) => ({ address, port: ports.port })),
    services: [],
    probe: {
      ...check.probe,
      serverName: IN_CLUSTER_NAME,
      tunnelTo: `${host}:443`,
      requests: [{ path, host: IN_CLUSTER_NAME }, ...others],
    },
  };
}

function judgeL7(
  check: GatewayCheck,
  sighting: GatewaySighting & { kind: "served" },
): string | undefined {
  const [leaf] = sighting.chain;
  const [revision, spoofed] = sighting.statuses;
  if (check.expectedSha256 !== undefined && leaf?.sha256 !== check.expectedSha256) {
    return "another certificate is served there";
  }
  if (spoofed !== MISDIRECTED) {
    return "the shared filter was not seen at work: a request with another host's name was not refused";
  }
  return revision === 200 ? undefined : "its routes are not those that were written";
}

/** What is wrong with what was seen, as the end of a sentence; undefined where all is as it should be. */
export function judgeSighting(check: GatewayCheck, sighting: GatewaySighting): string | undefined {
  if (sighting.kind === "failed") {
    return check.mode === "L7"
      ? `no TLS there (${sighting.problem})`
      : `no TLS through it to an API server (${sighting.problem})`;
  }
  if (check.mode === "L7") return judgeL7(check, sighting);
  const [revision, other] = sighting.statuses;
  const endsTls = revision === 200 || other === MISDIRECTED || other === NO_SUCH_HOST;
  return endsTls ? "it still ends TLS itself" : undefined;
}

/** A look at the API servers themselves, by their Service. */
export interface DirectLook {
  /** Changes with what is looked at. */
  readonly id: string;
  readonly target: GatewayTarget;
  /** Public names, which a passed-through connection is for. */
  readonly hosts: readonly string[];
  /** The name inside the cluster, which kubeconfigs say in L4. */
  readonly serviceName: string;
  readonly timeoutMs: number;
}

/** How to look at the API servers themselves; undefined where their Service has no address of its own. */
export function directLookOf(
  server: HostedAPIServer,
  service: ServiceObject | undefined,
): DirectLook | undefined {
  const { clusterIP = "None", clusterIPs = [clusterIP] } = service?.spec ?? {};
  const [address = "None"] = clusterIPs;
  if (address === "None" || address === "") return undefined;
  const { name, port } = serviceOf(server);
  const hosts = sortedHostsOf(server);
  return {
    id: JSON.stringify([server.metadata.uid, address, port, hosts]),
    target: { address, port },
    hosts,
    serviceName: `${name}.${server.metadata.namespace ?? ""}.svc`,
    timeoutMs: TIMEOUT_MS,
  };
}
