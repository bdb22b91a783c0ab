import { spawn } from "node:child_process";
import { join } from "node:path";

/** How a kubectl call ended. A signal's end is exit code -1. */
export interface KubectlResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

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

/** Makes a `Kubectl` whose discovery cache is below `directory`. */
export function createKubectl(program: string, directory: string, kubeconfig: string): Kubectl {
  return async (args, options = {}) => {
    const child = spawn(program, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: {
        ...process.env,
        KUBECONFIG: options.kubeconfig ?? kubeconfig,
        KUBECACHEDIR: join(directory, "kubectl-cache"),
      },
    });
    const stop = () => child.kill();
    options.signal?.addEventListener("abort", stop, { once: true });
    const stdout: Buffer[] = [];
    const stderr: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
    // kubectl may end before it has read everything: that is its exit code's to tell.
    child.stdin.on("error", () => undefined);
    child.stdin.end(options.input ?? "");
    const exitCode = await new Promise<number>((resolve, reject) => {
      child.once("error", (error) => {
        reject(new Error(`kubectl could not be started: ${error.message}`, { cause: error }));
      });
      child.once("close", (code) => {
        resolve(code ?? -1);
      });
    });
    options.signal?.removeEventListener("abort", stop);
    return {
      exitCode,
      stdout: Buffer.concat(stdout).toString("utf8"),
      stderr: Buffer.concat(stderr).toString("utf8"),
    };
  };
}
