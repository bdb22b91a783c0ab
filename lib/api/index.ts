import { customResourceDefinition, type CustomResourceDefinition } from "./custom-resource";
import { hostedAPIServerDefinition } from "./hosted-api-server";
import { internalGatewayDefinition } from "./internal-gateway";

export type {
  CABundleRef,
  CertificatesSpec,
  CertificateStatus,
  GatewayRef,
  HostedAPIServer,
  HostedAPIServerSpec,
  HostedAPIServerStatus,
  IssuerRef,
  KeyPairRef,
} from "./hosted-api-server";
export type {
  InternalGateway,
  InternalGatewaySpec,
  InternalGatewayStatus,
} from "./internal-gateway";
export type {
  ClientTls,
  ConfigPatch,
  ConnectionPool,
  Destination,
  DestinationRule,
  DirectRoute,
  EnvoyConfig,
  EnvoyFilter,
  ForwardingRoute,
  Gateway,
  GatewayServer,
  HttpRetry,
  HttpRoute,
  IstioDuration,
  LoadBalancer,
  OutlierDetection,
  ServiceEntry,
  Subset,
  TrafficPolicy,
  TunnelGateway,
  TunnelRoute,
  TunnelVirtualService,
  VirtualService,
} from "./istio";
export type {
  LabelSelector,
  LabelSelectorRequirement,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "./network-policy";
export type {
  KubernetesObject,
  ObjectMeta,
  OwnerReference,
  PartialObjectMetadata,
} from "./object-meta";
export type {
  DaemonSet,
  Deployment,
  PodDisruptionBudget,
  PodTemplate,
  StatefulSet,
} from "./workloads";
export type { Condition } from "./schema";
export type { CustomResourceDefinition } from "./custom-resource";

/** The CustomResourceDefinitions of all of fairlead's kinds. */
export const customResourceDefinitions: readonly CustomResourceDefinition[] = [
  internalGatewayDefinition,
  hostedAPIServerDefinition,
].map(customResourceDefinition);
