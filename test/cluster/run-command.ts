import { spawn } from "node:child_process";

/** How a command ended. A signal's end is exit code -1. */
export interface CommandResult {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What a command is run with. */
export interface CommandOptions {
  /** Given to its standard input. */
  readonly input?: string | undefined;
  /** Default: this process's own. */
  readonly environment?: NodeJS.ProcessEnv | undefined;
  /** Ends it with SIGTERM. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs a command and waits for its end.
 * @throws only when the program itself cannot be started.
 */
export async function runCommand(
  command: readonly string[],
  options: CommandOptions = {},
): Promise<CommandResult> {
  const [program = "", ...args] = command;
  const child = spawn(program, args, {
    stdio: ["pipe", "pipe", "pipe"],
    ...(options.environment === undefined ? {} : { env: options.environment }),
  });
  const stop = () => child.kill();
  options.signal?.addEventListener("abort", stop, { once: true });
  const stdout: Buffer[] = [];
  const stderr: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => stdout.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => stderr.push(chunk));
  // It may end before it has read everything: that is its exit code's to tell.
  child.stdin.on("error", () => undefined);
  child.stdin.end(options.input ?? "");
  const exitCode = await new Promise<number>((resolve, reject) => {
    child.once("error", (error) => {
      reject(new Error(`${program} could not be started: ${error.message}`, { cause: error }));
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
}
