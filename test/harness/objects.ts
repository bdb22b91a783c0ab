import type { AnyObject } from "./api";

/** Objects as tests need them: as small as an API server accepts them. */

type Fields = Readonly<Record<string, unknown>>;
type Labels = Readonly<Record<string, string>>;

interface Options {
  readonly labels?: Labels;
  readonly annotations?: Labels;
}

const gatewayLabels = { app: "istio-ingressgateway", istio: "ingressgateway" };

function core(kind: string, metadata: AnyObject["metadata"], fields: Fields): AnyObject {
  return { apiVersion: "v1", kind, metadata, ...fields };
}

function fairlead(kind: string, metadata: AnyObject["metadata"], spec: Fields): AnyObject {
  return { apiVersion: "fairlead.dev/v1alpha1", kind, metadata, spec };
}

/** A Namespace. */
export function namespace(name: string, options: Options = {}): AnyObject {
  return core("Namespace", { name, ...options }, {});
}

/** A Node in a zone. */
export function node(name: string, zone: string): AnyObject {
  return core("Node", { name, labels: { "topology.kubernetes.io/zone": zone } }, {});
}

/** A ConfigMap. */
export function configMap(namespace: string, name: string, data: Labels): AnyObject {
  return core("ConfigMap", { name, namespace }, { data });
}

/** The ConfigMap that routes the Pods of a namespace. */
export function routeConfigMap(namespace: string, data: Labels): AnyObject {
  return configMap(namespace, "istio-internal-load-balancing", data);
}

/** An Opaque Secret; values are given as text. */
export function secret(namespace: string, name: string, values: Labels): AnyObject {
  return core("Secret", { name, namespace }, { type: "Opaque", data: encode(values) });
}

/** Secret data of texts. */
export function encode(values: Labels): Record<string, string> {
  return Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value).toString("base64")]),
  );
}

/** The texts of a Secret's data. */
export function decode(object: AnyObject | undefined): Record<string, string> {
  return Object.fromEntries(
    Object.entries(object?.data ?? {}).map(([key, value]) => [
      key,
      Buffer.from(value, "base64").toString("utf8"),
    ]),
  );
}

/** A Service of one port. */
export function service(namespace: string, name: string, spec: Fields = {}): AnyObject {
  return core("Service", { name, namespace }, { spec: { ports: [{ port: 443 }], ...spec } });
}

/** A Pod that mounts a generic kubeconfig, as the components of a control plane do. */
export function routedPod(namespace: string, name: string): AnyObject {
  return pod(namespace, name, {
    volumes: [{ name: "kubeconfig", secret: { secretName: "generic-token-kubeconfig-1234" } }],
  });
}

/** A Pod of one container. */
export function pod(namespace: string, name: string, spec: Fields = {}): AnyObject {
  const containers = [{ name: "main", image: "registry.example.com/main:1" }];
  return core("Pod", { name, namespace }, { spec: { containers, ...spec } });
}

/** A Pod of the gateway that `internalGateway` selects, on the first of the stage's nodes. */
export function gatewayPod(namespace: string, name: string): AnyObject {
  const created = pod(namespace, name, { nodeName: "node-1" });
  return { ...created, metadata: { ...created.metadata, labels: gatewayLabels } };
}

/** An InternalGateway in a gateway namespace. */
export function internalGateway(namespace: string, spec: Fields = {}): AnyObject {
  return fairlead(
    "InternalGateway",
    { name: "default", namespace },
    { selector: gatewayLabels, allowedNamespaces: { from: "All" }, ...spec },
  );
}

/** A HostedAPIServer. */
export function hostedAPIServer(namespace: string, name: string, spec: Fields = {}): AnyObject {
  return fairlead(
    "HostedAPIServer",
    { name, namespace },
    { kubernetesVersion: "1.34.2", hosts: [`api.${namespace}.example.com`], ...spec },
  );
}

/** The ready endpoints that a controller would make of a Service and its Pods. */
export function endpointSlice(
  namespace: string,
  service: string,
  options: { readonly addresses: readonly string[]; readonly port: number; readonly name?: string },
): AnyObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: options.name ?? `${service}-by-hand`,
      namespace,
      labels: { "kubernetes.io/service-name": service },
    },
    addressType: "IPv4",
    endpoints: [{ addresses: options.addresses, conditions: { ready: true } }],
    ports: [{ name: "https", port: options.port, protocol: "TCP" }],
  };
}
