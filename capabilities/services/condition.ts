import type { HostedAPIServer } from "../../lib/api";
import type { DecidedCondition } from "../../lib/domain/conditions";
import { serviceOf, servicesOf } from "../../lib/domain/control-plane-services";
import { formatMinor } from "../../lib/domain/kubernetes-version";
import { ANNOTATION_CONTESTED } from "../../lib/domain/names";
import { decideTrafficDistribution, type KeepReason } from "./decide";
import {
  trafficDistributionFor,
  wishFor,
  type Service,
  type Topology,
} from "../../lib/domain/traffic-distribution";

/** The type of the condition. */
export const TOPOLOGY_AWARE = "TopologyAware";

/** What the condition depends on besides the HostedAPIServer. */
export interface ConditionTopology extends Topology {
  /** All Services of its namespace. */
  readonly services: readonly Service[];
}

type Reason =
  | "Enabled"
  | "Disabled"
  | "L7Active"
  | "SingleZone"
  | "UnsupportedVersion"
  | "Contested";

const sentences: Partial<Record<KeepReason, string>> = {
  ForeignValue: "keeps a value that is not fairlead's",
  TopologyMode: "has annotation service.kubernetes.io/topology-mode, which would override it",
  OptedOut: 'is labelled fairlead.dev/topology-aware: "false"',
  ExternalName: "is an ExternalName",
};

function condition(reason: Reason, message: string): DecidedCondition {
  const status = reason === "Enabled" ? "True" : "False";
  return { type: TOPOLOGY_AWARE, status, reason, message };
}

/** The Services of a HostedAPIServer that exist, by name. */
function itsServices(hapi: HostedAPIServer, topology: ConditionTopology): readonly Service[] {
  const names = servicesOf(hapi, topology.hostedAPIServers);
  return topology.services
    .filter(({ metadata }) => names.includes(metadata.name))
    .sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
}

const namesOf = (services: readonly Service[]): string =>
  services.map(({ metadata }) => metadata.name).join(", ");

const isNamed =
  (name: string) =>
  ({ metadata }: Service): boolean =>
    metadata.name === name;

/** For a Service that does not exist yet: what would be decided about it. */
const standIn = (name: string): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name },
});

function describeAware(services: readonly Service[], topology: ConditionTopology): string {
  const exceptions = services.flatMap((service) => {
    const decision = decideTrafficDistribution(service, topology);
    const sentence = decision.kind === "keep" ? sentences[decision.reason] : undefined;
    return sentence === undefined ? [] : [{ service, sentence }];
  });
  const aware = services.filter(
    (service) =>
      wishFor(service, topology).kind === "on" &&
      exceptions.every((exception) => exception.service !== service),
  );
  const head =
    aware.length === 0
      ? "No Service is topology-aware yet."
      : `Traffic to ${namesOf(aware)} prefers the client's zone.`;
  const tail = exceptions.map(
    ({ service, sentence }) => `Service ${service.metadata.name} ${sentence}.`,
  );
  return [head, ...tail].join(" ");
}

function describeL7(own: string): string {
  return `Service ${own} is left to all zones unless it is served in L4, since a gateway that balances requests (L7) would send them to the replicas of one zone.`;
}

/**
 * Decides the condition `TopologyAware` of a HostedAPIServer, or why its Services are not topology-aware.
 * @returns undefined while the version or the zones are not known: then the condition stays as it is.
 */
export function topologyAwareCondition(
  hapi: HostedAPIServer,
  topology: ConditionTopology,
): DecidedCondition | undefined {
  if (hapi.spec.topologyAware?.enabled !== true) {
    return condition("Disabled", "Set topologyAware.enabled for a control plane that spans zones.");
  }
  const { minor, zones } = topology;
  if (minor === undefined || zones === undefined) return undefined;
  if (trafficDistributionFor(minor).kind === "none") {
    return condition(
      "UnsupportedVersion",
      `The management cluster is at Kubernetes ${formatMinor(minor)}; trafficDistribution works from 1.31 on.`,
    );
  }
  if (zones < 2) {
    return condition(
      "SingleZone",
      `The nodes of the management cluster span ${zones === 0 ? "no zone" : "one zone"} (label topology.kubernetes.io/zone).`,
    );
  }
  const services = itsServices(hapi, topology);
  const contested = services.filter(
    ({ metadata }) => metadata.annotations?.[ANNOTATION_CONTESTED] !== undefined,
  );
  if (contested.length > 0) {
    return condition(
      "Contested",
      `Another manager keeps setting trafficDistribution of ${namesOf(contested)} back: settle who sets it, then remove annotation fairlead.dev/contested.`,
    );
  }
  const own = serviceOf(hapi);
  const wish = wishFor(services.find(isNamed(own)) ?? standIn(own), topology);
  if (wish.kind === "off" && wish.reason === "L7Active") {
    const others = services.filter((service) => !isNamed(own)(service));
    return condition("L7Active", `${describeL7(own)} ${describeAware(others, topology)}`);
  }
  return condition("Enabled", describeAware(services, topology));
}
