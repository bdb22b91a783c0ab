import type { KubernetesObject } from "./object-meta";

/**
 * The parts of Istio's API that fairlead writes, as they are on the wire. Stricter than Istio's own schema: what
 * fairlead always sets is required here, and what it never sets is not there.
 * @see https://istio.io/latest/docs/reference/config/networking/
 */

/** Labels that select Pods of the object's own namespace. */
type Labels = Readonly<Record<string, string>>;

/** A `google.protobuf.Duration` as JSON: seconds with a final `s`, such as `86400s`. */
export type IstioDuration = `${number}s`;

/** Who sees an object: `.` is its own namespace alone. */
export type ExportTo = readonly ["."];

/** TLS that the gateway terminates: SIMPLE asks for no client certificate, OPTIONAL_MUTUAL for one that need not come. */
export interface TerminatingTls {
  readonly mode: "SIMPLE" | "OPTIONAL_MUTUAL";
  /** Name of a Secret in the gateway's namespace. */
  readonly credentialName: string;
  readonly minProtocolVersion: "TLSV1_2";
}

/** TLS that the gateway passes on as it is, led by its SNI. */
export interface PassthroughTls {
  readonly mode: "PASSTHROUGH";
}

/** A port of a Gateway; `name` tells apart the servers of one port. */
interface GatewayPort<Protocol extends string> {
  readonly name: string;
  readonly number: number;
  readonly protocol: Protocol;
}

/** A server of a Gateway: either it terminates TLS and speaks HTTP, or it passes TLS on. */
export type GatewayServer =
  | {
      readonly hosts: readonly string[];
      readonly port: GatewayPort<"HTTPS">;
      readonly tls: TerminatingTls;
    }
  | {
      readonly hosts: readonly string[];
      readonly port: GatewayPort<"TLS">;
      readonly tls: PassthroughTls;
    };

/** @see https://istio.io/latest/docs/reference/config/networking/gateway/ */
export interface Gateway extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "Gateway";
  readonly spec: {
    readonly selector: Labels;
    readonly servers: readonly GatewayServer[];
  };
}

/** Where a route leads: a port of a Service, by its full DNS name. */
export interface Destination {
  readonly host: string;
  readonly subset: string;
  readonly port: { readonly number: number };
}

/** When a request is sent again. */
export interface HttpRetry {
  readonly attempts: number;
  /** Comma separated conditions of Envoy's. */
  readonly retryOn: string;
}

/** A route of HTTP requests that leads somewhere; the first one that matches takes them, one without `match` takes all. */
export interface ForwardingRoute {
  readonly name: string;
  readonly match?: readonly {
    readonly headers: Readonly<Record<string, { readonly exact: string }>>;
  }[];
  /** Headers that do not go on to the destination. */
  readonly headers?: { readonly request: { readonly remove: readonly string[] } };
  readonly retries: HttpRetry;
  readonly route: readonly { readonly destination: Destination }[];
}

/** A route of HTTP requests that the gateway answers itself. */
export interface DirectRoute {
  readonly name: string;
  readonly match: readonly { readonly uri: { readonly exact: string } }[];
  readonly directResponse: { readonly status: number };
}

/** A route of HTTP requests. */
export type HttpRoute = ForwardingRoute | DirectRoute;

/** A route of TLS connections that are passed through. */
export interface TlsRoute {
  readonly match: readonly { readonly port: number; readonly sniHosts: readonly string[] }[];
  readonly route: readonly { readonly destination: Destination }[];
}

/** @see https://istio.io/latest/docs/reference/config/networking/virtual-service/ */
export interface VirtualService extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "VirtualService";
  readonly spec: {
    readonly exportTo: ExportTo;
    readonly hosts: readonly string[];
    /** Names of Gateways; without a namespace, those of this one. */
    readonly gateways: readonly string[];
    readonly http?: readonly HttpRoute[];
    readonly tls: readonly TlsRoute[];
  };
}

/** The Gateway of a tunnel: where it is taken, and where it ends. */
export interface TunnelGateway extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "Gateway";
  readonly spec: {
    readonly selector: Labels;
    readonly servers: readonly (
      | { readonly hosts: readonly string[]; readonly port: GatewayPort<"HTTP"> }
      | {
          readonly hosts: readonly ["*"];
          readonly port: GatewayPort<"HTTPS">;
          /** The one address that it listens at. */
          readonly bind: string;
          readonly tls: TerminatingTls;
        }
    )[];
  };
}

/** What tells the requests of a tunnel's two ends apart, besides what other routes tell requests apart by. */
interface TunnelMatch {
  /** Of the Gateway's server that the request came by. */
  readonly port: number;
  readonly headers?: Readonly<Record<string, { readonly exact: string }>>;
  readonly uri?: { readonly exact: string };
}

/** A route of a tunnel: to where it ends, and of the requests that come out there. */
export type TunnelRoute =
  | (Omit<DirectRoute, "match"> & { readonly match: readonly TunnelMatch[] })
  | (Omit<ForwardingRoute, "match" | "route"> & {
      readonly match: readonly TunnelMatch[];
      readonly route: readonly {
        readonly destination: Omit<Destination, "subset"> & { readonly subset?: string };
      }[];
    });

