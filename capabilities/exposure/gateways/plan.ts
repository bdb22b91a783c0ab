import { equals } from "ramda";
import type {
  InternalGateway,
  InternalGatewayStatus,
  KubernetesObject,
  ObjectMeta,
} from "../../../lib/api";
import { stampCondition, type DecidedCondition } from "../../../lib/domain/conditions";
import {
  FINALIZER_EXPOSURE,
  INTERNAL_SERVICE,
  INTERNAL_TARGET_PORT,
  LABEL_MANAGED_BY,
  LABEL_NAME,
  LABEL_NAMESPACE,
  MANAGED_BY,
} from "../../../lib/domain/names";

/** A port of a Service; `targetPort` is a number or a name. */
export interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly protocol?: string;
}

/** What is looked at of a Service. */
export interface GatewayService extends KubernetesObject {
  readonly spec: {
    readonly type?: string;
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports?: readonly ServicePort[];
    readonly clusterIPs?: readonly string[];
    readonly ipFamilyPolicy?: string;
  };
}

/** What is looked at of an EndpointSlice. */
export interface EndpointSlice extends KubernetesObject {
  readonly addressType: string;
  readonly endpoints?: readonly { readonly conditions?: { readonly ready?: boolean } }[] | null;
}

/** What was observed around an InternalGateway. */
export interface ObservedGateway {
  readonly gateway: InternalGateway;
  /** All Services of its namespace. */
  readonly services: readonly GatewayService[];
  /** EndpointSlices of its internal Service. */
  readonly endpointSlices: readonly EndpointSlice[];
  /** Metadata of all Pods, of any namespace, that its selector matches. */
  readonly pods: readonly KubernetesObject[];
  /** How many HostedAPIServers are attached. */
  readonly attached: number;
  /** The gateway's own namespace is being deleted: nothing is created and nothing waited for. */
  readonly terminating: boolean;
  readonly nowMs: number;
}

/** A write that brings an InternalGateway's objects in line. */
export type GatewayAction =
  | { readonly kind: "add-finalizer" }
  | { readonly kind: "create-service"; readonly service: GatewayService }
  | {
      readonly kind: "update-service";
      readonly service: GatewayService;
      readonly spec: Pick<GatewayService["spec"], "selector" | "ports" | "ipFamilyPolicy">;
    }
  | { readonly kind: "delete-service"; readonly service: GatewayService }
  | { readonly kind: "remove-finalizer" };

/** What to do for an InternalGateway, in this order, and the status to show. */
export interface GatewayPlan {
  readonly actions: readonly GatewayAction[];
  /** Undefined: the object is going, its status is no longer written. */
  readonly status: InternalGatewayStatus | undefined;
}

/** The ports of an InternalGateway, with the schema's defaults. */
export function portsOf(gateway: InternalGateway): { service: number; target: number } {
  return {
    service: gateway.spec.port?.service ?? 443,
    target: gateway.spec.port?.target ?? INTERNAL_TARGET_PORT,
  };
}

/** The name of the internal Service of an InternalGateway, with the schema's default. */
export function serviceNameOf(gateway: InternalGateway): string {
  return gateway.spec.serviceName ?? INTERNAL_SERVICE;
}

function marksOf({ metadata }: InternalGateway): Record<string, string> {
  return {
    [LABEL_MANAGED_BY]: MANAGED_BY,
    [LABEL_NAMESPACE]: metadata.namespace ?? "",
    // A label holds 63 characters; the owner reference names the object in full.
    [LABEL_NAME]: metadata.name.slice(0, 63).replace(/[^A-Za-z0-9]+$/, ""),
  };
}

/** Whether a Service is the one that fairlead made for this InternalGateway. */
export function isOwn(gateway: InternalGateway, service: KubernetesObject): boolean {
  return (
    service.metadata.labels?.[LABEL_MANAGED_BY] === MANAGED_BY &&
    (service.metadata.ownerReferences ?? []).some(({ uid }) => uid === gateway.metadata.uid)
  );
}

