export { destinationRuleOf } from "./destination-rule";
export { envoyFilterOf } from "./envoy-filter";
export { credentialsOf, type Credentials, type Exposure, type Mode } from "./exposure";
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
export { virtualServiceOf } from "./virtual-service";
