import { MultiBar } from "cli-progress";
import type { Narrator } from "../narrator";
import type { Style } from "../render";
import { barLine, layoutOf, plainLine, weightOf, type BarState, type Weight } from "./bars";
import type { Server } from "./spread";

/** Shows how busy each API server is, while it is. */
export interface LiveView {
  /** Takes the states of all servers, in their order. */
  show(states: readonly BarState[]): void;
  /** Ends it; what was shown last stays. */
  stop(): void;
}

/** Where bars are drawn, and how. */
export interface Canvas {
  readonly terminal: NodeJS.WriteStream;
  readonly style: Style;
}

interface Payload extends BarState {
  readonly weight: Weight;
}

const payloadOf = (state: BarState, weight: Weight): Payload => ({ ...state, weight });

const DEFAULT_COLUMNS = 80;
/** What turns a colour on and off. */
const COLOUR_CHARACTERS = 10;
const INDENT = "   ";

/**
 * A bar for each API server, drawn again and again on the same lines.
 * The longest bar is the highest rate that was seen so far.
 */
export function openBars({ terminal, style }: Canvas, servers: readonly Server[]): LiveView {
  const width = terminal.columns > 0 ? terminal.columns : DEFAULT_COLUMNS;
  const layout = layoutOf(servers, width - INDENT.length - COLOUR_CHARACTERS);
  let scale = 0;
  const bars = new MultiBar({
    stream: terminal,
    // The library would swallow the first Ctrl-C to restore a cursor that is not hidden here.
    gracefulExit: false,
    hideCursor: false,
    clearOnComplete: false,
    fps: 10,
    linewrap: true,
    format: (_options, _params, { weight, ...state }: Payload) => {
      const paint = (bar: string) => (weight === "heavy" ? style.bad(bar) : style.good(bar));
      const line = INDENT + barLine(state, { layout, scale, paint });
      // The library cuts what is longer, in the middle of a colour perhaps.
      const isTooLong = terminal.columns > 0 && line.length > terminal.columns;
      return isTooLong ? INDENT + barLine(state, { layout, scale, paint: (bar) => bar }) : line;
    },
  });
  const drawn = servers.map((server) =>
    bars.create(1, 0, payloadOf({ server, requestsPerSecond: 0, requests: 0 }, "even")),
  );
  return {
    show(states) {
      scale = Math.max(scale, ...states.map(({ requestsPerSecond }) => requestsPerSecond));
      states.forEach((state, index) => {
        drawn[index]?.update(0, payloadOf(state, weightOf(state, states)));
      });
    },
    stop() {
      bars.update();
      bars.stop();
    },
  };
}

const LINE_EVERY = 3;

/** A line now and then, for a log: of the first and every third of what is shown. */
export function openLines(tell: Pick<Narrator, "text">): LiveView {
  let shown = 0;
  return {
    show(states) {
      shown += 1;
      if (shown % LINE_EVERY === 1) tell.text(`requests/s  ${plainLine(states)}`);
    },
    stop: () => undefined,
  };
}
