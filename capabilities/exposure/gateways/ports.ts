import { ascend, sortWith } from "ramda";
import type { InternalGateway, KubernetesObject } from "../../../lib/api";
import type { DecidedCondition } from "../../../lib/domain/conditions";
import type { AnyGateway } from "../caches";
import { tunnelPortsOf } from "../resources";
import {
  isOwnService,
  LABEL_NO_PORT_TRANSLATION,
  portsOf,
  type GatewayService,
  type ServicePort,
} from "./internal-service";

interface Container {
  readonly ports?: readonly {
    readonly name?: string;
    readonly containerPort: number;
    readonly protocol?: string;
  }[];
}

/** What is looked at of a gateway's Pod: its labels and the ports that have names. */
export interface GatewayPod extends KubernetesObject {
  readonly spec?: {
    readonly containers?: readonly Container[];
    /** Only those that go on running: native sidecars. */
    readonly initContainers?: readonly (Container & { readonly restartPolicy?: string })[];
  };
}

/** What decides whether the target port is fairlead's alone. */
export interface ObservedPorts {
  readonly gateway: InternalGateway;
  /** The other InternalGateways of its namespace. */
  readonly neighbours: readonly InternalGateway[];
  /** All Services of its namespace. */
  readonly services: readonly GatewayService[];
  /** All Pods, of any namespace, that its selector matches. */
  readonly pods: readonly GatewayPod[];
  /** Istio's Gateways that are not fairlead's. */
  readonly foreignGateways: readonly AnyGateway[];
}

type Labels = Readonly<Record<string, string>>;

const matches = (selector: Labels, labels: Labels | undefined): boolean =>
  Object.entries(selector).every(([key, value]) => labels?.[key] === value);

/** A port of the Pods that is to be fairlead's alone, and the field of the spec that says it. */
interface Claim {
  readonly port: number;
  readonly field: string;
}

function claimsOf(gateway: InternalGateway): readonly Claim[] {
  const tunnel = tunnelPortsOf(gateway);
  return [
    { port: portsOf(gateway).target, field: "port.target" },
    ...(tunnel === undefined
      ? []
      : [
          { port: tunnel.port, field: "tunnel.port" },
          { port: tunnel.loopbackPort, field: "tunnel.loopbackPort" },
        ]),
  ];
}

const nameOf = ({ metadata }: KubernetesObject): string =>
  `${metadata.namespace ?? ""}/${metadata.name}`;

const refuse = (reason: string, message: string): DecidedCondition => ({
  type: "Accepted",
  status: "False",
  reason,
  message,
});

// As istiod orders Services: those of one second by their host names. InternalGateways are compared likewise.
const ageOf = ({ metadata }: KubernetesObject): string =>
  `${metadata.creationTimestamp ?? ""} ${metadata.name}.${metadata.namespace ?? ""}`;

const byAge = ascend(ageOf);
const byName = ascend(nameOf);

/** The Pods, or, as long as there are none, one that has the labels of the selector alone. */
function podsOf({ gateway, pods }: ObservedPorts): readonly GatewayPod[] {
  if (pods.length > 0) return pods;
  const { namespace = "" } = gateway.metadata;
  const metadata = { name: "", namespace, labels: gateway.spec.selector };
  return [{ apiVersion: "v1", kind: "Pod", metadata }];
}

/** Services that istiod translates the ports of Gateways by, on a Pod; the internal one never is among them. */
function translatingServices({ gateway, services }: ObservedPorts, pod: GatewayPod) {
  return services
    .filter(({ metadata }) => metadata.labels?.[LABEL_NO_PORT_TRANSLATION] === undefined)
    .filter((service) => !isOwnService(gateway, service))
    .filter(({ spec: { selector = {} } }) => Object.keys(selector).length > 0)
    .filter(({ spec: { selector = {} } }) => matches(selector, pod.metadata.labels));
}

/** @returns The port of the Pod's that a Service's port leads to; undefined for a name that the Pod does not have. */
function targetOf(
  { port, targetPort = port, protocol = "TCP" }: ServicePort,
  { spec }: GatewayPod,
): number | undefined {
  if (typeof targetPort === "number") return targetPort;
  const sidecars = (spec?.initContainers ?? []).filter(
    ({ restartPolicy }) => restartPolicy === "Always",
  );
  return [...(spec?.containers ?? []), ...sidecars]
    .flatMap(({ ports = [] }) => ports)
    .find((named) => named.name === targetPort && (named.protocol ?? "TCP") === protocol)
    ?.containerPort;
}

/** Where istiod puts a Gateway's port on a Pod, and by which Service; by none: as it is. */
interface Listener {
  readonly port: number;
  readonly service: GatewayService | undefined;
}

