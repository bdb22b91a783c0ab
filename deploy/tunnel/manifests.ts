import { createHash } from "node:crypto";
import { stringify } from "yaml";
import type { KubernetesObject } from "../../lib/api";
import { nodeProxyConfiguration, type NodeProxy } from "./envoy";

/** What is applied in a hosted cluster. */
export interface NodeProxyInstallation extends NodeProxy {
  readonly namespace: string;
  readonly images: {
    /** Upstream Envoy. */
    readonly envoy: string;
    /** Anything with a shell and `ip`. */
    readonly address: string;
  };
}

/** Images that are used unless others are named. */
export const NODE_PROXY_IMAGES = {
  envoy: "docker.io/envoyproxy/envoy:distroless-v1.40.0",
  address: "docker.io/library/busybox:1.37",
} as const;

const NAME = "fairlead-tunnel";
const LABELS = { "app.kubernetes.io/name": NAME } as const;
const FILE = "envoy.json";
const FOLDER = "/etc/envoy";
/** Below it only root may listen. */
const FIRST_UNPRIVILEGED_PORT = 1024;
const NOBODY = 65_532;

type Json = Readonly<Record<string, unknown>>;

function objectOf(kind: string, name: string, rest: Json): KubernetesObject {
  return { kind, metadata: { name, labels: LABELS }, ...rest } as unknown as KubernetesObject;
}

/** Adds the addresses to the node's loopback interface, where none of them leads anywhere else. */
function addressScript(addresses: readonly string[]): string {
  return addresses
    .map((address) => {
      const length = address.includes(":") ? 128 : 32;
      return `ip addr show dev lo | grep -qF '${address}/${length}' || ip addr add ${address}/${length} dev lo`;
    })
    .join(" && ");
}

function addressContainer({ listen, images }: NodeProxyInstallation): Json {
  return {
    name: "address",
    image: images.address,
    command: ["sh", "-c", addressScript(listen.addresses)],
    resources: { requests: { cpu: "5m", memory: "8Mi" } },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      runAsUser: 0,
      capabilities: { drop: ["ALL"], add: ["NET_ADMIN"] },
    },
  };
}

function proxyContainer({ listen, images, statusPort }: NodeProxyInstallation): Json {
  const isPrivileged = listen.port < FIRST_UNPRIVILEGED_PORT;
  const probe = { httpGet: { host: "127.0.0.1", path: "/ready", port: statusPort } };
  return {
    name: "envoy",
    image: images.envoy,
    args: ["--config-path", `${FOLDER}/${FILE}`, "--concurrency", "2", "--use-dynamic-base-id"],
    resources: { requests: { cpu: "10m", memory: "40Mi" } },
    readinessProbe: { ...probe, periodSeconds: 2 },
    livenessProbe: { ...probe, periodSeconds: 10, initialDelaySeconds: 10 },
    securityContext: {
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      ...(isPrivileged ? { runAsUser: 0 } : { runAsUser: NOBODY, runAsNonRoot: true }),
      capabilities: { drop: ["ALL"], ...(isPrivileged ? { add: ["NET_BIND_SERVICE"] } : {}) },
    },
    volumeMounts: [
      { name: "configuration", mountPath: FOLDER, readOnly: true },
      { name: "run", mountPath: "/run/envoy" },
    ],
  };
}

function podSpecOf(installation: NodeProxyInstallation, configMap: string): Json {
  return {
    serviceAccountName: NAME,
    automountServiceAccountToken: false,
    // The API server's address is the node's own, and names are looked up before cluster DNS is there.
    hostNetwork: true,
    dnsPolicy: "Default",
    priorityClassName: "system-node-critical",
    nodeSelector: { "kubernetes.io/os": "linux" },
    tolerations: [{ operator: "Exists" }],
    securityContext: { seccompProfile: { type: "RuntimeDefault" }, fsGroup: NOBODY },
    initContainers: [addressContainer(installation)],
    containers: [proxyContainer(installation)],
    volumes: [
      { name: "configuration", configMap: { name: configMap } },
      { name: "run", emptyDir: { medium: "Memory" } },
    ],
  };
}

/**
 * The objects that lead a hosted cluster's in-cluster API server address to the gateway, on every node: a configuration
 * whose name is of its content, so that another one rolls the Pods; a ServiceAccount without a token; and the proxies,
 * of which a new one listens beside the old one before that ends.
 */
export function nodeProxyObjects(installation: NodeProxyInstallation): readonly KubernetesObject[] {
  const text = `${JSON.stringify(nodeProxyConfiguration(installation), null, 2)}\n`;
  const hash = createHash("sha256").update(text).digest("hex").slice(0, 10);
  const configMap = `${NAME}-${hash}`;
  const { namespace } = installation;
  const within = (object: KubernetesObject): KubernetesObject => ({
    ...object,
    metadata: { ...object.metadata, namespace },
  });
  return [
    objectOf("ServiceAccount", NAME, { apiVersion: "v1", automountServiceAccountToken: false }),
    objectOf("ConfigMap", configMap, {
      apiVersion: "v1",
      immutable: true,
      data: { [FILE]: text },
    }),
    objectOf("DaemonSet", NAME, {
      apiVersion: "apps/v1",
      spec: {
        selector: { matchLabels: LABELS },
        updateStrategy: {
          type: "RollingUpdate",
          // Both listen for a moment: the kernel shares connections out.
          rollingUpdate: { maxSurge: 1, maxUnavailable: 0 },
        },
        template: { metadata: { labels: LABELS }, spec: podSpecOf(installation, configMap) },
      },
    }),
  ].map(within);
}

/** The objects as one YAML text. */
export function nodeProxyManifest(installation: NodeProxyInstallation): string {
  return nodeProxyObjects(installation)
    .map((object) => `---\n${stringify(object, { lineWidth: 0 })}`)
    .join("");
}
