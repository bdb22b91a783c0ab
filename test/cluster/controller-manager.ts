import { join } from "node:path";
import { type ChildProgram, launch } from "./child-program";
import type { ClusterFiles } from "./cluster-files";
import type { Watchdog } from "./watchdog";

/** What a kube-controller-manager is started from. */
export interface ControllerManagerRequest {
  readonly program: string;
  readonly directory: string;
  /** Of a cluster administrator. */
  readonly kubeconfigPath: string;
  readonly files: ClusterFiles;
  readonly watchdog: Watchdog;
}

/**
 * Starts kube-controller-manager; it needs no port. It makes ReplicaSets' Pods and their events,
 * empties terminating namespaces, collects garbage and signs certificate requests.
 * @throws when the program cannot be started.
 */
export async function startControllerManager(
  request: ControllerManagerRequest,
): Promise<ChildProgram> {
  return launch({
    program: request.program,
    directory: request.directory,
    watchdog: request.watchdog,
    logPath: join(request.directory, "kube-controller-manager.log"),
    args: [
      `--kubeconfig=${request.kubeconfigPath}`,
      "--secure-port=0",
      "--leader-elect=false",
      // Each controller with its own ServiceAccount, whose rights RBAC's bootstrap brings.
      "--use-service-account-credentials=true",
      `--service-account-private-key-file=${request.files.serviceAccountKey}`,
      `--root-ca-file=${request.files.ca}`,
      `--cluster-signing-cert-file=${request.files.ca}`,
      `--cluster-signing-key-file=${request.files.caKey}`,
    ],
  });
}
