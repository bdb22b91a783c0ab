import type {
  DestinationRule,
  Gateway,
  KubernetesObject,
  NetworkPolicy,
  ServiceEntry,
  VirtualService,
} from "../../lib/api";
import {
  deferCache,
  openCache,
  openScopedCache,
  type Cache,
  type CacheContext,
  type WatchCaches,
} from "../../lib/cluster";
import { isManaged, LABEL_MANAGED_BY, MANAGED_BY, ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import type { ConfigMap } from "../../lib/domain/route-config";

/** A Gateway of Istio's that may be somebody else's: what it selects, and which hosts it serves on which ports. */
export interface AnyGateway extends KubernetesObject {
  readonly spec: {
    readonly selector?: Readonly<Record<string, string>>;
    readonly servers?: readonly {
      readonly port?: { readonly number?: number; readonly protocol?: string };
      readonly hosts?: readonly string[];
    }[];
  };
}

/** Istio's objects. They are empty, and not synced, as long as the cluster does not know these kinds. */
export interface IstioCaches {
  /** All of them; those of others are cut to what `AnyGateway` has. */
  readonly gateways: Cache<AnyGateway | Gateway>;
  /** fairlead's own. */
  readonly virtualServices: Cache<VirtualService>;
  /** fairlead's own. */
  readonly destinationRules: Cache<DestinationRule>;
  /** fairlead's own. */
  readonly serviceEntries: Cache<ServiceEntry>;
  /** Resolves once it is known whether the cluster has these kinds, and what there is of them. */
  readonly known: Promise<void>;
}

/** What exposure knows of the cluster. */
export interface ExposureCaches extends WatchCaches {
  readonly istio: IstioCaches;
  /** All of them; those of others are cut to what isolates Pods. */
  readonly networkPolicies: Cache<NetworkPolicy>;
  /** The route ConfigMaps of all namespaces, fairlead's own or not, with their data. */
  readonly routeConfigMaps: Cache<ConfigMap>;
}

const ISTIO_DEFINITION = "gateways.networking.istio.io";
const ISTIO = "networking.istio.io/v1";
const LIST_TIMEOUT_MS = 30_000;
const OWN = `${LABEL_MANAGED_BY}=${MANAGED_BY}`;

function metadataAlone({ metadata }: KubernetesObject): KubernetesObject["metadata"] {
  const { name, namespace = "", uid = "", resourceVersion = "", creationTimestamp = "" } = metadata;
  return { name, namespace, uid, resourceVersion, creationTimestamp };
}

function projectGateway(gateway: AnyGateway | Gateway): AnyGateway | Gateway {
  if (isManaged(gateway)) return gateway;
  const { selector, servers = [] } = gateway.spec as AnyGateway["spec"];
  return {
    apiVersion: gateway.apiVersion,
    kind: gateway.kind,
    metadata: metadataAlone(gateway),
    spec: {
      ...(selector === undefined ? {} : { selector }),
      servers: servers.map(({ port = {}, hosts = [] }) => ({ port, hosts })),
    },
  };
}

/** Of a foreign policy it matters whom it isolates in which direction, not what it lets through. */
function projectPolicy(policy: NetworkPolicy): NetworkPolicy {
  if (isManaged(policy)) return policy;
  const { podSelector = {}, policyTypes, egress } = policy.spec;
  return {
    apiVersion: policy.apiVersion,
    kind: policy.kind,
    metadata: metadataAlone(policy),
    spec: {
      podSelector,
      ...(policyTypes === undefined ? {} : { policyTypes }),
      ...((egress ?? []).length > 0 ? { egress: [{}] } : {}),
    },
  };
}

function openIstioCaches(context: CacheContext): IstioCaches {
  const definition = openCache<KubernetesObject>(context, {
    apiVersion: "apiextensions.k8s.io/v1",
    kind: "CustomResourceDefinition",
    fieldSelector: `metadata.name=${ISTIO_DEFINITION}`,
    metadataOnly: true,
  });
  const served = new Promise<void>((resolve) => {
    definition.onChange(() => {
      resolve();
    });
  });
  const own = { apiVersion: ISTIO, labelSelector: OWN } as const;
  const caches = {
    gateways: deferCache(served, () =>
      openScopedCache<AnyGateway | Gateway>(context, {
        apiVersion: ISTIO,
        kind: "Gateway",
        project: projectGateway,
      }),
    ),
    virtualServices: deferCache(served, () =>
      openScopedCache<VirtualService>(context, { ...own, kind: "VirtualService" }),
    ),
    destinationRules: deferCache(served, () =>
      openScopedCache<DestinationRule>(context, { ...own, kind: "DestinationRule" }),
    ),
    serviceEntries: deferCache(served, () =>
      openScopedCache<ServiceEntry>(context, { ...own, kind: "ServiceEntry" }),
    ),
  };
  const listed = definition.synced.then(async () => {
    if (definition.list().length === 0) return;
    await Promise.all(Object.values(caches).map(({ synced }: { synced: Promise<void> }) => synced));
  });
  // An Istio that does not serve v1 is none: there can't be any of fairlead's objects either.
  const waited = new Promise<void>((resolve) => context.clock.after(LIST_TIMEOUT_MS, resolve));
  const known = Promise.race([listed, waited]);
  return { ...caches, known };
}

/** Opens what exposure watches besides what the watch process watches anyway. */
export function openExposureCaches(context: CacheContext, caches: WatchCaches): ExposureCaches {
  return {
    ...caches,
    istio: openIstioCaches(context),
    networkPolicies: openScopedCache<NetworkPolicy>(context, {
      apiVersion: "networking.k8s.io/v1",
      kind: "NetworkPolicy",
      project: projectPolicy,
    }),
    routeConfigMaps: openScopedCache<ConfigMap>(context, {
      apiVersion: "v1",
      kind: "ConfigMap",
      fieldSelector: `metadata.name=${ROUTE_CONFIG_MAP}`,
    }),
  };
}
