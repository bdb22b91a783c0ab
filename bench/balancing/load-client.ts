import { spawn } from "node:child_process";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Client } from "../../test/cluster";
import type { LoadAnswer, LoadCommand, LoadTarget, RequestReport } from "./load";

type Without<Command> = Command extends LoadCommand ? Omit<Command, "id" | "kind"> : never;
type Watches = Without<Extract<LoadCommand, { kind: "watch" }>>;
type Requests = Without<Extract<LoadCommand, { kind: "request" }>>;

/** A client with connections of its own, in a process of its own, in a client's Pod. */
export interface Load {
  /** Of its process. */
  readonly pid: number;
  /** Resolves once all are open. They are opened again when they end, until `stop`. */
  watch(watches: Watches): Promise<void>;
  /** Resolves once all were answered. */
  request(requests: Requests): Promise<RequestReport>;
  /** Closes all connections; requests that come after have new ones. */
  close(): Promise<void>;
  /** Ends the process and so its connections. */
  stop(): Promise<void>;
}

/** Starts a client in a Pod. Its connections are opened by the first request or watch of each. */
export function startLoad(client: Client, target: LoadTarget): Load {
  const file = join(__dirname, "load.ts");
  // Under tsx, the arguments that this process was started with make Node take TypeScript.
  const command = [...client.prefix, process.execPath, ...process.execArgv, file];
  const [program = "", ...args] = command;
  const child = spawn(program, args, { stdio: ["pipe", "pipe", "inherit"] });
  const { pid } = child;
  if (pid === undefined) throw new Error("the client could not be started");
  const closed = new Promise<void>((resolve) => {
    child.once("close", () => {
      resolve();
    });
  });
  const waiting = new Map<number, (report: LoadAnswer["report"]) => void>();
  createInterface({ input: child.stdout }).on("line", (line) => {
    const { id, report } = JSON.parse(line) as LoadAnswer;
    waiting.get(id)?.(report);
    waiting.delete(id);
  });
  child.stdin.write(`${JSON.stringify(target)}\n`);
  let count = 0;
  const send = async (command: object): Promise<LoadAnswer["report"]> => {
    count += 1;
    const id = count;
    const answered = new Promise<LoadAnswer["report"]>((resolve) => waiting.set(id, resolve));
    child.stdin.write(`${JSON.stringify({ ...command, id })}\n`);
    return Promise.race([answered, closed.then(failWhenClosed)]);
  };
  return {
    pid,
    watch: async (watches) => void (await send({ ...watches, kind: "watch" })),
    request: async (requests) => (await send({ ...requests, kind: "request" })) as RequestReport,
    close: async () => void (await send({ kind: "close" })),
    async stop() {
      child.stdin.end();
      await closed;
    },
  };
}

function failWhenClosed(): never {
  throw new Error("the client ended before it had answered");
}
