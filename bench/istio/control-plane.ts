import type { KeyPair } from "../../test/cluster";

/** A hosted control plane as a gateway sees it: a name, certificates, and a Service that three API servers stand behind. */
export interface ControlPlane {
  readonly namespace: string;
  readonly host: string;
  /** An address of each API server. Nobody listens there: what is measured ends at the gateway. */
  readonly addresses: readonly string[];
  readonly keys: ControlPlaneKeys;
}

/** What the gateway's Secrets are made of. */
export interface ControlPlaneKeys {
  readonly server: KeyPair;
  readonly proxyClient: KeyPair;
  readonly clientCA: string;
  readonly serverCA: string;
}

/** How a gateway is programmed for control planes, as objects to be applied, in their order. */
export interface Way {
  /** As figures and charts call it. */
  readonly name: string;
  /** What there is once, whatever the number of control planes. */
  readonly shared: readonly object[];
  /** What a control plane has in its Namespace, whether a gateway serves it or not: Services with their endpoints. */
  readonly servicesOf: (plane: ControlPlane) => readonly object[];
  /** What makes the gateway serve it. */
  readonly exposureOf: (plane: ControlPlane) => readonly object[];
}

export const GATEWAY_NAMESPACE = "istio-ingress";
export const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };
/** Of the gateway's Pods. */
export const GATEWAY_PORT = 9443;

/** The gateway's Service. */
export function gatewayService(name: string): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: GATEWAY_NAMESPACE },
    spec: {
      selector: GATEWAY_LABELS,
      ports: [{ name: "tls", port: 443, targetPort: GATEWAY_PORT }],
    },
  };
}

/** The Namespace of a control plane. */
export function namespaceOf({ namespace }: ControlPlane): object {
  return { apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } };
}

/** A Service of the API servers with their endpoints, which nobody else keeps. */
export function serviceOf(
  { namespace, addresses }: ControlPlane,
  name: string,
  annotations: Readonly<Record<string, string>> = {},
): readonly object[] {
  return [
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name, namespace, annotations },
      spec: { ports: [{ name: "kube-apiserver", port: 443, targetPort: 443 }] },
    },
    {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      metadata: { name, namespace, labels: { "kubernetes.io/service-name": name } },
      addressType: "IPv4",
      ports: [{ name: "kube-apiserver", port: 443, protocol: "TCP" }],
      endpoints: addresses.map((address) => ({
        addresses: [address],
        conditions: { ready: true },
      })),
    },
  ];
}

/** A Secret of the gateway. */
export function secretOf(name: string, pair: KeyPair, cacert: string): object {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: GATEWAY_NAMESPACE },
    stringData: { cert: pair.certificatePem, key: pair.privateKeyPem, cacert },
  };
}
