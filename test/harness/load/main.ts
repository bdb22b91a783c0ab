import { createInterface } from "node:readline";
import { LoadGenerator } from "./generator";
import type { LoadOptions, Message } from "./report";

/**
 * The load generator's process: a line of options (JSON) on its input begins, a second one or the input's end stops.
 * Writes a line of JSON each 250 ms and a report at the end. Options hold keys, so they are no arguments.
 */

const PROGRESS_MS = 250;

function write(message: Message): void {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

async function main(): Promise<void> {
  const lines = createInterface({ input: process.stdin });
  const input = lines[Symbol.asyncIterator]();
  const first = await input.next();
  const options = JSON.parse(String(first.value)) as LoadOptions;
  const generator = new LoadGenerator(options);
  await generator.start();
  write({ kind: "ready" });
  const ticker = setInterval(() => {
    write({ kind: "progress", ...generator.progress() });
  }, PROGRESS_MS);
  const { durationMs } = options;
  const isOver = new Promise((resolve) => {
    if (durationMs !== undefined) setTimeout(resolve, durationMs);
  });
  await Promise.race([isOver, input.next()]);
  const report = await generator.stop();
  clearInterval(ticker);
  write({ kind: "progress", ...generator.progress() });
  write({ kind: "report", ...report });
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1);
  },
);
