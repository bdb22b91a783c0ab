import type { HostedAPIServer } from "../../../lib/api";
import type { OwnObjects, OwnTunnel } from "./observed";

/**
 * The Secrets that the gateway's configuration refers to, as `namespace/name`: they are not deleted before it no longer
 * does.
 */
export function referencedSecrets(
  { gateways, destinationRules }: OwnObjects,
  tunnel: OwnTunnel,
): ReadonlySet<string> {
  const served = [...gateways, ...tunnel.gateways].flatMap(({ metadata, spec }) =>
    spec.servers.flatMap((server) =>
      "tls" in server && "credentialName" in server.tls
        ? [`${metadata.namespace ?? ""}/${server.tls.credentialName}`]
        : [],
    ),
  );
  const shown = destinationRules.flatMap(({ metadata, spec }) =>
    [spec.trafficPolicy, ...spec.subsets.map(({ trafficPolicy }) => trafficPolicy)].flatMap(
      (policy) =>
        policy?.tls !== undefined && "credentialName" in policy.tls
          ? [`${metadata.namespace ?? ""}/${policy.tls.credentialName}`]
          : [],
    ),
  );
  return new Set([...served, ...shown]);
}

/** What of a HostedAPIServer matters to its exposure; its own conditions do not. */
export function serverFacts({ metadata, spec, status }: HostedAPIServer): string {
  const { uid, deletionTimestamp, annotations, finalizers } = metadata;
  const { gatewayRef, credentials, certificates, conditions = [] } = status ?? {};
  const accepted = conditions
    .filter(({ type }) => type === "Accepted")
    .map((condition) => [condition.status, condition.observedGeneration]);
  return JSON.stringify([
    [uid, deletionTimestamp, annotations, finalizers, spec],
    [gatewayRef, credentials, certificates?.map(({ use, sha256 }) => [use, sha256]), accepted],
  ]);
}
