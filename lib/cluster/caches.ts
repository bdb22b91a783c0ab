import type {
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  PartialObjectMetadata,
} from "../api";
import { API_VERSION, ANNOTATION_SUPERSEDED_AT, isManaged } from "../domain/names";
import { openCache, openScopedCache, type Cache, type CacheContext } from "./cache";

/** A Service, cut to what fairlead looks at. */
export interface ServiceObject extends KubernetesObject {
  readonly spec: {
    readonly type?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly {
      readonly name?: string;
      readonly port: number;
      readonly targetPort?: number | string;
      readonly protocol?: string;
    }[];
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly ipFamilyPolicy?: string;
    readonly trafficDistribution?: string;
  };
}

/** What the watch process knows of the cluster: one watch a kind (restricted: and namespace), cut to what is needed. */
export interface WatchCaches {
  readonly hostedAPIServers: Cache<HostedAPIServer>;
  readonly internalGateways: Cache<InternalGateway>;
  readonly namespaces: Cache<PartialObjectMetadata>;
  /** Metadata of all Secrets; labels and annotations of fairlead's own only. */
  readonly secrets: Cache<PartialObjectMetadata>;
  /** Metadata of all ConfigMaps, likewise. */
  readonly configMaps: Cache<PartialObjectMetadata>;
  readonly services: Cache<ServiceObject>;
}

const LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration";

function withoutLastApplied<T extends KubernetesObject>(object: T): T {
  const { [LAST_APPLIED]: _lastApplied, ...annotations } = object.metadata.annotations ?? {};
  return { ...object, metadata: { ...object.metadata, annotations } };
}

/** Of an object that is not fairlead's nothing is needed but that it is there and in which version. */
function projectSource(object: PartialObjectMetadata): PartialObjectMetadata {
  const {
    name,
    namespace,
    uid,
    resourceVersion,
    deletionTimestamp,
    labels,
    annotations,
    ownerReferences,
  } = object.metadata;
  const own = isManaged(object);
  const supersededAt = annotations?.[ANNOTATION_SUPERSEDED_AT];
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(uid === undefined ? {} : { uid }),
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(own ? { labels, ...(ownerReferences === undefined ? {} : { ownerReferences }) } : {}),
      ...(own && supersededAt !== undefined
        ? { annotations: { [ANNOTATION_SUPERSEDED_AT]: supersededAt } }
        : {}),
    },
  };
}

function projectService(service: ServiceObject): ServiceObject {
  const { type, selector, ports, clusterIP, clusterIPs, ipFamilyPolicy, trafficDistribution } =
    service.spec;
  const spec = Object.fromEntries(
    Object.entries({
      type,
      selector,
      ports,
      clusterIP,
      clusterIPs,
      ipFamilyPolicy,
      trafficDistribution,
    }).filter(([, value]) => value !== undefined),
  );
  return { ...withoutLastApplied(service), spec } as ServiceObject;
}

/** The HostedAPIServers; the admission process needs them too. */
export function openHostedAPIServers(context: CacheContext): Cache<HostedAPIServer> {
  return openCache<HostedAPIServer>(context, {
    apiVersion: API_VERSION,
    kind: "HostedAPIServer",
    project: withoutLastApplied,
  });
}

/** Opens the caches of the watch process. */
export function openWatchCaches(context: CacheContext): WatchCaches {
  const core = { apiVersion: "v1", metadataOnly: true } as const;
  return {
    hostedAPIServers: openHostedAPIServers(context),
    internalGateways: openCache<InternalGateway>(context, {
      apiVersion: API_VERSION,
      kind: "InternalGateway",
      project: withoutLastApplied,
    }),
    namespaces: openCache(context, { ...core, kind: "Namespace", project: withoutLastApplied }),
    secrets: openScopedCache(context, { ...core, kind: "Secret", project: projectSource }),
    configMaps: openScopedCache(context, { ...core, kind: "ConfigMap", project: projectSource }),
    services: openScopedCache<ServiceObject>(context, {
      apiVersion: "v1",
      kind: "Service",
      project: projectService,
    }),
  };
}
