import { spawn } from "node:child_process";
import { createWriteStream } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Component } from "./versions";
import type { Watchdog } from "./watchdog";

/** A build that failed; the message has its last lines and the log's path. */
class BuildError extends Error {
  override readonly name = "BuildError";
}

/** What the commands that build one component are run with. */
export interface CommandRequest {
  readonly component: Component;
  /** `go`, `python3`: found on PATH. */
  readonly program: string;
  /** Where the commands run. */
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
  /** The log goes there; it stays when the build failed. */
  readonly cache: string;
  readonly watchdog: Watchdog;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs the command with arguments; `onLine` sees each line of both its streams.
 * @throws {BuildError}, or the signal's reason.
 */
export type RunCommand = (
  args: readonly string[],
  onLine?: (line: string) => void,
) => Promise<void>;

/** Makes a `RunCommand` whose calls share a log, which is removed when all went well. */
export function commandRunner(request: CommandRequest): RunCommand {
  const logPath = join(request.cache, `build-${request.component.directory}.log`);
  let flags = "w";
  return async (args, onLine) => {
    const log = createWriteStream(logPath, { flags });
    flags = "a";
    const lines: string[] = [];
    const code = await runToEnd(request, args, (line) => {
      log.write(`${line}\n`);
      lines.push(line);
      if (lines.length > 20) lines.shift();
      onLine?.(line);
    });
    await new Promise<void>((resolve) => log.end(resolve));
    if (request.signal?.aborted === true) await rm(logPath, { force: true });
    request.signal?.throwIfAborted();
    if (code !== 0) throw buildError(request, { code, lines, logPath });
    await rm(logPath, { force: true });
  };
}

async function runToEnd(
  request: CommandRequest,
  args: readonly string[],
  onLine: (line: string) => void,
): Promise<number | string> {
  const child = spawn(request.program, args, {
    cwd: request.cwd,
    env: request.environment as NodeJS.ProcessEnv,
    detached: true,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const { pid } = child;
  if (pid !== undefined) request.watchdog.guard(pid);
  const stop = () => {
    if (pid !== undefined) process.kill(-pid, "SIGKILL");
  };
  request.signal?.addEventListener("abort", stop, { once: true });
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on("line", onLine);
  }
  const code = await new Promise<number | string>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (exitCode, signal) => {
      resolve(exitCode ?? signal ?? "unknown");
    });
  });
  request.signal?.removeEventListener("abort", stop);
  if (pid !== undefined) request.watchdog.release(pid);
  return code;
}

function buildError(
  request: CommandRequest,
  failure: {
    readonly code: number | string;
    readonly lines: readonly string[];
    readonly logPath: string;
  },
): BuildError {
  return new BuildError(
    `Building ${request.component.directory} failed (${request.program} ended with ` +
      `${failure.code}). Its last lines:\n${failure.lines.join("\n")}\n` +
      `The whole log: ${failure.logPath}`,
  );
}
