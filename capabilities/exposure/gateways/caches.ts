import { equals } from "ramda";
import type { InternalGateway, KubernetesObject } from "../../../lib/api";
import { openCache, type Cache, type CacheContext } from "../../../lib/cluster";
import { serviceNameOf, type EndpointSlice } from "./plan";

/** What is watched for one InternalGateway: the endpoints of its internal Service and the Pods it selects. */
export interface GatewayCaches {
  readonly endpointSlices: Cache<EndpointSlice>;
  readonly pods: Cache<KubernetesObject>;
}

interface Opened extends GatewayCaches {
  readonly selector: Readonly<Record<string, string>>;
}

const toLabelSelector = (labels: Readonly<Record<string, string>>): string =>
  Object.entries(labels)
    .map(([key, value]) => `${key}=${value}`)
    .sort()
    .join(",");

function projectPod(pod: KubernetesObject): KubernetesObject {
  const { name, namespace = "", uid = "", resourceVersion = "", labels = {} } = pod.metadata;
  return {
    apiVersion: pod.apiVersion,
    kind: pod.kind,
    metadata: { name, namespace, uid, resourceVersion, labels },
  };
}

/** Watches that live as long as their InternalGateway, filtered by the server. */
export class GatewayCacheSet {
  readonly #opened = new Map<string, Opened>();

  /** @param onChange Told the key of the InternalGateway that something changed for. */
  constructor(
    private readonly context: CacheContext,
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
    for (const cache of [opened.endpointSlices, opened.pods]) {
      cache.onChange(tell);
      void cache.synced.then(tell);
    }
    return opened;
  }

  /** Stops watching for an InternalGateway that is gone. */
  close(key: string): void {
    const opened = this.#opened.get(key);
    opened?.endpointSlices.stop();
    opened?.pods.stop();
    this.#opened.delete(key);
  }

  #open(gateway: InternalGateway): Opened {
    const { namespace = "" } = gateway.metadata;
    return {
      selector: gateway.spec.selector,
      endpointSlices: openCache<EndpointSlice>(this.context, {
        apiVersion: "discovery.k8s.io/v1",
        kind: "EndpointSlice",
        namespace,
        labelSelector: `kubernetes.io/service-name=${serviceNameOf(gateway)}`,
      }),
      pods: openCache(this.context, {
        apiVersion: "v1",
        kind: "Pod",
        labelSelector: toLabelSelector(gateway.spec.selector),
        metadataOnly: true,
        project: projectPod,
      }),
    };
  }
}
