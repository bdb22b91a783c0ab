import { setTimeout as sleep } from "node:timers/promises";
import type { ObjectMeta } from "../../lib/api";
import type { KubernetesClient } from "../../lib/cluster";
import { formatDuration } from "./figures";
import { StoryError, type Narrator } from "./narrator";
import type { Cluster } from "../../test/cluster";
import type { Fairlead } from "../../test/harness/fairlead";
import type { Machinery } from "./data-plane";

/** What a chapter of the story has. */
export interface Stage {
  readonly cluster: Cluster;
  /** Reads for the checks, apart from what `kubectl` shows. */
  readonly client: KubernetesClient;
  readonly fairlead: Fairlead;
  /** Undefined: no gateway and no hosted API server runs. */
  readonly machinery: Machinery | undefined;
  /** Where bars can be drawn, if anywhere. */
  readonly terminal: NodeJS.WriteStream | undefined;
  /** Where the picture goes. */
  readonly picturePath: string | undefined;
  readonly tell: Narrator;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** Private keys that were made on the way (PEM), to look for where they must not be. */
  readonly privateKeys: string[];
}

const POLL_MS = 10;
const LIMIT_MS = 60_000;

/**
 * Looks again and again until there is something.
 * @param what What is waited for, as a sentence: "the Service is made".
 * @throws {StoryError} after a minute; the signal's reason when that is aborted.
 */
export async function until<T>(
  stage: Pick<Stage, "signal">,
  what: string,
  look: () => Promise<T | undefined> | T | undefined,
): Promise<T> {
  const startMs = performance.now();
  for (;;) {
    stage.signal.throwIfAborted();
    const value = await look();
    if (value !== undefined) return value;
    if (performance.now() - startMs > LIMIT_MS) {
      throw new StoryError(`Expected that ${what}, but not within ${formatDuration(LIMIT_MS)}.`);
    }
    await sleep(POLL_MS);
  }
}

/** How a command of the story ended. */
export interface CommandResult {
  readonly succeeded: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs kubectl, whether or not that succeeds, without a word of the story. */
export async function tryKubectl(
  stage: Stage,
  args: readonly string[],
  input?: object,
): Promise<CommandResult> {
  stage.signal.throwIfAborted();
  const options = input === undefined ? {} : { input: JSON.stringify(input) };
  const { exitCode, stdout, stderr } = await stage.cluster.kubectl(args, options);
  // Ctrl-C in a terminal ends kubectl too: that is no failure of the command.
  stage.signal.throwIfAborted();
  return { succeeded: exitCode === 0, stdout, stderr: stderr.trim() };
}

/**
 * Runs kubectl for what the story only mentions.
 * @param input An object for its standard input.
 * @throws {StoryError} with kubectl's words when it fails.
 */
export async function mustKubectl(
  stage: Stage,
  args: readonly string[],
  input?: object,
): Promise<string> {
  const { succeeded, stdout, stderr } = await tryKubectl(stage, args, input);
  if (!succeeded) throw new StoryError(`kubectl ${args.join(" ")} failed: ${stderr}`);
  return stdout;
}

/** What an object is, for a comment beside a command. */
function describeInput(input: object): string {
  const { kind, metadata } = input as { kind?: string; metadata?: ObjectMeta };
  return ` # ${kind ?? ""} ${metadata?.namespace ?? ""}/${metadata?.name ?? ""}`;
}

/** A word as a shell takes it. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** Shows a command as it is going to be run. */
export function showCommand({ tell }: Stage, args: readonly string[], input?: object): void {
  const comment = input === undefined ? "" : tell.style.dim(describeInput(input));
  const words = ["kubectl", ...args].map(quote).join(" ");
  tell.line(`   ${tell.style.dim("$")} ${tell.style.bold(words)}${comment}`);
}

/** The same as a part of the story: the command is shown. */
export async function kubectl(
  stage: Stage,
  args: readonly string[],
  input?: object,
): Promise<string> {
  showCommand(stage, args, input);
  return mustKubectl(stage, args, input);
}

/** Several objects for `kubectl apply -f -`. */
export function listOf(items: readonly object[]): object {
  return { apiVersion: "v1", kind: "List", items };
}
