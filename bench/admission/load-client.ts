import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** What is sent, and what each answer must be like, so that no figure is of work that was not done. */
export interface LoadOrder {
  readonly url: string;
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly body: string;
  /** Requests under way at a time. */
  readonly workers: number;
  /** Sent first, on the same connections; they do not count. */
  readonly warmUp: number;
  readonly requests: number;
  readonly status: number;
  /** What the answer's text has. */
  readonly contains?: string;
  /** What it has not. */
  readonly lacks?: string;
}

/** How long each request took, and all of them. */
export interface LoadResult {
  readonly latenciesMs: readonly number[];
  readonly elapsedMs: number;
}

/** The bench's load program: one order after another. */
export interface LoadClient {
  /** @throws Error where a request failed or an answer was another than it must be. */
  send(order: LoadOrder): Promise<LoadResult>;
  stop(): Promise<void>;
}

interface Report {
  readonly latenciesUs: readonly number[] | null;
  readonly elapsedUs: number;
  readonly error?: string;
}

/** Starts the load program; it ends with this process. */
export function startLoadClient(program: string): LoadClient {
  const child = spawn(program, [], { stdio: ["pipe", "pipe", "inherit"] });
  child.stdin.on("error", () => undefined);
  const waiting: ((report: Report) => void)[] = [];
  createInterface({ input: child.stdout }).on("line", (line) => {
    waiting.shift()?.(JSON.parse(line) as Report);
  });
  const ended = new Promise<void>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => {
      resolve();
    });
  });
  const failWhenEnded = ended.then((): never => {
    throw new Error("the load program ended before it had answered");
  });
  failWhenEnded.catch(() => undefined);
  return {
    async send(order) {
      const answered = new Promise<Report>((resolve) => waiting.push(resolve));
      child.stdin.write(`${JSON.stringify(order)}\n`);
      const { latenciesUs, elapsedUs, error } = await Promise.race([answered, failWhenEnded]);
      if (error !== undefined) throw new Error(`the load failed: ${error}`);
      return {
        latenciesMs: (latenciesUs ?? []).map((us) => us / 1_000),
        elapsedMs: elapsedUs / 1_000,
      };
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
