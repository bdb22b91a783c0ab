import { MultiBar, type SingleBar } from "cli-progress";

/** How far a step is. `fraction` is between 0 and 1; `detail` a few words. */
interface StepState {
  readonly fraction?: number;
  readonly detail?: string;
}

/** One piece of work that is shown while it runs. */
export interface Step {
  update(state: StepState): void;
  /** Ends the step well; `detail` replaces the last one. */
  done(detail?: string): void;
  /** Ends the step badly; the error itself is the caller's to report. */
  fail(detail?: string): void;
}

/** Where long work reports to. Steps may overlap. */
export interface Progress {
  step(title: string): Step;
}

/** What the reporters write to: process.stderr, or a test's own. */
export interface ProgressStream {
  write(text: string): unknown;
  readonly isTTY?: boolean | undefined;
}

const silentStep: Step = {
  update: () => undefined,
  done: () => undefined,
  fail: () => undefined,
};

/** Shows nothing. */
export const silentProgress: Progress = { step: () => silentStep };

/** Bars on a terminal, plain lines elsewhere (a log, a CI job). */
export function createProgress(stream: NodeJS.WriteStream = process.stderr): Progress {
  return stream.isTTY ? createBarProgress(stream) : createLineProgress(stream);
}

const lineIntervalMs = 10_000;

/**
 * Plain lines: one when a step starts, one when it ends, and in between at most one every 10 s,
 * with a percentage where there is one.
 */
export function createLineProgress(
  stream: ProgressStream,
  clock: () => number = Date.now,
): Progress {
  return {
    step(title) {
      const startMs = clock();
      let lineMs = startMs;
      const write = (words: readonly (string | undefined)[]) =>
        stream.write(`${words.filter((word) => word !== undefined && word !== "").join(" ")}\n`);
      const end = (how: string, detail?: string) =>
        write([`${title}: ${how} after ${formatSeconds(clock() - startMs)}`, inBrackets(detail)]);
      write([`${title} …`]);
      return {
        update(state) {
          if (clock() - lineMs < lineIntervalMs) return;
          lineMs = clock();
          write([`${title}:`, formatPercent(state.fraction), inBrackets(state.detail)]);
        },
        done: (detail) => end("done", detail),
        fail: (detail) => end("failed", detail),
      };
    },
  };
}

const doneMark = "✔";
const failedMark = "✖";

interface BarPayload {
  readonly title: string;
  readonly detail: string;
  readonly mark: string;
}

/** Bars that are redrawn in place; a bar stays, with its time, when its step has ended. */
function createBarProgress(stream: NodeJS.WriteStream): Progress {
  let bars: MultiBar | undefined;
  let runningCount = 0;
  return {
    step(title) {
      bars ??= createMultiBar(stream);
      runningCount += 1;
      const startMs = Date.now();
      const payload: BarPayload = { title, detail: "", mark: " " };
      const bar = bars.create(1, 0, payload);
      const end = (mark: string, detail?: string) => {
        const fraction = mark === doneMark ? { fraction: 1 } : {};
        bar.update({ mark });
        updateBar(bar, { ...fraction, detail: endDetail(startMs, detail) });
        bar.stop();
        runningCount -= 1;
        if (runningCount > 0) return;
        bars?.update();
        bars?.stop();
        bars = undefined;
      };
      return {
        update: (state) => {
          updateBar(bar, state);
        },
        done: (detail) => {
          end(doneMark, detail);
        },
        fail: (detail) => {
          end(failedMark, detail);
        },
      };
    },
  };
}

function updateBar(bar: SingleBar, state: StepState): void {
  const detail = state.detail === undefined ? {} : { detail: state.detail };
  if (state.fraction === undefined) bar.update(detail);
  else bar.update(Math.min(Math.max(state.fraction, 0), 1), detail);
}

function createMultiBar(stream: NodeJS.WriteStream): MultiBar {
  return new MultiBar({
    stream,
    // The library would swallow the first Ctrl-C to restore a cursor that is not hidden here.
    gracefulExit: false,
    hideCursor: false,
    clearOnComplete: false,
    fps: 5,
    // Lines are cut here instead of by the terminal, whose wrapping a killed process would leave off.
    linewrap: true,
    format: (_options, params, payload: BarPayload) => {
      const width = 24;
      const filled = Math.round(params.progress * width);
      const bar = "█".repeat(filled) + "░".repeat(width - filled);
      const percent = `${Math.floor(params.progress * 100)} %`.padStart(5);
      const words = [payload.title, inBrackets(payload.detail)].filter(
        (word) => word !== undefined,
      );
      const line = `${payload.mark} ${bar} ${percent}  ${words.join(" ")}`;
      return stream.columns > 0 ? line.slice(0, stream.columns - 1) : line;
    },
  });
}

function endDetail(startMs: number, detail: string | undefined): string {
  const time = formatSeconds(Date.now() - startMs);
  return detail === undefined || detail === "" ? time : `${detail}, ${time}`;
}

function inBrackets(detail: string | undefined): string | undefined {
  return detail === undefined || detail === "" ? undefined : `(${detail})`;
}

function formatPercent(fraction: number | undefined): string | undefined {
  return fraction === undefined ? undefined : `${Math.floor(fraction * 100)} %`;
}

function formatSeconds(durationMs: number): string {
  return `${(durationMs / 1000).toFixed(1)} s`;
}
