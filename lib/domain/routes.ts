import type { KubernetesObject } from "../api";
import { canonicalAddress } from "./ip-addresses";
import { ROUTE_CONFIG_MAP } from "./names";
import { networkPolicyLabel } from "./network-policy-label";
import {
  parseRouteConfig,
  type ConfigMap,
  type RouteConfig,
  type RouteConfigReason,
} from "./route-config";

/** The Service in front of a gateway, as it is on the wire. */
export interface RouteService extends KubernetesObject {
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
  readonly service: (namespace: string, name: string) => RouteService | undefined;
}

/** Why a route can't be followed. */
export type RouteProblem =
  | RouteConfigReason
  | "ServiceNotFound"
  | "ServiceIsExternalName"
  | "ServiceIsHeadless"
  | "ServiceHasNoClusterIP";

/** Where the Pods of a namespace find their hosted API server. */
export interface Route {
  /** Host names in the order given, each once; at least one. */
  readonly hosts: readonly string[];
  /** The addresses that they lead to, in the order given, each once, as they were spelled; at least one. */
  readonly addresses: readonly string[];
  /** The key of the label that lets a Pod through network policies. */
  readonly label: string;
}

/** The route of a namespace: there is none, or it is there, or it is broken and says so in a sentence. */
export type ResolvedRoute =
  | { readonly kind: "none" }
  | ({ readonly kind: "found" } & Route)
  | { readonly kind: "broken"; readonly reason: RouteProblem; readonly message: string };

interface Denial {
  readonly reason: RouteProblem;
  /** The end of a sentence that begins with the ConfigMap. */
  readonly problem: string;
}

type Resolved<T> =
  | { readonly kind: "found"; readonly value: T }
  | ({ readonly kind: "none" } & Denial);

function findClusterIPs(config: RouteConfig, inputs: RouteInputs): Resolved<readonly string[]> {
  const { gatewayNamespace, service: name } = config;
  const leadsTo = `leads to Service ${gatewayNamespace}/${name}, which`;
  const none = (reason: RouteProblem, problem: string): Resolved<never> => ({
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

/** Each address once, in its first spelling. */
function distinct(addresses: readonly string[]): readonly string[] {
  const canonical = addresses.map((address) => canonicalAddress(address) ?? address);
  return addresses.filter((_, index) => canonical.indexOf(canonical[index] ?? "") === index);
}

/**
 * Follows the route ConfigMap of a namespace to the addresses of the gateway.
 * @param inputs What is known of it.
 * @returns The route; or that there is none; or why it can't be followed, as the sentence that a Pod is denied with.
 *   Nothing is thrown.
 */
export function resolveRoute(inputs: RouteInputs): ResolvedRoute {
  if (inputs.configMap === undefined) return { kind: "none" };
  const broken = ({ reason, problem }: Denial): ResolvedRoute => ({
    kind: "broken",
    reason,
    message: `fairlead: ConfigMap ${inputs.namespace}/${ROUTE_CONFIG_MAP} ${problem}`,
  });
  const parsed = parseRouteConfig(inputs.configMap.data);
  if (parsed.kind === "invalid") return broken(parsed);
  const { config } = parsed;
  // Asked for even where `addresses` is given: the label is about this Service.
  const clusterIPs = findClusterIPs(config, inputs);
  if (clusterIPs.kind === "none") return broken(clusterIPs);
  const addresses = config.addresses.length > 0 ? config.addresses : clusterIPs.value;
  return {
    kind: "found",
    hosts: config.hosts,
    addresses: distinct(addresses),
    label: networkPolicyLabel({ ...config, namespace: config.gatewayNamespace }),
  };
}

/** What whoever creates a Pod is warned of for each host of the route that the Pod has aliased elsewhere itself. */
export function aliasedElsewhereWarning({
  host,
  ip,
}: {
  readonly host: string;
  readonly ip: string;
}): string {
  return `fairlead: ${host} keeps this Pod's own alias to ${ip} and does not lead to the gateway; remove the alias to route it.`;
}
