import { join } from "node:path";
import { type CommandResult, runCommand } from "./run-command";

/** How a kubectl call ended. A signal's end is exit code -1. */
export type KubectlResult = CommandResult;

/** Optional parts of a kubectl call. */
export interface KubectlOptions {
  /** Given to its standard input, for `-f -`. */
  readonly input?: string;
  /** Path of another kubeconfig than the cluster administrator's. */
  readonly kubeconfig?: string;
  /** Ends it with SIGTERM, for `--watch`. */
  readonly signal?: AbortSignal;
}

/**
 * Runs kubectl and waits for its end.
 * @throws only when the program itself cannot be started.
 */
export type Kubectl = (args: readonly string[], options?: KubectlOptions) => Promise<KubectlResult>;

/** What a `Kubectl` is made of. */
export interface KubectlRequest {
  readonly program: string;
  /** Its discovery cache is below. */
  readonly directory: string;
  /** Default of its calls. */
  readonly kubeconfig: string;
  /** A network namespace that it runs in. */
  readonly within?: readonly string[];
}

/** Makes a `Kubectl`. */
export function createKubectl(request: KubectlRequest): Kubectl {
  const { program, directory, kubeconfig, within } = request;
  // To enter a mount namespace is to leave the working directory.
  const back = ["sh", "-c", 'cd "$0" && exec "$@"', process.cwd()];
  const prefix = within === undefined ? [] : [...within, ...back];
  return async (args, options = {}) =>
    runCommand([...prefix, program, ...args], {
      input: options.input,
      signal: options.signal,
      environment: {
        ...process.env,
        KUBECONFIG: options.kubeconfig ?? kubeconfig,
        KUBECACHEDIR: join(directory, "kubectl-cache"),
      },
    });
}
