import { join } from "node:path";
import { type ChildProgram, launch } from "./child-program";
import type { Watchdog } from "./watchdog";

/** What a kube-scheduler is started from. */
export interface SchedulerRequest {
  readonly program: string;
  readonly directory: string;
  /** Of a cluster administrator. */
  readonly kubeconfigPath: string;
  readonly watchdog: Watchdog;
}

/**
 * Starts kube-scheduler; it needs no port.
 * @throws when the program cannot be started.
 */
export async function startScheduler(request: SchedulerRequest): Promise<ChildProgram> {
  const { kubeconfigPath } = request;
  return launch({
    program: request.program,
    directory: request.directory,
    watchdog: request.watchdog,
    logPath: join(request.directory, "kube-scheduler.log"),
    args: [
      `--kubeconfig=${kubeconfigPath}`,
      `--authentication-kubeconfig=${kubeconfigPath}`,
      `--authorization-kubeconfig=${kubeconfigPath}`,
      "--secure-port=0",
      "--leader-elect=false",
    ],
  });
}
