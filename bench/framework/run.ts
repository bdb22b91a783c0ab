import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import execa from "execa";
import { createProgress } from "../../test/cluster";
import { loadPart } from "../parts";
import type { PartResult } from "./part";

/** What came of a part. */
export type Outcome =
  | {
      readonly kind: "measured";
      readonly part: string;
      readonly title: string;
      readonly tookSeconds: number;
      readonly result: PartResult;
    }
  | {
      readonly kind: "failed";
      readonly part: string;
      readonly tookSeconds: number;
      readonly message: string;
    };

/** Which part is to be measured, and how. */
export interface PartRequest {
  readonly part: string;
  readonly quick: boolean;
}

/** What a part's own process leaves behind. */
type Answer =
  | { readonly title: string; readonly result: PartResult }
  | { readonly message: string };

/** A part that never ends is no reason not to measure the others. */
const LIMIT_MS = { quick: 15 * 60_000, full: 75 * 60_000 };

const entry = join(__dirname, "part-process.ts");

/**
 * Runs a part in a process of its own, so that neither what one leaves on the heap nor how it ends touches the next. What
 * it says goes to this process' own outputs.
 */
export async function runPart({ part, quick }: PartRequest): Promise<Outcome> {
  const folder = mkdtempSync(join(tmpdir(), "fairlead-bench-"));
  const answerPath = join(folder, "answer.json");
  const startedMs = Date.now();
  try {
    const { exitCode, timedOut } = await execa(
      "tsx",
      [entry, part, answerPath, ...(quick ? ["--quick"] : [])],
      {
        preferLocal: true,
        localDir: __dirname,
        stdio: "inherit",
        reject: false,
        timeout: quick ? LIMIT_MS.quick : LIMIT_MS.full,
      },
    );
    const tookSeconds = Math.round((Date.now() - startedMs) / 1000);
    const answer = readAnswer(answerPath);
    if (answer !== undefined && "result" in answer) {
      return { kind: "measured", part, tookSeconds, ...answer };
    }
    const ended = timedOut ? "did not end in time" : `ended with exit code ${exitCode}`;
    return { kind: "failed", part, tookSeconds, message: answer?.message ?? ended };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function readAnswer(path: string): Answer | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Answer;
  } catch {
    // A process that was killed left none, or half of one.
    return undefined;
  }
}

/**
 * What the part's own process does: measures, and writes what came of it, or why nothing did, to a file.
 * @returns whether it was measured.
 */
export async function measureInto(
  answerPath: string,
  { part: name, quick }: PartRequest,
): Promise<boolean> {
  const answer = await measure(name, quick).catch(
    (error: unknown): Answer => ({
      message: error instanceof Error ? error.message : String(error),
    }),
  );
  writeFileSync(answerPath, JSON.stringify(answer));
  return "result" in answer;
}

async function measure(name: string, quick: boolean): Promise<Answer> {
  const part = await loadPart(name);
  try {
    const result = await part.run({
      quick,
      progress: createProgress(),
      say: (line) => {
        console.log(`  ${line}`);
      },
    });
    return { title: part.title, result };
  } catch (error) {
    // Where it failed, for whoever mends it; the message alone is told at the end.
    console.error(error);
    throw error;
  }
}
