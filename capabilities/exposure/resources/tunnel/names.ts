import type { HostedAPIServer, InternalGateway, ObjectMeta } from "../../../../lib/api";
import { inClusterNames, type InCluster } from "../../../../lib/domain/in-cluster-names";
import {
  LABEL_USE,
  TUNNEL_LOOPBACK_PORT,
  TUNNEL_PORT,
  USE_TUNNEL,
} from "../../../../lib/domain/names";
import { metadataOf, type Exposure } from "../exposure";
import { objectName } from "../names";

/** The names of a tunnel's own routes, by which the shared filter knows them: to where it ends, and past that, in L4. */
export const TUNNEL_ROUTES = { inside: "tunnel", passthrough: "tunnel-passthrough" } as const;

/** Where tunnels are taken, and where they end. */
export interface TunnelPorts {
  readonly port: number;
  readonly loopbackPort: number;
}

/** The ports of an InternalGateway's tunnels, with the schema's defaults; undefined where it takes none. */
export function tunnelPortsOf({ spec }: InternalGateway): TunnelPorts | undefined {
  if (spec.tunnel === undefined) return undefined;
  return {
    port: spec.tunnel.port ?? TUNNEL_PORT,
    loopbackPort: spec.tunnel.loopbackPort ?? TUNNEL_LOOPBACK_PORT,
  };
}

/** What a HostedAPIServer says of its cluster, with the schema's defaults; undefined where it wants no tunnel. */
export function inClusterOf({ spec }: HostedAPIServer): InCluster | undefined {
  if (spec.tunnel === undefined) return undefined;
  const { clusterIPs = [], clusterDomain = "cluster.local" } = spec.tunnel;
  return { clusterIPs, clusterDomain };
}

/** All names and addresses that a tunnel's clients may mean the API server by, sorted. */
export function tunnelNamesOf(server: HostedAPIServer): readonly string[] {
  const inCluster = inClusterOf(server);
  if (inCluster === undefined) return [];
  return [...inClusterNames(inCluster.clusterDomain), ...inCluster.clusterIPs].sort();
}

/** Metadata of a tunnel's objects: those of the exposure, with a name and a mark of their own. */
export function tunnelMetadataOf(exposure: Exposure): ObjectMeta {
  const metadata = metadataOf(exposure);
  return {
    ...metadata,
    name: objectName(metadata.name, "tunnel"),
    labels: { ...metadata.labels, [LABEL_USE]: USE_TUNNEL },
  };
}

/** The host of the ServiceEntry that stands for the end of a tunnel. No cluster has such a name. */
export function tunnelServiceHostOf({ metadata }: HostedAPIServer): string {
  return `${metadata.name}.${metadata.namespace ?? ""}.tunnel.fairlead.invalid`;
}
