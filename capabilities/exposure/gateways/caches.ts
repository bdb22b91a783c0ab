import { equals, omit } from "ramda";
import type { EnvoyFilter, InternalGateway, KubernetesObject } from "../../../lib/api";
import {
  deferCache,
  openCache,
  openScopedCache,
  type Cache,
  type CacheContext,
  type Change,
  Freshest,
} from "../../../lib/cluster";
import { isManaged } from "../../../lib/domain/names";
import type { EndpointSlice } from "./addresses";
import { serviceNameOf } from "./internal-service";
import { filterNameOf } from "./parts";
import type { GatewayPod } from "./ports";

/** What is watched for one InternalGateway. */
export interface GatewayCaches {
  /** Of its internal Service. */
  readonly endpointSlices: Cache<EndpointSlice>;
  /** That its selector matches, in any namespace (restricted: that is listed). */
  readonly pods: Cache<GatewayPod>;
  /** What has the name of its EnvoyFilter, whoever made it; empty, and not synced, without Istio's kinds. */
  readonly envoyFilters: Cache<EnvoyFilter>;
  readonly filters: Freshest<EnvoyFilter>;
}

interface Opened extends GatewayCaches {
  readonly selector: Readonly<Record<string, string>>;
}

const toLabelSelector = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");

type Containers = NonNullable<GatewayPod["spec"]>["initContainers"];

const projectContainers = (containers: Containers = []): NonNullable<Containers> =>
  containers
    .map(({ ports = [], restartPolicy }) => ({
      ...(restartPolicy === undefined ? {} : { restartPolicy }),
      ports: ports
        .filter(({ name }) => name !== undefined)
        .map(({ name = "", containerPort, protocol = "TCP" }) => ({
          name,
          containerPort,
          protocol,
        })),
    }))
    .filter(({ ports }) => ports.length > 0);

function projectPod({ apiVersion, kind, metadata, spec }: GatewayPod): GatewayPod {
  const { name, namespace = "", uid = "", resourceVersion = "", labels = {} } = metadata;
  return {
    apiVersion,
    kind,
    metadata: { name, namespace, uid, resourceVersion, labels },
    spec: {
      containers: projectContainers(spec?.containers),
      initContainers: projectContainers(spec?.initContainers),
    },
  };
}

/** Of somebody else's it matters only that it is there. */
function projectFilter(filter: EnvoyFilter): EnvoyFilter {
  if (isManaged(filter)) return filter;
  const { name, namespace = "", uid = "", resourceVersion = "" } = filter.metadata;
  return {
    ...filter,
    metadata: { name, namespace, uid, resourceVersion },
    spec: {},
  } as unknown as EnvoyFilter;
}

const contentOf = ({ metadata, ...rest }: KubernetesObject): object => ({
  ...rest,
  metadata: omit(["resourceVersion"], metadata),
});

/** Whether more has changed than the version: a Pod's status changes often, and is no matter here. */
function isChange({ kind, object, previous }: Change<KubernetesObject>): boolean {
  if (kind !== "updated" || previous === undefined) return true;
  return !equals(contentOf(object), contentOf(previous));
}

/** Watches that live as long as their InternalGateway, filtered by the server. */
export class GatewayCacheSet {
  readonly #opened = new Map<string, Opened>();

  /**
   * @param istio Resolves once Istio's kinds are served.
   * @param onChange Told the key of the InternalGateway that something changed for.
   */
  constructor(
    private readonly context: CacheContext,
    private readonly istio: Promise<unknown>,
    private readonly onChange: (key: string) => void,
  ) {}

  /** The caches of an InternalGateway, opened when they are asked for the first time. */
  of(key: string, gateway: InternalGateway): GatewayCaches {
    const known = this.#opened.get(key);
    if (known !== undefined && equals(known.selector, gateway.spec.selector)) return known;
    this.close(key);
    const opened = this.#open(gateway);
    this.#opened.set(key, opened);
    const tell = (): void => {
      this.onChange(key);
    };
    const { endpointSlices, pods, envoyFilters } = opened;
    for (const cache of [
      endpointSlices,
      pods,
      envoyFilters,
    ] as readonly Cache<KubernetesObject>[]) {
      cache.onChange((change) => {
        if (isChange(change)) tell();
      });
      void cache.synced.then(tell);
    }
    return opened;
  }

  /** Stops watching for an InternalGateway that is gone. */
  close(key: string): void {
    const opened = this.#opened.get(key);
    opened?.endpointSlices.stop();
    opened?.pods.stop();
    opened?.envoyFilters.stop();
    this.#opened.delete(key);
  }

  #open(gateway: InternalGateway): Opened {
    const { namespace = "" } = gateway.metadata;
    const envoyFilters = deferCache(this.istio, () =>
      openCache<EnvoyFilter>(this.context, {
        apiVersion: "networking.istio.io/v1alpha3",
        kind: "EnvoyFilter",
        namespace,
        fieldSelector: `metadata.name=${filterNameOf(gateway)}`,
        project: projectFilter,
      }),
    );
    return {
      selector: gateway.spec.selector,
      endpointSlices: openCache<EndpointSlice>(this.context, {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        namespace,
        labelSelector: `kubernetes.io/service-name=${serviceNameOf(gateway)}`,
      }),
      pods: openScopedCache<GatewayPod>(this.context, {
        apiVersion: "v1",
        kind: "Pod",
        labelSelector: toLabelSelector(gateway.spec.selector),
        project: projectPod,
      }),
      envoyFilters,
      filters: new Freshest(envoyFilters),
    };
  }
}