function desiredSpec(gateway: InternalGateway) {
  const { service, target } = portsOf(gateway);
  return {
    selector: gateway.spec.selector,
    ports: [{ name: "tls", port: service, protocol: "TCP", targetPort: target }],
    ipFamilyPolicy: gateway.spec.ipFamilyPolicy ?? "PreferDualStack",
  };
}

function desiredService(gateway: InternalGateway): GatewayService {
  const { name, namespace = "", uid = "" } = gateway.metadata;
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: serviceNameOf(gateway),
      namespace,
      labels: marksOf(gateway),
      ownerReferences: [{ apiVersion: gateway.apiVersion, kind: gateway.kind, name, uid }],
    },
    spec: { type: "ClusterIP", ...desiredSpec(gateway) },
  };
}

const matches = (
  selector: Readonly<Record<string, string>>,
  labels: ObjectMeta["labels"],
): boolean => Object.entries(selector).every(([key, value]) => labels?.[key] === value);

/** Whether a Service's endpoints can be this gateway's Pods. */
function selectsGateway(service: GatewayService, observed: ObservedGateway): boolean {
  const selector = service.spec.selector ?? {};
  if (Object.keys(selector).length === 0) return false;
  return (
    matches(selector, observed.gateway.spec.selector) ||
    observed.pods.some((pod) => matches(selector, pod.metadata.labels))
  );
}

function decideAccepted(observed: ObservedGateway): DecidedCondition {
  const { gateway, services, pods } = observed;
  const { namespace } = gateway.metadata;
  const { target } = portsOf(gateway);
  const refuse = (message: string): DecidedCondition => ({
    type: "Accepted",
    status: "False",
    reason: "PortAmbiguous",
    message,
  });

  const foreign = pods.find((pod) => pod.metadata.namespace !== namespace);
  if (foreign !== undefined) {
    return refuse(
      `selector also matches Pod ${foreign.metadata.namespace ?? ""}/${foreign.metadata.name} in another namespace; narrow selector to the gateway's own Pods.`,
    );
  }
  // istiod takes a listener's port from the oldest Service on the Pods that has the Gateway's port number.
  // @see https://github.com/istio/istio/blob/master/pilot/pkg/model/gateway.go
  const other = services
    .filter((service) => service.metadata.name !== serviceNameOf(gateway))
    .filter((service) => selectsGateway(service, observed))
    .find((service) =>
      (service.spec.ports ?? []).some(
        ({ port, targetPort }) => port === target && (targetPort ?? port) !== target,
      ),
    );
  if (other !== undefined) {
    return refuse(
      `Service ${namespace ?? ""}/${other.metadata.name} maps port ${target} of the same Pods elsewhere, so that it is not clear where a listener on ${target} would be; choose another port.target or change that Service.`,
    );
  }
  return { type: "Accepted", status: "True", reason: "Accepted", message: "The gateway is valid." };
}

/** The Service of the internal Service's name, if it also is as asked. */
function findService(
  { gateway, services }: ObservedGateway,
  is: (gateway: InternalGateway, service: GatewayService) => boolean = () => true,
): GatewayService | undefined {
  return services.find(
    (service) => service.metadata.name === serviceNameOf(gateway) && is(gateway, service),
  );
}

const familyOf = (address: string): string => (address.includes(":") ? "IPv6" : "IPv4");

/** Cluster IPs of the families that have a ready endpoint: an alias must not lead to a dead address. */
function readyAddresses(service: GatewayService, slices: readonly EndpointSlice[]): string[] {
  const families = slices
    .filter(({ endpoints }) => endpoints?.some(({ conditions }) => conditions?.ready !== false))
    .map(({ addressType }) => addressType);
  return (service.spec.clusterIPs ?? []).filter(
    (address) => address !== "None" && families.includes(familyOf(address)),
  );
}

