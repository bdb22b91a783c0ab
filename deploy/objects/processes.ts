import { WEBHOOK_TLS_SECRET } from "../../lib/domain/webhook";
import {
  ADMISSION,
  API_PATH,
  clusterMeta,
  labelsOf,
  PORT,
  PORT_NAME,
  PROCESSES,
  SETTINGS_CONFIG_MAP,
  SYSTEM_NAMESPACE,
  systemMeta,
  type ProcessNames,
} from "../names";
import { checksum, joined, value, type Entry, type Template } from "../template";
import { LAUNCHER, MODULE_FOLDER, moduleVolume, type PackedModule } from "./module";

/** The image's own user, which the launcher needs no right of. */
const USER_ID = 65_532;
/** Read by the group: the key is nobody else's. */
const KEY_MODE = 0o440;

/**
 * Time for kube-proxies and API servers to hear that a Pod is going, before it is told so itself. The image has no
 * program to sleep with.
 */
const PRE_STOP_SECONDS = 5;
/** The above, the longest that a request may take (the webhook's timeout), and then some. */
const GRACE_SECONDS = 45;
/** A process waits for the API server and for the first certificate, which a kubelet brings within two minutes. */
const STARTUP = { periodSeconds: 2, failureThreshold: 150 };

function probe(path: "/healthz" | "/livez", timing: Template): Template {
  return { httpGet: { path, port: PORT_NAME, scheme: "HTTPS" }, ...timing };
}

/** Of both processes. glibc keeps what was freed apart for each thread; OpenSSL's threads are many. */
export const PROCESS_ENVIRONMENT = { MALLOC_ARENA_MAX: "2" } as const;

/** Empty: all. */
function namespaces(name: string, path: string): Template {
  return { name, value: joined(path, "rbac.restricted") };
}

function container(process: ProcessNames, module: PackedModule): Template {
  const { mode, container: name } = process;
  return {
    name,
    image: value("image.reference"),
    imagePullPolicy: value("image.pullPolicy"),
    // The image's entry point is node; Pepr and its packages are in this folder.
    workingDir: "/app",
    args: [`${MODULE_FOLDER}/${LAUNCHER}`, module.sha256],
    env: [
      { name: "PEPR_WATCH_MODE", value: String(mode === "watch") },
      { name: "PEPR_API_PATH", value: API_PATH },
      { name: "PEPR_PRETTY_LOG", value: "false" },
      { name: "LOG_LEVEL", value: value("logLevel") },
      { name: "FAIRLEAD_ADMISSION", value: value("admission.mode") },
      { name: "NODE_OPTIONS", value: value(`${mode}.nodeOptions`) },
      ...Object.entries(PROCESS_ENVIRONMENT).map(([variable, text]) => ({
        name: variable,
        value: text,
      })),
      namespaces("FAIRLEAD_GATEWAY_NAMESPACES", "rbac.gatewayNamespaces"),
      namespaces("FAIRLEAD_CONTROL_PLANE_NAMESPACES", "rbac.controlPlaneNamespaces"),
    ],
    envFrom: [{ configMapRef: { name: SETTINGS_CONFIG_MAP, optional: true } }],
    ports: [{ name: PORT_NAME, containerPort: PORT, protocol: "TCP" }],
    resources: value(`${mode}.resources`),
    startupProbe: probe("/healthz", { ...STARTUP, timeoutSeconds: 2 }),
    readinessProbe: probe("/healthz", { periodSeconds: 5, failureThreshold: 2, timeoutSeconds: 3 }),
    // Later than the readiness probe's: a replica that is merely slow is left alone first. It notices dead watches too.
    livenessProbe: probe("/livez", { periodSeconds: 10, failureThreshold: 4, timeoutSeconds: 5 }),
    lifecycle: { preStop: { sleep: { seconds: PRE_STOP_SECONDS } } },
    securityContext: {
      allowPrivilegeEscalation: false,
      capabilities: { drop: ["ALL"] },
      readOnlyRootFilesystem: true,
      privileged: false,
    },
    volumeMounts: [
      { name: "module", mountPath: MODULE_FOLDER, readOnly: true },
      { name: "tls", mountPath: "/etc/certs", readOnly: true },
    ],
  };
}

/** Over zones first, then over nodes; a cluster with too few of them gets its replicas all the same. */
function spread({ selector }: ProcessNames): readonly Template[] {
  return ["topology.kubernetes.io/zone", "kubernetes.io/hostname"].map((topologyKey) => ({
    topologyKey,
    maxSkew: 1,
    whenUnsatisfiable: "ScheduleAnyway",
    labelSelector: { matchLabels: selector },
    // Replicas of the last rollout don't count.
    matchLabelKeys: ["pod-template-hash"],
    nodeTaintsPolicy: "Honor",
  }));
}

