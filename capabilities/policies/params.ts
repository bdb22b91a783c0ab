import type { HostedAPIServer } from "../../lib/api";
import { resolveRoute, type RouteInputs } from "../../lib/domain/routes";
import {
  distributionIn,
  selectServices,
  type ClusterTopology,
} from "../../lib/domain/traffic-distribution";

/**
 * Keys of a parameters ConfigMap. Lists are separated by commas, without blanks; no item holds a comma.
 */
export const PARAMETERS = {
  /** The route's host names, in the order given. */
  hosts: "hosts",
  /** The addresses that they lead to, in the order given, cluster IPs included. */
  addresses: "addresses",
  /** The key of the network policy label. */
  label: "label",
  /** In place of a route that can't be followed: the sentence that a Pod is denied with. */
  denial: "denial",
  /** The value for Services that are topology-aware, or `off`; absent while the version or the zones are not known. */
  distribution: "traffic-distribution",
  /** Names of the Services that HostedAPIServers want topology-aware; empty: none. */
  selected: "topology-aware-services",
  /** Names of Services that are left to all zones, whatever else is said of them. */
  allZones: "all-zones-services",
} as const;

/** The value of `PARAMETERS.distribution` where nothing is to be set. */
export const DISTRIBUTION_OFF = "off";

/** Data of a ConfigMap. */
export type Parameters = Readonly<Record<string, string>>;

/** What is known of a namespace. */
export interface NamespaceInputs extends ClusterTopology {
  /** Its route ConfigMap, if it has one, and the Services that it may lead to. */
  readonly route: RouteInputs;
  /** All its HostedAPIServers. */
  readonly hostedAPIServers: readonly HostedAPIServer[];
}

/** What is known of the cluster. */
export interface ClusterInputs extends ClusterTopology {
  /** All namespaces that have HostedAPIServers: their own parameters say what becomes of their Services. */
  readonly namespaces: readonly string[];
}

/** With a namespace's name, the key that says that its own parameters count. A ConfigMap's keys take every such name. */
export const OWN_PARAMETERS_PREFIX = "namespace.";

function distributionParameter(topology: ClusterTopology): Parameters {
  const wish = distributionIn(topology);
  if (wish.kind === "unknown") return {};
  return { [PARAMETERS.distribution]: wish.kind === "on" ? wish.value : DISTRIBUTION_OFF };
}

function routeParameters(inputs: RouteInputs): Parameters {
  const route = resolveRoute(inputs);
  switch (route.kind) {
    case "none":
      return {};
    case "broken":
      return { [PARAMETERS.denial]: route.message };
    case "found":
      return {
        [PARAMETERS.hosts]: route.hosts.join(","),
        [PARAMETERS.addresses]: route.addresses.join(","),
        [PARAMETERS.label]: route.label,
      };
  }
}

function servicesParameters(inputs: NamespaceInputs): Parameters {
  const { hostedAPIServers } = inputs;
  if (hostedAPIServers.length === 0) return {};
  const { selected, allZones } = selectServices(hostedAPIServers);
  return {
    ...distributionParameter(inputs),
    [PARAMETERS.selected]: selected.join(","),
    [PARAMETERS.allZones]: allZones.join(","),
  };
}

/**
 * What the policies are told about a namespace: the data of its ConfigMap `PARAMETERS_CONFIG_MAP`.
 * @returns undefined where nothing is to be told: then the ConfigMap is not to be there.
 */
export function namespaceParamsOf(inputs: NamespaceInputs): Parameters | undefined {
  const data = { ...routeParameters(inputs.route), ...servicesParameters(inputs) };
  return Object.keys(data).length === 0 ? undefined : data;
}

/**
 * What the policies are told about Services of all namespaces without HostedAPIServers: the data of ConfigMap
 * `PARAMETERS_CONFIG_MAP` in `SYSTEM_NAMESPACE`. A namespace's own parameters are to be written before this one says
 * that they count, and deleted after it.
 */
export function clusterParamsOf(inputs: ClusterInputs): Parameters {
  const { allZones } = selectServices([]);
  const own = [...inputs.namespaces]
    .sort()
    .map((name) => [OWN_PARAMETERS_PREFIX + name, ""] as const);
  return {
    ...distributionParameter(inputs),
    [PARAMETERS.selected]: "",
    [PARAMETERS.allZones]: allZones.join(","),
    ...Object.fromEntries(own),
  };
}
