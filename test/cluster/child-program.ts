import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Watchdog } from "./watchdog";

/** What is started, and where its output (both streams, appended) goes. */
export interface Launch {
  readonly program: string;
  readonly args: readonly string[];
  readonly logPath: string;
  /** The program's home, and what it may leave files in. */
  readonly directory: string;
  readonly watchdog: Watchdog;
  /** A command that runs the program in another place, such as a network namespace. */
  readonly within?: readonly string[] | undefined;
  /** From a signal to SIGKILL; default 10 s. */
  readonly stopTimeoutMs?: number | undefined;
  /** Added to PATH and HOME. */
  readonly environment?: Readonly<Record<string, string>> | undefined;
}

/** A program that runs beside this process. */
export interface ChildProgram {
  readonly name: string;
  readonly pid: number;
  readonly logPath: string;
  /** How it ended, such as "exit code 1" or "SIGKILL"; undefined while it runs. */
  readonly ending: () => string | undefined;
  /** Sends a signal and waits for the end; SIGKILL follows after the launch's `stopTimeoutMs`. */
  stop(signal?: NodeJS.Signals): Promise<void>;
}

const defaultStopTimeoutMs = 10_000;

/**
 * Starts a program in its own process group, guarded by the watchdog. It does not keep this
 * process alive.
 * @throws when the program cannot be started at all.
 */
export async function launch(request: Launch): Promise<ChildProgram> {
  const name = basename(request.program);
  const log = openSync(request.logPath, "a", 0o600);
  // Not the caller's environment: etcd, for one, reads every ETCD_* variable as a setting.
  const env = {
    PATH: process.env.PATH ?? "",
    HOME: request.directory,
    ...request.environment,
  };
  const [program = "", ...args] = commandOf(request);
  let child: ChildProcess;
  try {
    child = spawn(program, args, {
      cwd: request.directory,
      env,
      detached: true,
      stdio: ["ignore", log, log],
    });
  } finally {
    closeSync(log);
  }
  const { pid } = child;
  if (pid !== undefined) request.watchdog.guard(pid);
  const exited = exitOf(child);
  await new Promise<void>((resolve, reject) => {
    child.once("spawn", resolve);
    child.once("error", (error) => {
      reject(new Error(`${name} could not be started: ${error.message}`, { cause: error }));
    });
  });
  if (pid === undefined) throw new Error(`${name} was started without a process id.`);
  child.unref();
  let ending: string | undefined;
  void exited.then((how) => {
    ending = how;
    killGroup(pid);
    request.watchdog.release(pid);
  });
  return {
    name,
    pid,
    logPath: request.logPath,
    ending: () => ending,
    async stop(signal = "SIGTERM") {
      child.ref();
      child.kill(signal);
      const cancel = new AbortController();
      const limitMs = request.stopTimeoutMs ?? defaultStopTimeoutMs;
      const late = sleep(limitMs, undefined, { signal: cancel.signal }).then(
        () => child.kill("SIGKILL"),
        () => undefined,
      );
      await exited;
      cancel.abort();
      await late;
    },
  };
}

// What a program started does not outlive it: pilot-agent's Envoy, when the agent was killed.
function killGroup(pid: number): void {
  try {
    process.kill(-pid, "SIGKILL");
  } catch {
    // Nothing was left.
  }
}

// To enter a mount namespace is to leave the working directory.
function commandOf({ within, program, args, directory }: Launch): readonly string[] {
  if (within === undefined) return [program, ...args];
  return [...within, "sh", "-c", 'cd "$0" && exec "$@"', directory, program, ...args];
}

async function exitOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) => {
    child.once("exit", (code, signal) => {
      resolve(signal ?? `exit code ${code ?? "unknown"}`);
    });
  });
}

/** The last lines of a program's log, for error messages. */
async function lastLogLines(logPath: string, lineCount = 15): Promise<string> {
  const text = await readFile(logPath, "utf8").catch(() => "");
  return text.trimEnd().split("\n").slice(-lineCount).join("\n");
}

/** A program that ended although it should have kept running. */
class ProgramEndedError extends Error {
  override readonly name = "ProgramEndedError";

  constructor(
    readonly program: string,
    readonly ending: string,
    readonly lastLines: string,
  ) {
    super(`${program} ended (${ending}) before it was ready. Its last lines:\n${lastLines}`);
  }

  /** Whether it ended because another process took its port first. */
  get isPortClash(): boolean {
    return this.lastLines.includes("address already in use");
  }
}

/** A program that ran, but was not ready in time. */
class NotReadyError extends Error {
  override readonly name = "NotReadyError";
}

/** What `waitUntilReady` waits for. */
export interface Readiness {
  readonly isReady: () => Promise<boolean>;
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

const pollMs = 50;

/**
 * Polls until a program is ready.
 * @throws {ProgramEndedError} when it ends first, {NotReadyError} after the timeout, and the
 * signal's reason when that is aborted.
 */
async function waitUntilReady(program: ChildProgram, readiness: Readiness): Promise<void> {
  const deadlineMs = Date.now() + readiness.timeoutMs;
  for (;;) {
    readiness.signal?.throwIfAborted();
    const ending = program.ending();
    if (ending !== undefined) {
      throw new ProgramEndedError(program.name, ending, await lastLogLines(program.logPath));
    }
    if (await readiness.isReady()) return;
    if (Date.now() > deadlineMs) {
      const lines = await lastLogLines(program.logPath);
      throw new NotReadyError(
        `${program.name} was not ready after ${readiness.timeoutMs / 1000} s. ` +
          `Its last lines:\n${lines}`,
      );
    }
    await sleep(pollMs);
  }
}

/**
 * Launches a program and waits until it is ready; one that does not get there is ended.
 * @throws what `launch` and `waitUntilReady` throw.
 */
export async function launchUntilReady(
  request: Launch,
  readiness: Readiness,
): Promise<ChildProgram> {
  const program = await launch(request);
  try {
    await waitUntilReady(program, readiness);
  } catch (error) {
    if (program.ending() === undefined) await program.stop("SIGKILL");
    throw error;
  }
  return program;
}

const clashAttempts = 5;

/** Runs `start` again when another process took a port between finding and using it. */
export async function retryPortClash<T>(start: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start();
    } catch (error) {
      const isClash = error instanceof ProgramEndedError && error.isPortClash;
      if (!isClash || attempt === clashAttempts) throw error;
    }
  }
}
