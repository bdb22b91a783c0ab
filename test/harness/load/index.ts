import { spawn, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";
import type { Client } from "../../cluster";
import type { ConnectionOptions, LoadOptions, LoadReport, Message, Progress } from "./report";

export type {
  ConnectionOptions,
  ConnectionReport,
  FailureSample,
  LoadOptions,
  LoadReport,
  Mix,
  Progress,
  WatchEndings,
} from "./report";

/** Load that goes on in a process of its own. */
export interface Load {
  /** The latest counts, at most 250 ms old. */
  readonly progress: Progress;
  /** Calls `listener` with each new counts, four times a second. */
  onProgress(listener: (progress: Progress) => void): void;
  /** Resolves once so many more requests were finished, so that something happened under load. */
  untilMore(requests: number): Promise<void>;
  /** What came of it, once it has ended: by its duration, or by `stop`. */
  readonly done: Promise<LoadReport>;
  /** Lets requests under way end, and ends it. */
  stop(): Promise<LoadReport>;
}

/** So many connections alike. */
export function alike(count: number, connection: ConnectionOptions = {}): ConnectionOptions[] {
  return Array.from({ length: count }, () => connection);
}

/**
 * Starts load from a client's Pod. It ends with this process.
 * @returns Once all connections and watches are open, and requests go out.
 * @throws Error with the generator's words when it can't begin.
 */
export async function startLoad(
  client: Pick<Client, "prefix">,
  options: LoadOptions,
): Promise<Load> {
  const [program = "", ...args] = [...client.prefix, ...generatorCommand()];
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "pipe"] });
  child.stdin.on("error", () => undefined);
  child.stdin.write(`${JSON.stringify(options)}\n`);
  const listeners = new Set<(progress: Progress) => void>();
  const nothing = { requests: 0, failed: 0, refused: 0, openConnections: 0, openWatches: 0 };
  let progress: Progress = { atMs: Date.now(), ...nothing };
  const { ready, done } = follow(child, (latest) => {
    progress = latest;
    for (const listener of listeners) listener(latest);
  });
  await ready;
  return {
    get progress() {
      return progress;
    },
    onProgress(listener) {
      listeners.add(listener);
    },
    async untilMore(requests) {
      const wanted = progress.requests + requests;
      const enough = new Promise<void>((resolve) => {
        const look = (latest: Progress) => {
          if (latest.requests < wanted) return;
          listeners.delete(look);
          resolve();
        };
        listeners.add(look);
      });
      await Promise.race([enough, done]);
    },
    done,
    async stop() {
      child.stdin.end("stop\n");
      return done;
    },
  };
}

function generatorCommand(): readonly string[] {
  // Not tsx's own command, which would be one more process between.
  const loader = pathToFileURL(require.resolve("tsx")).href;
  return [process.execPath, "--import", loader, join(__dirname, "main.ts")];
}

interface Following {
  readonly ready: Promise<void>;
  readonly done: Promise<LoadReport>;
}

/** Reads what the generator writes. */
function follow(child: ChildProcess, onProgress: (progress: Progress) => void): Following {
  let report: LoadReport | undefined;
  let words = "";
  child.stderr?.on("data", (chunk: Buffer) => (words += chunk.toString("utf8")));
  let markReady: () => void;
  const isReady = new Promise<void>((resolve) => (markReady = resolve));
  if (child.stdout !== null) {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { kind, ...message } = JSON.parse(line) as Message;
      if (kind === "ready") markReady();
      else if (kind === "progress") onProgress(message as Progress);
      else report = message as LoadReport;
    });
  }
  const done = new Promise<LoadReport>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => {
      if (report !== undefined) resolve(report);
      else reject(new Error(`the load generator ended (${code ?? "a signal"}): ${words}`));
    });
  });
  // Whoever waits for it sees the error.
  done.catch(() => undefined);
  return { ready: Promise.race([isReady, done.then(() => undefined)]), done };
}
