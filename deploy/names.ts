import { SYSTEM_NAMESPACE, WEBHOOK_CONFIGURATION, WEBHOOK_SERVICE } from "../lib/domain/webhook";

export { SYSTEM_NAMESPACE, WEBHOOK_CONFIGURATION, WEBHOOK_SERVICE };

/** A process of fairlead's: what its objects are called, and by which labels its Pods are found. */
export interface ProcessNames {
  readonly mode: "admission" | "watch";
  readonly serviceAccount: string;
  readonly deployment: string;
  readonly service: string;
  readonly container: string;
  /** Immutable in a Deployment, so they are Pepr's: its manifest can be upgraded to this one. */
  readonly selector: Readonly<Record<string, string>>;
}

export const ADMISSION: ProcessNames = {
  mode: "admission",
  serviceAccount: "fairlead-admission",
  deployment: "pepr-fairlead",
  service: WEBHOOK_SERVICE,
  container: "server",
  selector: { app: "pepr-fairlead", "pepr.dev/controller": "admission" },
};

export const WATCH: ProcessNames = {
  mode: "watch",
  serviceAccount: "fairlead-watch",
  deployment: "pepr-fairlead-watcher",
  service: "pepr-fairlead-watcher",
  container: "watcher",
  selector: { app: "pepr-fairlead-watcher", "pepr.dev/controller": "watcher" },
};

export const PROCESSES: readonly ProcessNames[] = [ADMISSION, WATCH];

/** The user that a process is for the API server. */
export function userOf({ serviceAccount }: ProcessNames): string {
  return `system:serviceaccount:${SYSTEM_NAMESPACE}:${serviceAccount}`;
}

/** The port of the webhook, health and metrics in each Pod. */
export const PORT = 3000;
export const PORT_NAME = "https";

/** Environment that users give; see docs/settings.md. */
export const SETTINGS_CONFIG_MAP = "fairlead-settings";

/**
 * The last part of the webhook's path. Pepr's is a secret of a build, and so changes with each: until a rollout is over,
 * the replicas would refuse what is sent to the other path. What it kept from others they don't learn much by: which
 * hosts a namespace's Pods are led to.
 */
export const API_PATH = "fairlead";

/** Labels of everything that is installed. */
export const COMMON_LABELS: Readonly<Record<string, string>> = {
  "app.kubernetes.io/name": "fairlead",
  "app.kubernetes.io/part-of": "fairlead",
};

/** Labels of what belongs to one process. */
export function labelsOf({ mode, selector }: ProcessNames): Readonly<Record<string, string>> {
  return { ...COMMON_LABELS, "app.kubernetes.io/component": mode, ...selector };
}

interface NamedMeta {
  readonly name: string;
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** metadata of something cluster-scoped. */
export function clusterMeta(name: string): NamedMeta {
  return { name, labels: COMMON_LABELS };
}

/** metadata of something in fairlead's own namespace. */
export function systemMeta(name: string): Required<NamedMeta> {
  return { name, namespace: SYSTEM_NAMESPACE, labels: COMMON_LABELS };
}
