import {
  destinationRuleOf,
  gatewayOf,
  virtualServiceOf,
  type Exposure,
} from "../../capabilities/exposure/resources";
import { SUBSETS } from "../../capabilities/exposure/resources/subsets";
import type {
  DestinationRule,
  EnvoyConfig,
  HostedAPIServer,
  HttpRoute,
  InternalGateway,
  Subset,
  TrafficPolicy,
  VirtualService,
} from "../../lib/api";
import { ALGORITHMS, type Algorithm, type AlgorithmName } from "./algorithms";

/** The gateway's configuration as the product makes it, with another way to balance. */

/** How the gateway serves the hosted API server. */
export type Mode = "L7" | "L4";

/** What is configured. */
export interface Configuration {
  readonly mode: Mode;
  readonly algorithm: AlgorithmName;
  readonly routeSecret: string;
}

export const HOST = "api.tenant-a.example.com";
export const GATEWAY_NAMESPACE = "istio-ingress";
export const CONTROL_PLANE = "tenant-a";
export const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };
/** Names of the Secrets in the gateway namespace. */
export const CREDENTIALS = {
  server: "tenant-a-main-tls",
  upstream: "tenant-a-main-istio-mtls",
  clientCertificates: true,
};

export const internalGateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: GATEWAY_NAMESPACE, uid: "bench" },
  spec: { selector: GATEWAY_LABELS },
};

const server: HostedAPIServer = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { name: "main", namespace: CONTROL_PLANE },
  spec: {
    kubernetesVersion: "1.34.4",
    hosts: [HOST],
    certificates: {
      server: { secretName: "kube-apiserver" },
      serverCA: { secretName: "ca" },
      clientCA: { secretName: "ca-client" },
      proxyClient: { issuer: { secretName: "ca-front-proxy" } },
    },
  },
};

/** The subsets that requests or connections are balanced in. */
export const BALANCED = {
  L7: [SUBSETS.trusted, SUBSETS.untrusted],
  L4: [SUBSETS.passthrough],
} as const satisfies Readonly<Record<Mode, readonly string[]>>;

/** The Envoy cluster of a subset. */
export function clusterNameOf(subset: string): string {
  return `outbound|443|${subset}|kube-apiserver.${CONTROL_PLANE}.svc.cluster.local`;
}

/** All objects that differ between modes and algorithms. */
export function configurationOf(configuration: Configuration): readonly object[] {
  const { mode, routeSecret } = configuration;
  const algorithm: Algorithm = ALGORITHMS[configuration.algorithm];
  const exposure: Exposure = {
    server,
    gateway: internalGateway,
    namespaceUid: "bench",
    mode: { kind: mode, credentials: CREDENTIALS },
    trusted: true,
    routeSecret,
    clusterDomain: "cluster.local",
  };
  const routes = virtualServiceOf(exposure);
  const rule = ruleOf(destinationRuleOf(exposure), mode, algorithm);
  const isApart = algorithm.watches !== undefined;
  return [
    gatewayOf(exposure),
    isApart ? routesWithWatchesApart(routes) : routes,
    rule,
    patchesOf(mode, algorithm),
  ].map(withoutOwner);
}

/** The garbage collector would take objects whose owner is not there. */
export function withoutOwner<T extends { readonly metadata: object }>(object: T): T {
  return { ...object, metadata: { ...object.metadata, ownerReferences: [] } };
}

/** With another way to balance, in the subsets of requests or in that of connections. */
function ruleOf(rule: DestinationRule, mode: Mode, algorithm: Algorithm): DestinationRule {
  const { subsets } = rule.spec;
  const { loadBalancer, watches } = algorithm;
  const isMeant = (subset: Subset): boolean => isOfRequests(subset) === (mode === "L7");
  const change = (subset: Subset): Subset =>
    isMeant(subset) ? balanceSubset(subset, loadBalancer) : subset;
  const apart = mode === "L4" || watches === undefined ? [] : subsets.filter(isOfRequests);
  const ofWatches = apart.map((subset) => ({
    ...balanceSubset(subset, watches ?? {}),
    name: watchSubset(subset.name),
  }));
  return { ...rule, spec: { ...rule.spec, subsets: [...subsets.map(change), ...ofWatches] } };
}

const isOfRequests = ({ name }: Subset): boolean => name !== SUBSETS.passthrough;
const watchSubset = (subset: string): string => `${subset}-watch`;

function balanceSubset(subset: Subset, loadBalancer: EnvoyConfig): Subset {
  return { ...subset, trafficPolicy: balance(subset.trafficPolicy ?? {}, loadBalancer) };
}

/** What is compared goes beyond what the product may say. */
function balance(policy: TrafficPolicy, loadBalancer: EnvoyConfig): TrafficPolicy {
  const localityLbSetting = policy.loadBalancer?.localityLbSetting ?? { enabled: false };
  return { ...policy, loadBalancer: { ...loadBalancer, localityLbSetting } } as TrafficPolicy;
}

/** Each route to the API servers gets one before it, for watches. */
function routesWithWatchesApart(service: VirtualService): VirtualService {
  const http = (service.spec.http ?? []).flatMap((route) =>
    "route" in route ? [watchRouteOf(route), route] : [route],
  );
  return { ...service, spec: { ...service.spec, http } };
}

function watchRouteOf(route: Extract<HttpRoute, { route: unknown }>): HttpRoute {
  const queryParams = { watch: { exact: "true" } };
  const changed = {
    ...route,
    name: watchSubset(route.name),
    match: (route.match ?? [{}]).map((match) => ({ ...match, queryParams })),
    route: route.route.map(({ destination }) => ({
      destination: { ...destination, subset: watchSubset(destination.subset) },
    })),
  };
  return changed as unknown as HttpRoute;
}

/** An EnvoyFilter that is there in any case, so that the patches of the algorithm before are gone. */
function patchesOf(mode: Mode, { clusterPatch }: Algorithm) {
  const subsets = clusterPatch === undefined ? [] : BALANCED[mode];
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    metadata: { name: "bench", namespace: GATEWAY_NAMESPACE },
    spec: {
      workloadSelector: { labels: GATEWAY_LABELS },
      // After the product's own.
      priority: 20,
      configPatches: subsets.map((subset) => ({
        applyTo: "CLUSTER",
        match: { context: "GATEWAY", cluster: { subset } },
        patch: { operation: "MERGE", value: clusterPatch },
      })),
    },
  };
}
