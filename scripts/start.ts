import { figuresLine } from "./start/figures";
import { CleanUps, InterruptedError, listenForInterruption } from "./start/interruption";
import { Narrator, StoryError } from "./start/narrator";
import { parseStartArguments, usage, type StartOptions } from "./start/options";
import { createStyle } from "./start/render";
import { runStory, type RunContext } from "./start/run";
import { stayUp } from "./start/stay-up";

/** Runs as asked. The exit code: 0, 1 when something was not as it should be, 128 and more after a signal. */
async function attempt(options: StartOptions, context: RunContext): Promise<number> {
  const { tell, interruption } = context;
  try {
    const told = await runStory(options, context);
    if (options.json) process.stdout.write(`${figuresLine(told.figures)}\n`);
    if (options.once) return 0;
    await stayUp(context, told);
    interruption.signal.throwIfAborted();
    return 0;
  } catch (error) {
    // A signal ends what was under way: what that says is of no interest then.
    const reason: unknown = interruption.signal.aborted ? interruption.signal.reason : error;
    if (reason instanceof InterruptedError) return reason.exitCode;
    const sentence = error instanceof Error ? error.message : String(error);
    console.error(tell.style.bad(`✗ ${sentence}`));
    if (!(error instanceof StoryError)) console.error("npm start did not get to its end.");
    return 1;
  }
}

async function run(options: StartOptions): Promise<number> {
  // With --json the figures have standard output to themselves.
  const sink = options.json ? process.stderr : process.stdout;
  const colours = sink.isTTY && process.env.NO_COLOR === undefined;
  const context: RunContext = {
    tell: new Narrator(sink, createStyle({ colours })),
    terminal: sink.isTTY ? sink : undefined,
    interruption: listenForInterruption(),
    cleanUps: new CleanUps(),
  };
  const exitCode = await attempt(options, context);
  const failures = await context.cleanUps.run();
  for (const failure of failures) console.error("Cleaning up failed:", failure);
  return failures.length > 0 && exitCode === 0 ? 1 : exitCode;
}

async function main(): Promise<number> {
  const parsed = parseStartArguments(process.argv.slice(2));
  switch (parsed.kind) {
    case "help":
      console.log(usage);
      return 0;
    case "invalid":
      console.error(`${parsed.message}\n\n${usage}`);
      return 1;
    case "run":
      return run(parsed);
  }
}

main().then(
  // Watches of the story may still be open: nothing that matters is.
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    console.error(error);
    process.exit(1);
  },
);
