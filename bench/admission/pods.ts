import type { AnyObject } from "../../test/harness/api";

// A Pod as a control plane has them: Gardener's kube-controller-manager, with what its webhooks leave of it. Its size
// matters, since each side of the wire encodes and decodes it.

const component = "kube-controller-manager";

const secretVolumes = {
  ca: "ca-client",
  "ca-front-proxy": "ca-front-proxy",
  "service-account-key": "service-account-key-bundle",
  server: "kube-controller-manager-server",
} as const;

const flags = [
  "--authentication-kubeconfig=/var/run/secrets/gardener.cloud/shoot/generic-kubeconfig/kubeconfig",
  "--authorization-kubeconfig=/var/run/secrets/gardener.cloud/shoot/generic-kubeconfig/kubeconfig",
  "--kubeconfig=/var/run/secrets/gardener.cloud/shoot/generic-kubeconfig/kubeconfig",
  "--allocate-node-cidrs=true",
  "--attach-detach-reconcile-sync-period=1m0s",
  "--cluster-cidr=100.96.0.0/11",
  "--cluster-name=shoot--bench--one",
  "--cluster-signing-duration=720h",
  "--concurrent-deployment-syncs=50",
  "--concurrent-endpoint-syncs=15",
  "--concurrent-gc-syncs=30",
  "--concurrent-namespace-syncs=50",
  "--concurrent-replicaset-syncs=50",
  "--controllers=*,bootstrapsigner,tokencleaner",
  "--horizontal-pod-autoscaler-sync-period=30s",
  "--leader-elect=true",
  "--node-monitor-grace-period=40s",
  "--profiling=false",
  "--root-ca-file=/srv/kubernetes/ca/bundle.crt",
  "--secure-port=10257",
  "--service-account-private-key-file=/srv/kubernetes/service-account-key/id_rsa",
  "--service-cluster-ip-range=100.64.0.0/13",
  "--tls-cert-file=/var/lib/kube-controller-manager-server/tls.crt",
  "--tls-private-key-file=/var/lib/kube-controller-manager-server/tls.key",
  "--use-service-account-credentials=true",
  "--v=2",
];

const probe = {
  httpGet: { path: "/healthz", port: 10257, scheme: "HTTPS" },
  initialDelaySeconds: 15,
  periodSeconds: 10,
  timeoutSeconds: 15,
  failureThreshold: 2,
  successThreshold: 1,
};

const container = {
  name: component,
  image: "registry.k8s.io/kube-controller-manager:v1.34.2",
  command: ["/usr/local/bin/kube-controller-manager", ...flags],
  livenessProbe: probe,
  ports: [{ name: "metrics", containerPort: 10257, protocol: "TCP" }],
  resources: { requests: { cpu: "5m", memory: "30Mi" }, limits: { memory: "2Gi" } },
  securityContext: { allowPrivilegeEscalation: false },
  volumeMounts: [
    ...Object.keys(secretVolumes).map((name) => ({
      name,
      mountPath: `/srv/kubernetes/${name}`,
      readOnly: true,
    })),
    {
      name: "kubeconfig",
      mountPath: "/var/run/secrets/gardener.cloud/shoot/generic-kubeconfig",
      readOnly: true,
    },
  ],
};

const labels = {
  app: "kubernetes",
  role: "controller-manager",
  "gardener.cloud/role": "controlplane",
  "networking.gardener.cloud/to-dns": "allowed",
  "networking.gardener.cloud/to-public-networks": "allowed",
  "networking.resources.gardener.cloud/to-kube-apiserver-tcp-443": "allowed",
  "node.gardener.cloud/critical-component": "true",
  "pod-template-hash": "7b6c9f8d5d",
};

const annotations = Object.fromEntries(
  Object.values(secretVolumes).map((name, index) => [
    `reference.resources.gardener.cloud/secret-${index}`,
    name,
  ]),
);

function podWith(namespace: string, kubeconfigSecret: string): AnyObject {
  const mode = { defaultMode: 420 };
  const volumes = [
    ...Object.entries(secretVolumes).map(([name, secretName]) => ({
      name,
      secret: { secretName, ...mode },
    })),
    {
      name: "kubeconfig",
      projected: {
        ...mode,
        sources: [
          {
            secret: {
              name: kubeconfigSecret,
              items: [{ key: "kubeconfig", path: "kubeconfig" }],
            },
          },
          {
            secret: {
              name: "shoot-access-kube-controller-manager",
              items: [{ key: "token", path: "token" }],
            },
          },
        ],
      },
    },
  ];
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace, generateName: `${component}-7b6c9f8d5d-`, labels, annotations },
    spec: {
      automountServiceAccountToken: false,
      containers: [container],
      securityContext: { runAsNonRoot: true, runAsUser: 65532, fsGroup: 65532 },
      terminationGracePeriodSeconds: 30,
      tolerations: [
        { key: "node.kubernetes.io/not-ready", operator: "Exists", effect: "NoExecute" },
      ],
      volumes,
    },
  };
}

/** The Pods that are created: one that fairlead routes, and one of the same size that is none of its business. */
export type PodKind = "routed" | "other";

/** The Pod of a kind, to be created in a namespace. */
export function podOf(kind: PodKind, namespace: string): AnyObject {
  return podWith(
    namespace,
    kind === "routed" ? "generic-token-kubeconfig-1f3ae9b2" : "kubeconfig-of-its-own-0-1f3ae9b2",
  );
}
