import type { KubernetesObject } from "../../lib/api";
import { isSameAddress } from "../../lib/domain/ip-addresses";
import { ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import { NETWORK_POLICY_ALLOWED, networkPolicyLabel } from "../../lib/domain/network-policy-label";
import {
  parseRouteConfig,
  type ConfigMap,
  type RouteConfig,
  type RouteConfigReason,
} from "../../lib/domain/route-config";
import { routingOf, type HostAlias, type Pod } from "../../lib/domain/routed-pods";

/** A Service, as it is on the wire. */
export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
  };
}

/** What is known of a namespace's route. */
export interface RouteInputs {
  /** The Pod's namespace: the request's, since the object may not have one. */
  readonly namespace: string;
  /** ConfigMap `istio-internal-load-balancing` of the namespace. */
  readonly configMap?: ConfigMap | undefined;
  /** The Service of that namespace and name. */
  readonly service: (namespace: string, name: string) => Service | undefined;
}

/** Why a Pod is denied. */
type DenialReason =
  | RouteConfigReason
  | "ServiceNotFound"
  | "ServiceIsExternalName"
  | "ServiceIsHeadless"
  | "ServiceHasNoClusterIP";

/** What becomes of a Pod. `warnings` are for whoever created it, a sentence each. */
export type RoutingDecision =
  | { readonly kind: "change"; readonly pod: Pod; readonly warnings: readonly string[] }
  | {
      readonly kind: "keep";
      readonly reason: "NotRouted" | "OptedOut" | "NoRoute" | "AlreadyRouted";
      readonly warnings: readonly string[];
    }
  | { readonly kind: "deny"; readonly reason: DenialReason; readonly message: string };

interface Denial {
  readonly reason: DenialReason;
  /** The end of a sentence that begins with the ConfigMap. */
  readonly problem: string;
}

type Resolved<T> =
  | { readonly kind: "found"; readonly value: T }
  | ({ readonly kind: "none" } & Denial);

function findClusterIPs(config: RouteConfig, inputs: RouteInputs): Resolved<readonly string[]> {
  const { gatewayNamespace, service: name } = config;
  const leadsTo = `leads to Service ${gatewayNamespace}/${name}, which`;
  const none = (reason: DenialReason, problem: string): Resolved<never> => ({
    kind: "none",
    reason,
    problem: `${leadsTo} ${problem}`,
  });
  const service = inputs.service(gatewayNamespace, name);
  if (service === undefined) {
    return none(
      "ServiceNotFound",
      "does not exist: create it, or correct istio-namespace and service.",
    );
  }
  const { type, clusterIP, clusterIPs } = service.spec ?? {};
  if (type === "ExternalName") {
    return none("ServiceIsExternalName", "is of type ExternalName: make it a ClusterIP Service.");
  }
  const all = clusterIPs ?? (clusterIP === undefined ? [] : [clusterIP]);
  if (all.includes("None")) {
    return none("ServiceIsHeadless", "is headless: recreate it with a cluster IP.");
  }
  const usable = all.filter((ip) => ip !== "");
  if (usable.length === 0) {
    return none("ServiceHasNoClusterIP", "has no cluster IP: wait for one, or recreate it.");
  }
  return { kind: "found", value: usable };
}

/** Appends to the address's alias the hosts that none of its aliases has; a new alias comes last. */
function withHosts(
  aliases: readonly HostAlias[],
  address: string,
  hosts: readonly string[],
): readonly HostAlias[] {
  const same = aliases.filter(({ ip }) => isSameAddress(ip, address));
  const present = same.flatMap(({ hostnames }) => hostnames ?? []);
  const missing = hosts.filter((host) => !present.includes(host));
  if (missing.length === 0) return aliases;
  const [first] = same;
  if (first === undefined) return [...aliases, { ip: address, hostnames: missing }];
  return aliases.map((alias) =>
    alias === first ? { ...alias, hostnames: [...(alias.hostnames ?? []), ...missing] } : alias,
  );
}

/** The hosts that the user has aliased to an address that is none of the route's, and the first such address. */
function findAliasedElsewhere(
  aliases: readonly HostAlias[],
  hosts: readonly string[],
  addresses: readonly string[],
): ReadonlyMap<string, string> {
  const foreign = aliases.filter(({ ip }) => !addresses.some((own) => isSameAddress(own, ip)));
  const found = hosts.flatMap((host) => {
    const alias = foreign.find(({ hostnames }) => hostnames?.includes(host) === true);
    return alias === undefined ? [] : [[host, alias.ip] as const];
  });
  return new Map(found);
}

function routePod(pod: Pod, config: RouteConfig, addresses: readonly string[]): RoutingDecision {
  const before = pod.spec.hostAliases ?? [];
  const elsewhere = findAliasedElsewhere(before, config.hosts, addresses);
  const hosts = config.hosts.filter((host) => !elsewhere.has(host));
  const hostAliases = addresses.reduce<readonly HostAlias[]>(
    (aliases, address) => withHosts(aliases, address, hosts),
    before,
  );
  const label = networkPolicyLabel({ ...config, namespace: config.gatewayNamespace });
  const warnings = [...elsewhere].map(
    ([host, ip]) =>
      `fairlead: ${host} keeps this Pod's own alias to ${ip} and does not lead to the gateway; remove the alias to route it.`,
  );
  const labelled = pod.metadata.labels?.[label] === NETWORK_POLICY_ALLOWED;
  if (hostAliases === before && labelled)
    return { kind: "keep", reason: "AlreadyRouted", warnings };
  const labels = { ...pod.metadata.labels, [label]: NETWORK_POLICY_ALLOWED };
  const routed: Pod = {
    ...pod,
    metadata: { ...pod.metadata, labels },
    spec: hostAliases === before ? pod.spec : { ...pod.spec, hostAliases },
  };
  return { kind: "change", pod: routed, warnings };
}

/**
 * Decides how a new Pod reaches its hosted API server: by host aliases to the gateway, and a label that lets it through
 * network policies.
 * @param pod The Pod to create. It is not modified.
 * @param inputs What is known of its namespace's route.
 * @returns The changed Pod; or why it stays as it is; or why it must not be created, since it would run without its
 *   route for as long as it lives. Nothing is thrown. Deciding about a changed Pod again keeps it.
 * @see https://github.com/gardener/gardener/blob/master/pkg/resourcemanager/webhook/podkubeapiserverloadbalancing/handler.go
 */
export function decideRouting(pod: Pod, inputs: RouteInputs): RoutingDecision {
  const routing = routingOf(pod);
  if (routing !== "Routed") return { kind: "keep", reason: routing, warnings: [] };
  if (inputs.configMap === undefined) return { kind: "keep", reason: "NoRoute", warnings: [] };

  const deny = ({ reason, problem }: Denial): RoutingDecision => ({
    kind: "deny",
    reason,
    message: `fairlead: ConfigMap ${inputs.namespace}/${ROUTE_CONFIG_MAP} ${problem}`,
  });
  const parsed = parseRouteConfig(inputs.configMap.data);
  if (parsed.kind === "invalid") return deny(parsed);
  // Asked for even where `addresses` is given: the label is about this Service.
  const clusterIPs = findClusterIPs(parsed.config, inputs);
  if (clusterIPs.kind === "none") return deny(clusterIPs);
  const { addresses } = parsed.config;
  return routePod(pod, parsed.config, addresses.length > 0 ? addresses : clusterIPs.value);
}