function decideProgrammed(
  observed: ObservedGateway,
  accepted: DecidedCondition,
  service: GatewayService | undefined,
): DecidedCondition {
  const { gateway } = observed;
  const name = `${gateway.metadata.namespace ?? ""}/${serviceNameOf(gateway)}`;
  const no = (reason: string, message: string): DecidedCondition => ({
    type: "Programmed",
    status: "False",
    reason,
    message,
  });
  if (service !== undefined && !isOwn(gateway, service)) {
    return no(
      "ForeignObject",
      `Service ${name} exists and is not fairlead's; delete it, or choose another serviceName in a new InternalGateway.`,
    );
  }
  if (accepted.status !== "True") return no("Invalid", "The gateway is not accepted.");
  if (service === undefined && observed.terminating) {
    return no("Terminating", `Namespace ${gateway.metadata.namespace ?? ""} is being deleted.`);
  }
  if (service === undefined) return no("Pending", `Service ${name} is being created.`);
  if (readyAddresses(service, observed.endpointSlices).length === 0) {
    return no(
      "AddressNotUsable",
      `Service ${name} has no ready endpoint; are the gateway's Pods running, and do they match selector?`,
    );
  }
  return {
    type: "Programmed",
    status: "True",
    reason: "Programmed",
    message: `Service ${name} leads to ready gateway Pods.`,
  };
}

function statusOf(
  observed: ObservedGateway,
  accepted: DecidedCondition,
  programmed: DecidedCondition,
): InternalGatewayStatus {
  const { gateway, attached, endpointSlices, nowMs } = observed;
  const context = {
    current: gateway.status?.conditions,
    generation: gateway.metadata.generation,
    nowMs,
  };
  const own = findService(observed, isOwn);
  return {
    addresses: own === undefined ? [] : readyAddresses(own, endpointSlices),
    attachedAPIServers: attached,
    conditions: [accepted, programmed].map((decided) => stampCondition(decided, context)),
  };
}

function planDeletion(observed: ObservedGateway, service: GatewayService | undefined): GatewayPlan {
  const { gateway, attached, terminating } = observed;
  const held = gateway.metadata.finalizers?.includes(FINALIZER_EXPOSURE) ?? false;
  if (!held) return { actions: [], status: undefined };
  if (attached > 0 && !terminating) {
    const accepted: DecidedCondition = {
      type: "Accepted",
      status: "False",
      reason: "Deleting",
      message: `Waits for ${attached} attached HostedAPIServers; delete them or change their gatewayRef.`,
    };
    const programmed = decideProgrammed(observed, decideAccepted(observed), service);
    return { actions: [], status: statusOf(observed, accepted, programmed) };
  }
  const own = service !== undefined && isOwn(gateway, service);
  return {
    actions: [
      ...(own ? [{ kind: "delete-service", service } as const] : []),
      { kind: "remove-finalizer" },
    ],
    status: undefined,
  };
}

/**
 * Plans what an InternalGateway leads to in its namespace: the internal ClusterIP Service and the status. A Service of
 * that name that is not fairlead's is left alone.
 * @param observed The state of the cluster; nothing of it is modified.
 */
export function planGateway(observed: ObservedGateway): GatewayPlan {
  const { gateway, terminating } = observed;
  const service = findService(observed);
  if (gateway.metadata.deletionTimestamp !== undefined) return planDeletion(observed, service);

  const accepted = decideAccepted(observed);
  const actions: GatewayAction[] = [];
  if (accepted.status === "True" && !terminating) {
    if (!(gateway.metadata.finalizers?.includes(FINALIZER_EXPOSURE) ?? false)) {
      actions.push({ kind: "add-finalizer" });
    }
    const wanted = desiredSpec(gateway);
    if (service === undefined) {
      actions.push({ kind: "create-service", service: desiredService(gateway) });
    } else if (isOwn(gateway, service) && !equals(pickWanted(service), wanted)) {
      actions.push({ kind: "update-service", service, spec: wanted });
    }
  }
  const programmed = decideProgrammed(observed, accepted, service);
  return { actions, status: statusOf(observed, accepted, programmed) };
}

function pickWanted({ spec }: GatewayService) {
  return {
    selector: spec.selector ?? {},
    ports: (spec.ports ?? []).map(({ name, port, protocol, targetPort }) => ({
      name,
      port,
      protocol,
      targetPort,
    })),
    ipFamilyPolicy: spec.ipFamilyPolicy,
  };
}
