import { equals } from "ramda";
import type { InternalGateway, KubernetesObject } from "../../../lib/api";
import { INTERNAL_SERVICE, INTERNAL_TARGET_PORT } from "../../../lib/domain/names";
import { isOwnObject } from "../objects";
import { marks, tunnelPortsOf } from "../resources";

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

/** What an internal Service is patched with where it differs. */
export interface ServicePatch {
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: Required<Omit<GatewayService["spec"], "clusterIPs">>;
}

/**
 * istiod does not translate the port numbers of Gateways by a Service with this label. Without it, a foreign Gateway's
 * 443 would move to fairlead's target port wherever the internal Service is the oldest one that has 443.
 * @see https://github.com/istio/istio/blob/master/pilot/pkg/model/gateway.go DisableGatewayPortTranslationLabel
 */
export const LABEL_NO_PORT_TRANSLATION = "experimental.istio.io/disable-gateway-port-translation";

/** The ports of an InternalGateway, with the schema's defaults. */
export function portsOf({ spec }: InternalGateway): { service: number; target: number } {
  return { service: spec.port?.service ?? 443, target: spec.port?.target ?? INTERNAL_TARGET_PORT };
}

/** The name of the internal Service of an InternalGateway, with the schema's default. */
export function serviceNameOf({ spec }: InternalGateway): string {
  return spec.serviceName ?? INTERNAL_SERVICE;
}

function desiredPatch(gateway: InternalGateway): ServicePatch {
  const { service, target } = portsOf(gateway);
  const tunnel = tunnelPortsOf(gateway);
  const ports = [
    { name: "tls", port: service, protocol: "TCP", targetPort: target },
    ...(tunnel === undefined
      ? []
      : [{ name: "tunnel", port: tunnel.port, protocol: "TCP", targetPort: tunnel.port }]),
  ];
  return {
    labels: { ...marks(gateway.metadata), [LABEL_NO_PORT_TRANSLATION]: "true" },
    spec: {
      type: "ClusterIP",
      selector: gateway.spec.selector,
      ports,
      ipFamilyPolicy: gateway.spec.ipFamilyPolicy ?? "PreferDualStack",
    },
  };
}

/** The internal ClusterIP Service of an InternalGateway, which owns it. */
export function internalServiceOf(gateway: InternalGateway): GatewayService {
  const { name, namespace = "", uid = "" } = gateway.metadata;
  const { labels, spec } = desiredPatch(gateway);
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: {
      name: serviceNameOf(gateway),
      namespace,
      labels,
      ownerReferences: [{ apiVersion: gateway.apiVersion, kind: gateway.kind, name, uid }],
    },
    spec,
  };
}

/** Whether a Service is the one that fairlead made for this InternalGateway. */
export function isOwnService(gateway: InternalGateway, service: KubernetesObject): boolean {
  return isOwnObject(service, internalServiceOf(gateway));
}

/** What is compared of a Service; the API server adds the rest. */
function pickSpec({ spec }: GatewayService): ServicePatch["spec"] {
  return {
    type: spec.type ?? "ClusterIP",
    selector: spec.selector ?? {},
    ports: (spec.ports ?? []).map(({ name = "", port, protocol = "TCP", targetPort = port }) => ({
      name,
      port,
      protocol,
      targetPort,
    })),
    ipFamilyPolicy: spec.ipFamilyPolicy ?? "",
  };
}

/** What an own internal Service is to be patched with; undefined where it is in line. */
export function servicePatchOf(
  gateway: InternalGateway,
  service: GatewayService,
): ServicePatch | undefined {
  const desired = desiredPatch(gateway);
  const labels = { ...service.metadata.labels, ...desired.labels };
  const inLine = equals(labels, service.metadata.labels) && equals(pickSpec(service), desired.spec);
  return inLine ? undefined : { ...desired, labels };
}