/**
 * The oldest Service on the Pod that has the number translates it.
 * @see https://github.com/istio/istio/blob/master/pilot/pkg/model/gateway.go resolvePorts
 */
function listenerOf(number: number, observed: ObservedPorts, pod: GatewayPod): Listener {
  for (const service of [...translatingServices(observed, pod)].sort(byAge)) {
    for (const port of service.spec.ports ?? []) {
      const target = port.port === number ? targetOf(port, pod) : undefined;
      if (target !== undefined) return { port: target, service };
    }
  }
  return { port: number, service: undefined };
}

function refuseOtherNamespaces({ gateway, pods }: ObservedPorts): DecidedCondition | undefined {
  const stray = pods.find(({ metadata }) => metadata.namespace !== gateway.metadata.namespace);
  if (stray === undefined) return undefined;
  return refuse(
    "PortAmbiguous",
    `selector also matches Pod ${nameOf(stray)} in another namespace; narrow selector to the gateway's own Pods.`,
  );
}

/** Whichever is the oldest now: a Service that is made again is the youngest, and listeners would move. */
function refuseTranslations(
  observed: ObservedPorts,
  { port: target, field }: Claim,
): DecidedCondition | undefined {
  const isElsewhere = (service: GatewayService, pod: GatewayPod): boolean =>
    (service.spec.ports ?? []).some(
      (port) => port.port === target && targetOf(port, pod) !== target,
    );
  const [other] = podsOf(observed)
    .flatMap((pod) =>
      translatingServices(observed, pod).filter((service) => isElsewhere(service, pod)),
    )
    .sort(byName);
  if (other === undefined) return undefined;
  return refuse(
    "PortAmbiguous",
    `Service ${nameOf(other)} maps port ${target} of the same Pods elsewhere, so that it is not clear where a listener on ${target} would be; choose another ${field} or change that Service.`,
  );
}

function refuseYounger(
  observed: ObservedPorts,
  { port: target, field }: Claim,
): DecidedCondition | undefined {
  const { gateway, neighbours, pods } = observed;
  const sharesPods = ({ spec: { selector } }: InternalGateway): boolean =>
    matches(selector, gateway.spec.selector) ||
    matches(gateway.spec.selector, selector) ||
    pods.some(({ metadata }) => matches(selector, metadata.labels));
  const [older] = neighbours
    .filter((other) => byAge(other, gateway) < 0)
    .filter((other) => claimsOf(other).some(({ port }) => port === target))
    .filter(sharesPods)
    .sort(byAge);
  if (older === undefined) return undefined;
  return refuse(
    "PortInUse",
    field === "port.target"
      ? `InternalGateway ${nameOf(older)} came first and has port ${target} of the same Pods; use that one, or make this one anew with another port.target or serviceName, or other Pods.`
      : `InternalGateway ${nameOf(older)} came first and has port ${target} of the same Pods; choose another ${field}.`,
  );
}

function refuseForeign(
  observed: ObservedPorts,
  { port: target, field }: Claim,
): DecidedCondition | undefined {
  // No selector means all Pods, and Istio's gateways take Gateways of all namespaces unless it is told otherwise.
  const found = podsOf(observed).flatMap((pod) =>
    observed.foreignGateways
      .filter(({ spec: { selector = {} } }) => matches(selector, pod.metadata.labels))
      .flatMap((foreign) =>
        (foreign.spec.servers ?? []).flatMap(({ port: { number } = {} }) => {
          if (number === undefined) return [];
          const listener = listenerOf(number, observed, pod);
          return listener.port === target ? [{ foreign, number, listener }] : [];
        }),
      ),
  );
  const [first] = sortWith(
    [ascend(({ foreign }) => nameOf(foreign)), ascend(({ number }) => number)],
    found,
  );
  if (first === undefined) return undefined;
  const { foreign, number, listener } = first;
  const where =
    listener.service === undefined
      ? `port ${number} of the same Pods`
      : `port ${number} of the same Pods, which Service ${nameOf(listener.service)} maps to ${listener.port}`;
  return refuse(
    "PortInUse",
    `Gateway ${nameOf(foreign)} serves ${where}, but the shared EnvoyFilter acts on every host of port ${target}; move that Gateway to another port, or ${
      field === "port.target"
        ? "make this InternalGateway anew with another port.target"
        : `choose another ${field}`
    }.`,
  );
}

/** Why a port is not fairlead's alone, as the condition Accepted; undefined where all of them are. */
export function refusePort(observed: ObservedPorts): DecidedCondition | undefined {
  return (
    refuseOtherNamespaces(observed) ??
    claimsOf(observed.gateway)
      .map(
        (claim) =>
          refuseTranslations(observed, claim) ??
          refuseYounger(observed, claim) ??
          refuseForeign(observed, claim),
      )
      .find((refusal) => refusal !== undefined)
  );
}
