import type { ApiServer } from "./api-server";
import type { AuditEvent, AuditFilter } from "./audit";
import type { ClusterFiles, ClusterKeys, User } from "./cluster-files";
import type { Etcd } from "./etcd";
import type { Kubectl } from "./kubectl";
import type { Progress } from "./progress";

/** A cluster that tests and the demo talk to: the embedded one, or one that exists already. */
export interface Cluster {
  /** Without "v": "1.34.4". */
  readonly version: string;
  /** Of a cluster administrator. */
  readonly kubeconfigPath: string;
  /** A temporary directory that is removed at the end; free for use. */
  readonly directory: string;
  readonly kubectl: Kubectl;
  /**
   * Writes a kubeconfig with a client certificate for a user, and returns its path. The audit log
   * tells users apart by it.
   */
  kubeconfigFor(user: User): Promise<string>;
  /** Ends what was started, and removes the directory. An existing cluster itself goes on. */
  stop(): Promise<void>;
}

/** A cluster of programs that this process started. */
export interface EmbeddedCluster extends Cluster {
  readonly apiServer: ApiServer;
  readonly etcd: Etcd;
  /** The requests that this API server has answered; see `AuditEvent`. */
  auditEvents(filter?: AuditFilter): Promise<AuditEvent[]>;
  /** Whether kube-controller-manager runs. */
  readonly controllerManager: "none" | "run";
  /** What another API server on the same etcd must share. */
  readonly keys: ClusterKeys;
  readonly files: ClusterFiles;
}

/** How an embedded cluster is started; everything has a default. */
export interface ClusterOptions {
  /** "1.34.4", "v1.34.4" or "1.34"; default: KUBEBUILDER_ASSETS' version, else 1.34.4. */
  readonly version?: string | undefined;
  /**
   * Another embedded cluster whose etcd, CA and ServiceAccount keys are shared, as in an upgrade
   * of a control plane with several API servers. Stop this cluster before that one.
   */
  readonly beside?: EmbeddedCluster | undefined;
  /** "none" (default): no controller acts at all. "run": kube-controller-manager runs too. */
  readonly controllerManager?: "none" | "run" | undefined;
  /**
   * "on": the ServiceAccount admission plugin, so Pods get their ServiceAccount's token as a volume. It needs a
   * controller manager, and refuses Pods until that has made a new namespace's ServiceAccount. Default: off.
   */
  readonly serviceAccountAdmission?: "off" | "on" | undefined;
  /** Appended to kube-apiserver's flags; the last one wins. */
  readonly apiServerFlags?: readonly string[] | undefined;
  /** Of kube-apiserver, on 127.0.0.1; default: a free one. */
  readonly port?: number | undefined;
  /** Default: nothing is shown. */
  readonly progress?: Progress | undefined;
  /** Ends the start, and everything that it has started. */
  readonly signal?: AbortSignal | undefined;
}
