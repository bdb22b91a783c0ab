import type { HostedAPIServer, InternalGateway } from "../../../lib/api";
import type { KubernetesClient } from "../../../lib/cluster";
import { INTERNAL_SERVICE } from "../../../lib/domain/names";
import {
  NETWORK_POLICY_ALLOWED,
  networkPolicyLabel,
} from "../../../lib/domain/network-policy-label";
import { isRunning, type ExistingPod } from "../../../lib/domain/stale-pods";
import { targetPortOf } from "../resources";

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
  const { items } = await client.list<ExistingPod>({
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
