import type { KubernetesObject } from "../../lib/api";

/** A Secret as it is on the wire: values in base64. */
export interface Secret extends KubernetesObject {
  readonly type?: string;
  readonly immutable?: boolean;
  readonly data?: Readonly<Record<string, string>>;
}

/** The part of a Service that the story is about. */
export interface Service extends KubernetesObject {
  readonly spec: {
    readonly clusterIPs?: readonly string[];
    readonly trafficDistribution?: string;
    readonly ports?: readonly { readonly port: number; readonly targetPort?: number | string }[];
  };
}

/** The part of a Pod that the story is about. */
export interface Pod extends KubernetesObject {
  readonly spec: {
    readonly nodeName?: string;
    readonly hostAliases?: readonly {
      readonly ip: string;
      readonly hostnames: readonly string[];
    }[];
    readonly volumes?: readonly {
      readonly name: string;
      readonly projected?: { readonly sources: readonly object[] };
    }[];
    readonly containers: readonly object[];
  };
}

/** The Secret of the kubeconfig that Pods of a control plane mount. */
export const GENERIC_KUBECONFIG = "generic-token-kubeconfig";

/** Names a core/v1 object of a namespace. */
export function coreRef(kind: string, namespace: string, name: string) {
  return { apiVersion: "v1", kind, namespace, name };
}

/** A Secret's manifest, of plain text. */
export function secretManifest(
  namespace: string,
  name: string,
  values: Readonly<Record<string, string>>,
): object {
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { namespace, name },
    type: "Opaque",
    stringData: values,
  };
}

/** A ConfigMap's manifest. */
export function configMapManifest(
  namespace: string,
  name: string,
  data: Readonly<Record<string, string>>,
): object {
  return { apiVersion: "v1", kind: "ConfigMap", metadata: { namespace, name }, data };
}

/** The manifest of a Service as a control plane has it. */
export function serviceManifest(namespace: string, name: string, port: number): object {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { namespace, name },
    spec: { selector: { app: name }, ports: [{ name: "tls", port, protocol: "TCP" }] },
  };
}

/** A manifest of a Pod that talks to the hosted API server with the generic kubeconfig, as a control plane's do. */
export function podManifest(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>> = {},
): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, name, labels: { app: name, ...labels } },
    spec: {
      containers: [
        {
          name,
          image: "kube-scheduler",
          volumeMounts: [{ name: "kubeconfig", mountPath: "/var/run/kubeconfig" }],
        },
      ],
      volumes: [
        {
          name: "kubeconfig",
          projected: { sources: [{ secret: { name: GENERIC_KUBECONFIG } }] },
        },
      ],
    },
  };
}