function podSpec(process: ProcessNames, module: PackedModule): Template {
  return {
    serviceAccountName: process.serviceAccount,
    automountServiceAccountToken: true,
    enableServiceLinks: false,
    priorityClassName: value("scheduling.priorityClassName"),
    imagePullSecrets: value("image.pullSecrets"),
    nodeSelector: value("scheduling.nodeSelector"),
    tolerations: value("scheduling.tolerations"),
    affinity: value("scheduling.affinity"),
    topologySpreadConstraints: spread(process),
    terminationGracePeriodSeconds: GRACE_SECONDS,
    securityContext: {
      runAsNonRoot: true,
      runAsUser: USER_ID,
      runAsGroup: USER_ID,
      fsGroup: USER_ID,
      seccompProfile: { type: "RuntimeDefault" },
    },
    containers: [container(process, module)],
    volumes: [
      moduleVolume(module),
      {
        name: "tls",
        secret: { secretName: WEBHOOK_TLS_SECRET, defaultMode: KEY_MODE },
      },
    ],
  };
}

function deployment(process: ProcessNames, module: PackedModule): Entry {
  const { mode, deployment: name, selector } = process;
  const labels = labelsOf(process);
  return {
    object: {
      apiVersion: "apps/v1",
      kind: "Deployment",
      metadata: { ...systemMeta(name), labels },
      spec: {
        replicas: value(`${mode}.replicas`),
        revisionHistoryLimit: 3,
        minReadySeconds: 5,
        // Never one less than there are to be. Two watchers at once do no harm, so there is one at all times.
        strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } },
        selector: { matchLabels: selector },
        template: {
          metadata: {
            labels,
            annotations: { "fairlead.dev/settings-checksum": checksum("settings") },
          },
          spec: podSpec(process, module),
        },
      },
    },
  };
}

function service(process: ProcessNames): Entry {
  return {
    object: {
      apiVersion: "v1",
      kind: "Service",
      metadata: { ...systemMeta(process.service), labels: labelsOf(process) },
      spec: {
        type: "ClusterIP",
        selector: process.selector,
        ports: [{ name: PORT_NAME, port: 443, targetPort: PORT_NAME, protocol: "TCP" }],
      },
    },
  };
}

/** fairlead's namespace, in which only what meets restricted Pod Security runs. */
export function namespaceEntries(): readonly Entry[] {
  const { labels, ...metadata } = clusterMeta(SYSTEM_NAMESPACE);
  const levels = Object.fromEntries(
    ["enforce", "audit", "warn"].map((mode) => [
      `pod-security.kubernetes.io/${mode}`,
      "restricted",
    ]),
  );
  return [
    {
      object: {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { ...metadata, labels: { ...labels, ...levels } },
      },
      when: [{ path: "namespace.create", is: true }],
    },
  ];
}

/**
 * The Secret of the serving certificate, empty: the watch process makes the first certificate too. A manifest with a key
 * in it would give the same to everybody who installs it, and take the renewed one away whenever it is applied again.
 */
const servingSecret: Entry = {
  object: { apiVersion: "v1", kind: "Secret", metadata: systemMeta(WEBHOOK_TLS_SECRET) },
};

/** What must be there before the Pods: settings, the Secret that they mount, and the quota without which some clusters admit no critical Pod. */
export function groundEntries(): readonly Entry[] {
  return [
    servingSecret,
    {
      object: {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: systemMeta(SETTINGS_CONFIG_MAP),
        data: value("settings"),
      },
    },
    {
      object: {
        apiVersion: "v1",
        kind: "ResourceQuota",
        metadata: systemMeta("fairlead-critical-pods"),
        spec: {
          hard: { pods: "100" },
          scopeSelector: {
            matchExpressions: [
              {
                scopeName: "PriorityClass",
                operator: "In",
                values: ["system-cluster-critical"],
              },
            ],
          },
        },
      },
      when: [{ path: "scheduling.criticalPodsQuota", is: true }],
    },
  ];
}

/** Both processes, how they are reached, and what keeps enough of them. */
export function processEntries(module: PackedModule): readonly Entry[] {
  return [
    ...PROCESSES.map(service),
    {
      object: {
        apiVersion: "policy/v1",
        kind: "PodDisruptionBudget",
        metadata: systemMeta(ADMISSION.deployment),
        spec: {
          minAvailable: 1,
          selector: { matchLabels: ADMISSION.selector },
          // A replica that does not work must not keep a node from being drained.
          unhealthyPodEvictionPolicy: "AlwaysAllow",
        },
      },
    },
    ...PROCESSES.map((process) => deployment(process, module)),
  ];
}
