import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { once } from "node:events";
import { performance } from "node:perf_hooks";
import { setTimeout as sleep } from "node:timers/promises";
import { probe } from "../../test/cluster/http-probe";
import type { Watchdog } from "../../test/cluster/watchdog";

/** What is started, with `node`. */
export interface Launch {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly logPath: string;
  readonly watchdog: Watchdog;
}

/** What a start is waited for. */
export interface Readiness {
  readonly port: number;
  readonly caPem: string;
  /** The message of a line of the log that is waited for, too. */
  readonly message?: string;
}

/** How long after its process' start it was there, in milliseconds. */
export interface StartTimes {
  /** `/healthz` has answered 200, as the kubelet would see it. */
  readonly readyMs: number;
  /** By the time that the line of the log says of itself. */
  readonly messageMs?: number;
}

const LIMIT_MS = 60_000;
/** Finer than what is told apart; a refused connection costs the machine next to nothing. */
const POLL_MS = 10;

interface Started {
  readonly child: ChildProcess;
  readonly startedMs: number;
  readonly startedAtMs: number;
}

function launch({ args, env, logPath, watchdog }: Launch): Started {
  rmSync(logPath, { force: true });
  const log = openSync(logPath, "a");
  const startedMs = performance.now();
  const startedAtMs = Date.now();
  const child = spawn(process.execPath, args, {
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NODE_ENV: "production", ...env },
    stdio: ["ignore", log, log],
    // In a group of its own, for the watchdog.
    detached: true,
  });
  closeSync(log);
  const { pid } = child;
  if (pid !== undefined) {
    watchdog.guard(pid);
    child.once("exit", () => {
      watchdog.release(pid);
    });
  }
  return { child, startedMs, startedAtMs };
}

/** When a line with the message was written, in milliseconds since 1970; undefined where there is none. */
export function timeOfMessage(log: string, message: string): number | undefined {
  for (const line of log.split("\n")) {
    if (!line.includes(message)) continue;
    try {
      const { msg, time } = JSON.parse(line) as { readonly msg?: string; readonly time?: number };
      if (msg === message) return time;
    } catch {
      // A line that is being written.
    }
  }
  return undefined;
}

async function waitFor<T>(
  { child }: Started,
  { logPath }: Launch,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const limitMs = performance.now() + LIMIT_MS;
  for (;;) {
    const seen = await look();
    if (seen !== undefined) return seen;
    if (child.exitCode !== null || performance.now() > limitMs) {
      const lines = readFileSync(logPath, "utf8").trimEnd().split("\n").slice(-20).join("\n");
      throw new Error(`a process did not become ready:\n${lines}`);
    }
    await sleep(POLL_MS);
  }
}

async function stop(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGKILL");
  await exited;
}

/**
 * Starts a process, waits until it is ready, and ends it.
 * @throws Error with the end of its log where it does not become ready.
 */
export async function timeStart(
  what: Launch,
  { port, caPem, message }: Readiness,
): Promise<StartTimes> {
  const started = launch(what);
  try {
    const url = `https://127.0.0.1:${port}/healthz`;
    const readyMs = await waitFor(started, what, async () => {
      const { status } = await probe(url, { caPem });
      return status === 200 ? performance.now() - started.startedMs : undefined;
    });
    if (message === undefined) return { readyMs };
    const atMs = await waitFor(started, what, () =>
      timeOfMessage(readFileSync(what.logPath, "utf8"), message),
    );
    return { readyMs, messageMs: atMs - started.startedAtMs };
  } finally {
    await stop(started.child);
  }
}

/**
 * How long a program runs that ends by itself, in milliseconds.
 * @throws Error with the end of its log where it fails.
 */
export async function timeRun(what: Launch): Promise<number> {
  const { child, startedMs } = launch(what);
  await once(child, "exit");
  const tookMs = performance.now() - startedMs;
  if (child.exitCode !== 0) throw new Error(readFileSync(what.logPath, "utf8").slice(-2_000));
  return tookMs;
}
