import type { HostedAPIServer, KubernetesObject } from "../api";
import { apiServerServices, serviceOf, servicesOf } from "./control-plane-services";
import {
  ANNOTATION_TOPOLOGY_AWARE_HINTS,
  ANNOTATION_TOPOLOGY_MODE,
  LABEL_TOPOLOGY_AWARE,
} from "./names";

/** A core/v1 Service as it is on the wire, as far as it matters here. */
export interface Service extends KubernetesObject {
  readonly spec?: {
    readonly type?: string;
    readonly trafficDistribution?: string;
  };
}

/** What fairlead sets; both mean the same to Kubernetes. */
export type TrafficDistribution = "PreferClose" | "PreferSameZone";

/** The first minor in which the field works by default. */
const FIRST_MINOR = 31;
/** The first minor that knows `PreferSameZone`, the clearer name, by default. */
const FIRST_SAME_ZONE_MINOR = 34;

/**
 * The value for a cluster: an API server rejects one that it does not know.
 * @param minor The minor that counts, 34 for 1.34.
 * @see https://kubernetes.io/docs/reference/networking/virtual-ips/#traffic-distribution
 */
export function trafficDistributionFor(
  minor: number,
):
  | { readonly kind: "value"; readonly value: TrafficDistribution }
  | { readonly kind: "none"; readonly reason: "UnsupportedVersion" } {
  if (minor < FIRST_MINOR) return { kind: "none", reason: "UnsupportedVersion" };
  const value = minor < FIRST_SAME_ZONE_MINOR ? "PreferClose" : "PreferSameZone";
  return { kind: "value", value };
}

/** What of the whole cluster a decision depends on. */
export interface ClusterTopology {
  /** The minor of the management cluster that counts, 34 for 1.34; undefined while it is not known. */
  readonly minor: number | undefined;
  /** How many zones the nodes span; undefined while that is not known. */
  readonly zones: number | undefined;
}

/** What a decision depends on besides the Service itself. */
export interface Topology extends ClusterTopology {
  /** All HostedAPIServers of the Service's namespace. */
  readonly hostedAPIServers: readonly HostedAPIServer[];
}

/** Why a Service is not to be topology-aware. */
export type OffReason =
  | "OptedOut"
  | "ExternalName"
  | "NotSelected"
  | "L7Active"
  | "UnsupportedVersion"
  | "SingleZone";

/** What is to be with a Service, whatever it is now. */
export type Wish =
  | { readonly kind: "on"; readonly value: TrafficDistribution }
  | { readonly kind: "off"; readonly reason: OffReason }
  | { readonly kind: "unknown"; readonly reason: "VersionUnknown" | "ZonesUnknown" };

/** Annotations of Kubernetes that override trafficDistribution; what is found first is named. */
export const overridingAnnotations: readonly string[] = [
  ANNOTATION_TOPOLOGY_MODE,
  ANNOTATION_TOPOLOGY_AWARE_HINTS,
];

/** What whoever writes a Service is warned of when one of these is on it. */
export function overriddenWarning({
  annotation,
  service,
}: {
  readonly annotation: string;
  readonly service: string;
}): string {
  return `${annotation} overrides trafficDistribution, so fairlead does not set it on Service ${service}: remove the annotation to let fairlead do so, or label the Service fairlead.dev/topology-aware: "false".`;
}

/** What is to be with a Service that is selected and not left to all zones: what the cluster can. */
export function distributionIn({ minor, zones }: ClusterTopology): Wish {
  if (minor === undefined) return { kind: "unknown", reason: "VersionUnknown" };
  const distribution = trafficDistributionFor(minor);
  if (distribution.kind === "none") return { kind: "off", reason: distribution.reason };
  if (zones === undefined) return { kind: "unknown", reason: "ZonesUnknown" };
  if (zones < 2) return { kind: "off", reason: "SingleZone" };
  return { kind: "on", value: distribution.value };
}

/** Whether it is known that a hosted API server's own Service is served in L4; not known counts as L7. */
function isServedInL4(name: string, all: readonly HostedAPIServer[]): boolean {
  const itsOwn = all.filter((hapi) => serviceOf(hapi) === name);
  // A known name that no HostedAPIServer claims: any of the namespace may be meant.
  const candidates = itsOwn.length > 0 ? itsOwn : all;
  return candidates.length > 0 && candidates.every(({ status }) => status?.loadBalancing === "L4");
}

/** Which Services of a namespace are topology-aware, by name. */
export interface ServiceSelection {
  /** Those that its HostedAPIServers want. */
  readonly selected: readonly string[];
  /** Those that are left to all zones though they are selected or opt in: they lead to an API server in L7. */
  readonly allZones: readonly string[];
}

/**
 * Which Services of a namespace are topology-aware, by name; each name once, sorted. A Service leads to a hosted API
 * server if it is the `service` of a HostedAPIServer, or has one of the names under which control planes are known to
 * run theirs.
 * @param all All HostedAPIServers of the namespace.
 */
export function selectServices(all: readonly HostedAPIServer[]): ServiceSelection {
  const selected = new Set(all.flatMap((hapi) => servicesOf(hapi, all)));
  const ofAPIServers = new Set([...apiServerServices, ...all.map(serviceOf)]);
  return {
    selected: [...selected].sort(),
    allZones: [...ofAPIServers].filter((name) => !isServedInL4(name, all)).sort(),
  };
}

/**
 * Decides whether a Service is to be topology-aware, and with which value. Labels come first, then what the Service is
 * for, then what the cluster can.
 * @returns unknown: nothing may be changed before more is known.
 */
export function wishFor(service: Service, topology: Topology): Wish {
  const { name, labels } = service.metadata;
  const label = labels?.[LABEL_TOPOLOGY_AWARE];
  if (label === "false") return { kind: "off", reason: "OptedOut" };
  const { selected, allZones } = selectServices(topology.hostedAPIServers);
  if (label !== "true" && !selected.includes(name)) return { kind: "off", reason: "NotSelected" };
  // The field is valid there, but such a Service has no endpoints to choose from.
  if (service.spec?.type === "ExternalName") return { kind: "off", reason: "ExternalName" };
  if (allZones.includes(name)) return { kind: "off", reason: "L7Active" };
  return distributionIn(topology);
}
