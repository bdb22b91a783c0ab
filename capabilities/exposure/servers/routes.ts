import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import { splitList } from "../../../lib/domain/hosts";
import {
  INTERNAL_SERVICE,
  LABEL_MANAGED_BY,
  LABEL_NAME,
  LABEL_NAMESPACE,
  MANAGED_BY,
  ROUTE_CONFIG_MAP,
  isManaged,
} from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import { planWrite, type Write } from "../objects";
import { targetPortOf } from "../resources";

/** What a route ConfigMap is to say about one HostedAPIServer. */
export interface RouteWish {
  readonly namespace: string;
  readonly name: string;
  /** Its own hosts. */
  readonly hosts: readonly string[];
  /** All HostedAPIServers of the namespace. */
  readonly neighbours: readonly HostedAPIServer[];
  readonly namespaceUid: string;
  readonly current: ConfigMap | undefined;
  /** Undefined: its hosts are not to be in it. */
  readonly published:
    | { readonly gateway: InternalGateway; readonly addresses: readonly string[] }
    | undefined;
}

/** Whether a route ConfigMap is fairlead's own. One of somebody else's is read by admission, and never written. */
export function isOwnRoute(current: ConfigMap): boolean {
  const { namespace = "", labels } = current.metadata;
  return isManaged(current) && labels?.[LABEL_NAMESPACE] === namespace;
}

/** The hosts that a route ConfigMap names, in its order. */
export function routedHosts(current: ConfigMap | undefined): readonly string[] {
  return splitList(current?.data?.hosts ?? "");
}

/** Where a route ConfigMap leads, by the keys of its data. */
function destinationOf(gateway: InternalGateway): Readonly<Record<string, string>> {
  return {
    "istio-namespace": gateway.metadata.namespace ?? "",
    service: gateway.spec.serviceName ?? INTERNAL_SERVICE,
    port: String(targetPortOf(gateway)),
  };
}

/**
 * The hosts of others that are to stay: each HostedAPIServer takes out only its own, and those that are nobody's. Where
 * it leads to another gateway now, each puts in its own again, once that gateway serves them.
 */
function keptHosts({ name, neighbours, current, published }: RouteWish): readonly string[] {
  const destination = Object.entries(
    published === undefined ? {} : destinationOf(published.gateway),
  );
  if (destination.some(([key, value]) => current?.data?.[key] !== value)) return [];
  const others = neighbours.filter(({ metadata }) => metadata.name !== name);
  const claimed = new Set(others.flatMap(({ spec }) => spec.hosts));
  return routedHosts(current).filter((host) => claimed.has(host));
}

/** The one whose name the ConfigMap bears: the oldest, ties by name. */
function eldest(neighbours: readonly HostedAPIServer[]): string {
  const age = ({ metadata }: KubernetesObject): string =>
    `${metadata.creationTimestamp ?? ""}/${metadata.name}`;
  return [...neighbours].sort((a, b) => (age(a) < age(b) ? -1 : 1))[0]?.metadata.name ?? "";
}

function dataOf(
  hosts: readonly string[],
  { published, current }: RouteWish,
): Readonly<Record<string, string>> {
  // Others' hosts stay with the gateway that they are routed to: all of a namespace use one.
  if (published === undefined) return { ...current?.data, hosts: hosts.join(",") };
  const { gateway, addresses } = published;
  return {
    hosts: hosts.join(","),
    ...destinationOf(gateway),
    addresses: addresses.join(","),
  };
}

/**
 * Plans the write that puts the hosts of a HostedAPIServer into the route ConfigMap of its namespace, or takes them
 * out. The ConfigMap holds the sorted union of the namespace's L7 hosts and goes with the last one.
 * @returns Undefined where it is in line, or is somebody else's.
 */
export function planRoute(wish: RouteWish): Write | undefined {
  const { namespace, current, published } = wish;
  if (current !== undefined && !isOwnRoute(current)) return undefined;
  const mine = published === undefined ? [] : wish.hosts;
  const hosts = [...new Set([...keptHosts(wish), ...mine])].sort();
  if (hosts.length === 0) return planWrite(undefined, current);
  const desired: ConfigMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: ROUTE_CONFIG_MAP,
      namespace,
      labels: {
        [LABEL_MANAGED_BY]: MANAGED_BY,
        [LABEL_NAMESPACE]: namespace,
        [LABEL_NAME]: eldest(wish.neighbours),
      },
      ownerReferences: [
        { apiVersion: "v1", kind: "Namespace", name: namespace, uid: wish.namespaceUid },
      ],
    },
    data: dataOf(hosts, wish),
  };
  return planWrite(desired, current);
}
