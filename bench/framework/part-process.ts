import { parseArgs } from "node:util";
import { measureInto } from "./run";

/** One part in a process of its own: `tsx part-process.ts <part> <file for its answer> [--quick]`. */
async function main(): Promise<void> {
  const { positionals, values } = parseArgs({
    allowPositionals: true,
    options: { quick: { type: "boolean", default: false } },
  });
  const [part = "", answerPath = ""] = positionals;
  const measured = await measureInto(answerPath, { part, quick: values.quick });
  // Something that a part forgot must not keep the others waiting.
  process.exit(measured ? 0 : 1);
}

void main();