/** The VirtualService of a tunnel. Every route of it says which of the two ends it is for. */
export interface TunnelVirtualService extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "VirtualService";
  readonly spec: {
    readonly exportTo: ExportTo;
    readonly hosts: readonly string[];
    readonly gateways: readonly string[];
    readonly http: readonly TunnelRoute[];
  };
}

/** @see https://istio.io/latest/docs/reference/config/networking/service-entry/ */
export interface ServiceEntry extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "ServiceEntry";
  readonly spec: {
    readonly exportTo: ExportTo;
    readonly hosts: readonly string[];
    readonly location: "MESH_EXTERNAL";
    readonly resolution: "STATIC";
    readonly ports: readonly GatewayPort<"TCP">[];
    readonly endpoints: readonly { readonly address: string }[];
  };
}

/** How the gateway speaks TLS to a destination. DISABLE: it passes on what it gets. */
export type ClientTls =
  | { readonly mode: "DISABLE" }
  | {
      readonly mode: "SIMPLE" | "MUTUAL";
      /** Name of a Secret in the gateway's namespace. */
      readonly credentialName: string;
      readonly sni: string;
      readonly subjectAltNames: readonly string[];
    };

/** Limits of the connections to a destination. */
export interface ConnectionPool {
  readonly tcp: {
    readonly connectTimeout: IstioDuration;
    readonly idleTimeout: IstioDuration;
    readonly maxConnectionDuration: IstioDuration;
    readonly tcpKeepalive: {
      readonly time: IstioDuration;
      readonly interval: IstioDuration;
      readonly probes: number;
    };
  };
  readonly http?: {
    readonly idleTimeout: IstioDuration;
    /** Requests go on in the HTTP version that they came in. */
    readonly useClientProtocol: true;
  };
}

/** How a destination's endpoint is chosen. */
export interface LoadBalancer {
  readonly simple: "LEAST_REQUEST" | "ROUND_ROBIN";
  readonly localityLbSetting:
    | { readonly enabled: false }
    | { readonly enabled: true; readonly failoverPriority: readonly string[] };
}

/** When an endpoint that fails is left out for a while. */
export interface OutlierDetection {
  readonly consecutive5xxErrors: number;
  readonly interval: IstioDuration;
  readonly baseEjectionTime: IstioDuration;
  readonly maxEjectionPercent: number;
  readonly minHealthPercent: number;
}

/** What a DestinationRule says of a destination. A subset inherits each block that it does not set. */
export interface TrafficPolicy {
  readonly connectionPool?: ConnectionPool;
  readonly loadBalancer?: LoadBalancer;
  readonly outlierDetection?: OutlierDetection;
  readonly tls?: ClientTls;
}

/** A subset without labels: all endpoints of the Service, under a policy of its own. */
export interface Subset {
  readonly name: string;
  readonly trafficPolicy?: TrafficPolicy;
}

/** @see https://istio.io/latest/docs/reference/config/networking/destination-rule/ */
export interface DestinationRule extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1";
  readonly kind: "DestinationRule";
  readonly spec: {
    readonly exportTo: ExportTo;
    readonly host: string;
    readonly trafficPolicy: TrafficPolicy;
    readonly subsets: readonly Subset[];
  };
}

/** A part of Envoy's own configuration, in the JSON form of its protobuf. */
export type EnvoyConfig = Readonly<Record<string, unknown>>;

/** A filter of a listener's filter chains. */
interface FilterMatch {
  readonly name: string;
  readonly subFilter?: { readonly name: string };
}

/** One change to the configuration that istiod makes for a gateway. */
export type ConfigPatch =
  | {
      readonly applyTo: "LISTENER" | "LISTENER_FILTER" | "NETWORK_FILTER" | "HTTP_FILTER";
      readonly match: {
        readonly context: "GATEWAY";
        readonly listener: {
          readonly portNumber: number;
          readonly filterChain?: { readonly filter: FilterMatch };
        };
      };
      readonly patch:
        | {
            readonly operation: "MERGE" | "INSERT_BEFORE" | "INSERT_FIRST";
            readonly value: EnvoyConfig;
          }
        | { readonly operation: "REMOVE" };
    }
  | {
      readonly applyTo: "CLUSTER";
      readonly match: {
        readonly context: "GATEWAY";
        readonly cluster: { readonly subset?: string; readonly portNumber?: number };
      };
      readonly patch: { readonly operation: "MERGE"; readonly value: EnvoyConfig };
    }
  | {
      readonly applyTo: "HTTP_ROUTE";
      readonly match: {
        readonly context: "GATEWAY";
        readonly routeConfiguration: {
          readonly portNumber: number;
          readonly vhost: { readonly route: { readonly name: string } };
        };
      };
      readonly patch: { readonly operation: "MERGE"; readonly value: EnvoyConfig };
    }
  | {
      readonly applyTo: "EXTENSION_CONFIG";
      readonly match: { readonly context: "GATEWAY" };
      readonly patch: { readonly operation: "ADD"; readonly value: EnvoyConfig };
    };

/** @see https://istio.io/latest/docs/reference/config/networking/envoy-filter/ */
export interface EnvoyFilter extends KubernetesObject {
  readonly apiVersion: "networking.istio.io/v1alpha3";
  readonly kind: "EnvoyFilter";
  readonly spec: {
    readonly workloadSelector: { readonly labels: Labels };
    /** Filters are applied in ascending order of it; without one it is 0. */
    readonly priority: number;
    readonly configPatches: readonly ConfigPatch[];
  };
}
