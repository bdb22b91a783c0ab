import type { HostedAPIServer } from "../../lib/api";
import { apiServerServices, serviceOf, servicesOf } from "../../lib/domain/control-plane-services";
import { LABEL_TOPOLOGY_AWARE } from "../../lib/domain/names";
import type { Service } from "./service";
import { trafficDistributionFor, type TrafficDistribution } from "./version";

/** What a decision depends on besides the Service itself. */
export interface Topology {
  /** The minor of the management cluster that counts, 34 for 1.34; undefined while it is not known. */
  readonly minor: number | undefined;
  /** How many zones the nodes span; undefined while that is not known. */
  readonly zones: number | undefined;
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

/**
 * Whether a Service leads to a hosted API server: it is the `service` of a HostedAPIServer, or has one of the names
 * under which control planes are known to run theirs.
 */
function isAPIServerService(name: string, all: readonly HostedAPIServer[]): boolean {
  return apiServerServices.includes(name) || all.some((hapi) => serviceOf(hapi) === name);
}

/** Whether it is known that a hosted API server's own Service is served in L4; not known counts as L7. */
function isServedInL4(name: string, all: readonly HostedAPIServer[]): boolean {
  const itsOwn = all.filter((hapi) => serviceOf(hapi) === name);
  // A known name that no HostedAPIServer claims: any of the namespace may be meant.
  const candidates = itsOwn.length > 0 ? itsOwn : all;
  return candidates.length > 0 && candidates.every(({ status }) => status?.loadBalancing === "L4");
}

function isSelected(service: Service, all: readonly HostedAPIServer[]): boolean {
  const { name, labels } = service.metadata;
  if (labels?.[LABEL_TOPOLOGY_AWARE] === "true") return true;
  return all.some((hapi) => servicesOf(hapi, all).includes(name));
}

/**
 * Decides whether a Service is to be topology-aware, and with which value. Labels come first, then what the Service is
 * for, then what the cluster can.
 * @returns unknown: nothing may be changed before more is known.
 */
export function wishFor(service: Service, topology: Topology): Wish {
  const { name, labels } = service.metadata;
  const { minor, zones, hostedAPIServers } = topology;
  if (labels?.[LABEL_TOPOLOGY_AWARE] === "false") return { kind: "off", reason: "OptedOut" };
  if (!isSelected(service, hostedAPIServers)) return { kind: "off", reason: "NotSelected" };
  // The field is valid there, but such a Service has no endpoints to choose from.
  if (service.spec?.type === "ExternalName") return { kind: "off", reason: "ExternalName" };
  if (isAPIServerService(name, hostedAPIServers) && !isServedInL4(name, hostedAPIServers)) {
    return { kind: "off", reason: "L7Active" };
  }
  if (minor === undefined) return { kind: "unknown", reason: "VersionUnknown" };
  const distribution = trafficDistributionFor(minor);
  if (distribution.kind === "none") return { kind: "off", reason: distribution.reason };
  if (zones === undefined) return { kind: "unknown", reason: "ZonesUnknown" };
  if (zones < 2) return { kind: "off", reason: "SingleZone" };
  return { kind: "on", value: distribution.value };
}
