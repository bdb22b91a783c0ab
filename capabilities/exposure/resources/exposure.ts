import type { HostedAPIServer, InternalGateway, ObjectMeta } from "../../../lib/api";
import {
  INTERNAL_TARGET_PORT,
  LABEL_MANAGED_BY,
  LABEL_NAME,
  LABEL_NAMESPACE,
  MANAGED_BY,
} from "../../../lib/domain/names";
import { objectName } from "./names";

/** The Secrets in the gateway namespace that L7 needs. */
export interface Credentials {
  /** What the gateway serves. */
  readonly server: string;
  /** What the gateway verifies the API servers with, and shows them where there are client certificates. */
  readonly upstream: string;
  /** Whether clients are asked for certificates; without, they have tokens only. */
  readonly clientCertificates: boolean;
}

/** How a hosted API server is served. L4 with credentials is one write away from L7. */
export type Mode =
  | { readonly kind: "L7"; readonly credentials: Credentials }
  | { readonly kind: "L4"; readonly credentials: Credentials | undefined };

/** All that the objects of one hosted API server depend on. */
export interface Exposure {
  readonly server: HostedAPIServer;
  /** Of the control-plane Namespace, which owns the objects. */
  readonly namespaceUid: string;
  readonly gateway: InternalGateway;
  readonly mode: Mode;
  /** Whether there is a route for client certificates: only after a spoofing probe was refused. */
  readonly trusted: boolean;
  /** Selects the trusted route; random, 32 hex digits at least, known to the gateway alone. Never to be logged. */
  readonly routeSecret: string;
  /** The DNS domain of the cluster, `cluster.local` say. */
  readonly clusterDomain: string;
}

/** Thrown for a route secret that is not made of hex digits, or is too short to be one. It is not quoted. */
class RouteSecretError extends Error {
  override readonly name = "RouteSecretError";
}

/**
 * A route secret as it is, once it was found fit to stand in a header and in a Lua string.
 * @throws {RouteSecretError} which is a bug of the caller.
 */
export function checkedRouteSecret(routeSecret: string): string {
  if (/^[0-9a-f]{32,128}$/.test(routeSecret)) return routeSecret;
  throw new RouteSecretError("a route secret must have 32 to 128 hex digits");
}

/**
 * The credentials that a hosted API server's status names. Whether they are for client certificates is what status says
 * was written, not what the spec asks for: a copy may be older than the spec.
 * @returns undefined as long as both Secrets are not there, or where L7 has no certificates.
 */
export function credentialsOf({ spec, status }: HostedAPIServer): Credentials | undefined {
  const { server, proxyClient } = status?.credentials ?? {};
  if (spec.certificates?.server === undefined) return undefined;
  if (server === undefined || proxyClient === undefined) return undefined;
  return {
    server,
    upstream: proxyClient,
    clientCertificates: (status?.certificates ?? []).some(({ use }) => use === "clientCA"),
  };
}

/** The port of the gateway's Pods, which is fairlead's alone. */
export function targetPortOf(gateway: InternalGateway): number {
  return gateway.spec.port?.target ?? INTERNAL_TARGET_PORT;
}

/** The Service of the hosted API server's replicas, with the schema's defaults. */
export function serviceOf({ spec }: HostedAPIServer): { name: string; port: number } {
  return { name: spec.service?.name ?? "kube-apiserver", port: spec.service?.port ?? 443 };
}

/** SNI towards the API servers, with the schema's default. */
export function serverNameOf({ spec }: HostedAPIServer): string {
  return spec.certificates?.serverName ?? "kubernetes.default.svc";
}

/** The hosts of a hosted API server, sorted: the order in its spec is no matter of the gateway's. */
export function sortedHostsOf({ spec }: HostedAPIServer): readonly string[] {
  return [...spec.hosts].sort();
}

/** The same in the filter's Lua. No cluster has such a name. */
const DRAINING_SUFFIX = ".draining.fairlead.invalid";
const MAX_HOST_CHARACTERS = 253;

/**
 * The names under which routes stay while connections of L7 are drained: a request of such a connection would find none
 * otherwise, since istiod takes a host's routes away at once with its server. A host whose name would be too long has
 * none.
 */
export function drainingHostsOf(server: HostedAPIServer): readonly string[] {
  return sortedHostsOf(server)
    .map((host) => `${host}${DRAINING_SUFFIX}`)
    .filter((host) => host.length <= MAX_HOST_CHARACTERS);
}

/** The full DNS name of the hosted API server's Service. */
export function destinationHostOf({ server, clusterDomain }: Exposure): string {
  const { namespace = "" } = server.metadata;
  return `${serviceOf(server).name}.${namespace}.svc.${clusterDomain}`;
}

/** The labels that say whose an object is. */
export function marks({ namespace = "", name }: ObjectMeta): Readonly<Record<string, string>> {
  return {
    [LABEL_MANAGED_BY]: MANAGED_BY,
    [LABEL_NAMESPACE]: namespace,
    // A label holds 63 characters; only an InternalGateway's name can be longer.
    [LABEL_NAME]: name.slice(0, 63).replace(/[^A-Za-z0-9]+$/, ""),
  };
}

/**
 * Metadata of an object of a hosted API server in the gateway namespace. Its owner is the control-plane Namespace, since
 * an owner in another namespace must be cluster-scoped.
 */
export function metadataOf({ server, namespaceUid, gateway }: Exposure): ObjectMeta {
  const { namespace: controlPlane = "", name } = server.metadata;
  return {
    name: objectName(controlPlane, name),
    namespace: gateway.metadata.namespace ?? "",
    labels: marks(server.metadata),
    ownerReferences: [
      { apiVersion: "v1", kind: "Namespace", name: controlPlane, uid: namespaceUid },
    ],
  };
}
