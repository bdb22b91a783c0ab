import {
  destinationRuleOf,
  envoyFilterOf,
  gatewayOf,
  virtualServiceOf,
  type Credentials,
  type Exposure,
} from "../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway } from "../../lib/api";
import {
  GATEWAY_LABELS,
  GATEWAY_NAMESPACE,
  gatewayService,
  secretOf,
  serviceOf,
  type ControlPlane,
  type Way,
} from "./control-plane";

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: GATEWAY_NAMESPACE, uid: "bench" },
  spec: { selector: GATEWAY_LABELS, allowedNamespaces: { from: "All" } },
};

function serverOf({ namespace, host }: ControlPlane): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { name: "main", namespace },
    spec: {
      kubernetesVersion: "1.34.4",
      hosts: [host],
      certificates: {
        server: { secretName: "kube-apiserver" },
        serverCA: { secretName: "ca" },
        clientCA: { secretName: "ca-client" },
        proxyClient: { issuer: { secretName: "ca-front-proxy" } },
      },
    },
  };
}

// The garbage collector would take objects whose owner is not there.
function withoutOwner<T extends { readonly metadata: object }>(object: T): T {
  return { ...object, metadata: { ...object.metadata, ownerReferences: [] } };
}

function objectsOf(plane: ControlPlane, routeSecret: string): readonly object[] {
  const { namespace, keys } = plane;
  // Named as `credentials` does, with a hash of the content.
  const credentials: Credentials = {
    server: `${namespace}-main-tls-0123456789`,
    upstream: `${namespace}-main-istio-mtls-0123456789`,
    clientCertificates: true,
  };
  const exposure: Exposure = {
    server: serverOf(plane),
    gateway,
    namespaceUid: "bench",
    mode: { kind: "L7", credentials },
    trusted: true,
    routeSecret,
    clusterDomain: "cluster.local",
  };
  return [
    secretOf(credentials.server, keys.server, keys.clientCA),
    secretOf(credentials.upstream, keys.proxyClient, keys.serverCA),
    withoutOwner(destinationRuleOf(exposure)),
    withoutOwner(virtualServiceOf(exposure)),
    withoutOwner(gatewayOf(exposure)),
  ];
}

/**
 * fairlead's: one EnvoyFilter for all control planes, three ways to one Service, everything in the gateway's namespace.
 * The objects are those of the product's own functions.
 */
export function fairleadWay(routeSecret: string): Way {
  return {
    name: "fairlead, one shared EnvoyFilter",
    shared: [
      gatewayService("istio-ingressgateway-internal"),
      withoutOwner(envoyFilterOf(gateway, routeSecret)),
    ],
    servicesOf: (plane) => serviceOf(plane, "kube-apiserver"),
    exposureOf: (plane) => objectsOf(plane, routeSecret),
  };
}
