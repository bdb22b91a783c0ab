import { GROUP } from "../api/names";

export {
  API_VERSION,
  GROUP,
  INTERNAL_SERVICE,
  INTERNAL_TARGET_PORT,
  TUNNEL_LOOPBACK_PORT,
  TUNNEL_PORT,
  VERSION,
} from "../api/names";

/** Labels that fairlead puts on everything it makes, so that it is found again and nothing else is touched. */
export const LABEL_MANAGED_BY = "app.kubernetes.io/managed-by";
export const MANAGED_BY = "fairlead";

/** Whether an object is fairlead's by its label. */
export function isManaged(object: {
  readonly metadata: { readonly labels?: Readonly<Record<string, string>> | undefined };
}): boolean {
  return object.metadata.labels?.[LABEL_MANAGED_BY] === MANAGED_BY;
}

export const LABEL_NAMESPACE = `${GROUP}/namespace`;
export const LABEL_NAME = `${GROUP}/name`;
/**
 * On Secrets in the gateway namespace: `server` or `proxy-client`; on an InternalGateway's NetworkPolicies: `gateway`; on
 * Istio's objects of a tunnel: `tunnel`.
 */
export const LABEL_USE = `${GROUP}/use`;
export const USE_GATEWAY = "gateway";
export const USE_TUNNEL = "tunnel";

/** On Pods: `"true"` routes a Pod whatever it mounts, `"false"` opts it out. */
export const LABEL_ROUTE = `${GROUP}/route`;
/** On Services: `"true"` opts in to topology-aware routing, `"false"` opts out. */
export const LABEL_TOPOLOGY_AWARE = `${GROUP}/topology-aware`;

/** On Services: the value of trafficDistribution that fairlead set, its mark of ownership. */
export const ANNOTATION_TRAFFIC_DISTRIBUTION = `${GROUP}/traffic-distribution`;
/** On Services and Secrets of kubeconfigs: another manager keeps setting them back; fairlead leaves them alone. */
export const ANNOTATION_CONTESTED = `${GROUP}/contested`;
/** On Secrets: since when another version has replaced this one (RFC 3339). */
export const ANNOTATION_SUPERSEDED_AT = `${GROUP}/superseded-at`;
/** On a HostedAPIServer or its Namespace: no L7, please. */
export const ANNOTATION_DISABLE_L7 = `${GROUP}/disable-l7`;
/** Gardener's way to say the same. */
export const ANNOTATION_DISABLE_ISTIO_TLS_TERMINATION =
  "shoot.gardener.cloud/disable-istio-tls-termination";
/** On an owner of Pods: the routes (as a hash) that fairlead last restarted them for. */
export const ANNOTATION_RESTARTED_FOR = `${GROUP}/restarted-for`;
/** On a Pod template: when its owner was last restarted, as `kubectl rollout restart` writes it. */
export const ANNOTATION_RESTARTED_AT = "kubectl.kubernetes.io/restartedAt";
/** On fairlead's MutatingWebhookConfiguration: by what Pods and Services are admitted, where it does not go without saying. */
export const ANNOTATION_ADMISSION = `${GROUP}/admission`;
/** On a HostedAPIServer: its deletion does not wait for routed Pods. */
export const ANNOTATION_FORCE_DELETE = `${GROUP}/force-delete`;
export const FINALIZER_EXPOSURE = `${GROUP}/exposure`;
export const FINALIZER_CREDENTIALS = `${GROUP}/credentials`;

/** Kubernetes' well-known label for the zone of a Node. */
export const LABEL_ZONE = "topology.kubernetes.io/zone";

/** Every Namespace carries its own name under this label. */
export const LABEL_NAMESPACE_NAME = "kubernetes.io/metadata.name";

/** The ConfigMap that tells a control-plane namespace's Pods where to go. */
export const ROUTE_CONFIG_MAP = "istio-internal-load-balancing";

/** One field manager a capability, so that managedFields tell who wrote what. */
export const FIELD_MANAGERS = {
  credentials: "fairlead-credentials",
  exposure: "fairlead-exposure",
  services: "fairlead-services",
  stalePods: "fairlead-stale-pods",
  status: "fairlead-status",
  install: "fairlead-install",
  webhook: "fairlead-webhook",
  policies: "fairlead-policies",
} as const;

/** One of fairlead's field managers. */
export type FieldManager = (typeof FIELD_MANAGERS)[keyof typeof FIELD_MANAGERS];

/** On Services: Kubernetes' older ways to topology-aware routing, which override trafficDistribution. */
export const ANNOTATION_TOPOLOGY_MODE = "service.kubernetes.io/topology-mode";
export const ANNOTATION_TOPOLOGY_AWARE_HINTS = "service.kubernetes.io/topology-aware-hints";
