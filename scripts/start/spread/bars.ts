import { formatCount, type Server } from "./spread";

/** What a bar shows. */
export interface BarState {
  readonly server: Server;
  readonly requestsPerSecond: number;
  /** Since the load began. */
  readonly requests: number;
}

/** How bars are laid out, so that they stand below each other. */
export interface Layout {
  readonly tenantCharacters: number;
  readonly nameCharacters: number;
  readonly barCharacters: number;
}

const GAP = "  ";
const RATE_CHARACTERS = 8;
const COUNT_CHARACTERS = 9;
const MIN_BAR_CHARACTERS = 8;
const MAX_BAR_CHARACTERS = 40;
const EIGHTHS = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];

/**
 * A layout for all of these.
 * @param characters How wide a line may be; a bar takes what is left, as far as that is sensible.
 */
export function layoutOf(servers: readonly Server[], characters: number): Layout {
  const tenantCharacters = Math.max(0, ...servers.map(({ tenant }) => tenant.length));
  const nameCharacters = Math.max(0, ...servers.map(({ name }) => name.length));
  const others = tenantCharacters + nameCharacters + RATE_CHARACTERS + COUNT_CHARACTERS;
  const left = characters - others - 4 * GAP.length;
  return {
    tenantCharacters,
    nameCharacters,
    barCharacters: Math.min(Math.max(left, MIN_BAR_CHARACTERS), MAX_BAR_CHARACTERS),
  };
}

/**
 * A bar of a share of the whole width, in eighths of a character.
 * @param share Between 0 and 1; what is beyond is cut.
 */
export function drawBar(share: number, characters: number): string {
  const eighths = Math.round(Math.min(Math.max(share, 0), 1) * characters * 8);
  const bar = "█".repeat(Math.floor(eighths / 8)) + (EIGHTHS[eighths % 8] ?? "");
  return bar.padEnd(characters);
}

/** How a bar is to be seen: an even share, or far more than that. */
export type Weight = "even" | "heavy";

const HEAVY_SKEW = 1.5;

/** Whether an API server has far more than its share of its tenant's requests. */
export function weightOf(state: BarState, all: readonly BarState[]): Weight {
  const rates = all
    .filter(({ server }) => server.tenant === state.server.tenant)
    .map(({ requestsPerSecond }) => requestsPerSecond);
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  return state.requestsPerSecond > HEAVY_SKEW * mean ? "heavy" : "even";
}

/** What a line is drawn with. */
export interface Drawing {
  readonly layout: Layout;
  /** Requests per second of a full bar. */
  readonly scale: number;
  /** Colours the bar itself. */
  readonly paint: (bar: string) => string;
}

/** One API server's line. */
export function barLine(state: BarState, { layout, scale, paint }: Drawing): string {
  const { server, requestsPerSecond, requests } = state;
  const share = scale > 0 ? requestsPerSecond / scale : 0;
  return [
    server.tenant.padEnd(layout.tenantCharacters),
    server.name.padEnd(layout.nameCharacters),
    paint(drawBar(share, layout.barCharacters)),
    `${formatCount(requestsPerSecond)}/s`.padStart(RATE_CHARACTERS),
    formatCount(requests).padStart(COUNT_CHARACTERS),
  ].join(GAP);
}

/** The same of all API servers on one line, for where a line can't be drawn again. */
export function plainLine(states: readonly BarState[]): string {
  const tenants = [...new Set(states.map(({ server }) => server.tenant))];
  return tenants
    .map((tenant) => {
      const rates = states
        .filter(({ server }) => server.tenant === tenant)
        .map(({ requestsPerSecond }) => formatCount(requestsPerSecond));
      return `${tenant}: ${rates.join(" | ")}`;
    })
    .join("   ");
}
