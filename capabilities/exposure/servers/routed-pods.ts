import type { HostedAPIServer, InternalGateway } from "../../../lib/api";
import type { KubernetesClient } from "../../../lib/cluster";
import { INTERNAL_SERVICE } from "../../../lib/domain/names";
import {
  NETWORK_POLICY_ALLOWED,
  networkPolicyLabel,
} from "../../../lib/domain/network-policy-label";
import type { Pod } from "../../../lib/domain/routed-pods";
import { targetPortOf } from "../resources";

interface RunningPod extends Pod {
  readonly metadata: Pod["metadata"] & { readonly name: string };
  readonly status?: { readonly phase?: string };
}

const isRunning = ({ metadata, status }: RunningPod): boolean =>
  metadata.deletionTimestamp === undefined &&
  status?.phase !== "Succeeded" &&
  status?.phase !== "Failed";

/** How many Pods of a namespace have an alias of a HostedAPIServer's hosts to the gateway and still run. */
export async function countRoutedPods(
  client: KubernetesClient,
  server: HostedAPIServer,
  gateway: InternalGateway,
): Promise<number> {
  const label = networkPolicyLabel({
    namespace: gateway.metadata.namespace ?? "",
    service: gateway.spec.serviceName ?? INTERNAL_SERVICE,
    port: targetPortOf(gateway),
  });
  const { items } = await client.list<RunningPod>({
    apiVersion: "v1",
    kind: "Pod",
    namespace: server.metadata.namespace ?? "",
    // Admission gave it to every Pod that it routed.
    labelSelector: `${label}=${NETWORK_POLICY_ALLOWED}`,
  });
  const hosts = new Set(server.spec.hosts);
  return items
    .filter(isRunning)
    .filter(({ spec }) =>
      (spec.hostAliases ?? []).some(({ hostnames }) => hostnames?.some((host) => hosts.has(host))),
    ).length;
}
