import { spawn } from "node:child_process";
import { createInterface } from "node:readline";

/** A request, and what each answer must be like, so that no figure is of work that was not done. */
export interface LoadTarget {
  readonly url: string;
  readonly ca: string;
  readonly certificate?: string;
  readonly key?: string;
  readonly body: string;
  readonly status: number;
  /** What the answer's text has. */
  readonly contains?: string;
  /** What it has not. */
  readonly lacks?: string;
}

/** What is sent: the targets take turns, in an order that is drawn anew for each. */
export interface LoadOrder<Name extends string> {
  readonly targets: Readonly<Record<Name, LoadTarget>>;
  /** Requests under way at a time. */
  readonly workers: number;
  /** Sent to each target first, on the same connections; they do not count. */
  readonly warmUp: number;
  readonly turns: number;
  /** Sent to each target in a turn. */
  readonly requests: number;
  /** Of the order. */
  readonly seed: number;
}

/** How long each request to a target took, and all its turns. */
export interface LoadResult {
  readonly latenciesMs: readonly number[];
  readonly elapsedMs: number;
}

/** The bench's load program: one order after another. */
export interface LoadClient {
  /** @throws Error where a request failed or an answer was another than it must be. */
  send<Name extends string>(order: LoadOrder<Name>): Promise<Readonly<Record<Name, LoadResult>>>;
  stop(): Promise<void>;
}

interface Report {
  readonly targets: readonly {
    readonly latenciesUs: readonly number[];
    readonly elapsedUs: number;
  }[];
  readonly error?: string;
}

function resultsOf<Name extends string>(
  names: readonly Name[],
  { targets, error }: Report,
): Readonly<Record<Name, LoadResult>> {
  if (error !== undefined) throw new Error(`the load failed: ${error}`);
  const results = targets.map(({ latenciesUs, elapsedUs }, index) => [
    names[index],
    { latenciesMs: latenciesUs.map((us) => us / 1_000), elapsedMs: elapsedUs / 1_000 },
  ]);
  return Object.fromEntries(results) as Record<Name, LoadResult>;
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
    async send<Name extends string>(order: LoadOrder<Name>) {
      const names = Object.keys(order.targets) as Name[];
      const targets = names.map((name) => order.targets[name]);
      const answered = new Promise<Report>((resolve) => waiting.push(resolve));
      child.stdin.write(`${JSON.stringify({ ...order, targets })}\n`);
      return resultsOf(names, await Promise.race([answered, failWhenEnded]));
    },
    async stop() {
      child.stdin.end();
      await ended;
    },
  };
}
