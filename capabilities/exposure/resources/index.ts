export { destinationRuleOf } from "./destination-rule";
export { envoyFilterOf } from "./envoy-filter";
export {
  credentialsOf,
  serviceOf,
  sortedHostsOf,
  targetPortOf,
  marks,
  type Credentials,
  type Exposure,
  type Mode,
} from "./exposure";
export { gatewayOf } from "./gateway";
export {
  decideKubeconfigSecret,
  kubeconfigServerOf,
  pointKubeconfig,
  type KubeconfigTarget,
  type PointedKubeconfig,
} from "./kubeconfig";
export {
  gatewayNetworkPoliciesOf,
  networkPoliciesOf,
  type APIServerService,
  type PlannedPolicies,
} from "./network-policies";
export {
  loopbackAddressOf,
  tunnelNamesOf,
  tunnelObjectsOf,
  tunnelPortsOf,
  tunnelRevisionPathOf,
  type Tunnel,
  type TunnelObjects,
} from "./tunnel";
export { revisionPathOf, virtualServiceOf } from "./virtual-service";
export { ROUTE_HEADER } from "./subsets";
export { objectName } from "./names";
