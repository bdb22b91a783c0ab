import { spawn } from "node:child_process";
import type { Client } from "../cluster";
import { eventually, type Patience } from "./eventually";

/** A command that runs on in a client's Pod. */
export interface PodCommand {
  /** Its output so far, both streams. */
  output(): string;
  /** Waits until its output matches. */
  untilOutput(pattern: RegExp, patience?: Patience): Promise<RegExpExecArray>;
  /** Writes to its input. */
  write(text: string): void;
  /** Its exit code, once it has ended; undefined while it runs. */
  exitCode(): number | undefined;
  /** Ends it with SIGTERM, if it runs, and waits for its end. */
  stop(): Promise<void>;
}

/** Starts a command in a client's Pod, in this process's working directory. */
export function startCommand(
  client: Pick<Client, "prefix">,
  command: readonly string[],
  environment: Readonly<Record<string, string>> = {},
): PodCommand {
  const [program = "", ...args] = [...client.prefix, ...command];
  const child = spawn(program, args, { env: { ...process.env, ...environment } });
  let text = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.on("data", (chunk: Buffer) => (text += chunk.toString("utf8")));
  }
  child.stdin.on("error", () => undefined);
  let code: number | undefined;
  const ended = new Promise<void>((resolve) => {
    child.once("close", (found) => {
      code = found ?? -1;
      resolve();
    });
  });
  return {
    output: () => text,
    exitCode: () => code,
    async untilOutput(pattern, patience) {
      return eventually(() => {
        const found = pattern.exec(text);
        if (found !== null) return found;
        const state = code === undefined ? "runs" : `ended with ${code}`;
        throw new Error(`${command.join(" ")} ${state}, and its output is: ${text.slice(-2000)}`);
      }, patience);
    },
    write: (words) => child.stdin.write(words),
    async stop() {
      child.kill();
      await ended;
    },
  };
}
