/** When a Service counts as contested: it was set back so often within that time. */
export interface ContestSettings {
  readonly rounds: number;
  readonly windowMs: number;
}

/** Five times in ten minutes: more than a rollout's few updates, and soon enough to end a hot loop. */
export const defaultContestSettings: ContestSettings = { rounds: 5, windowMs: 600_000 };

/** Who made a request, as the API server told the webhook. */
export interface Requester {
  readonly username: string;
  /** `options.fieldManager`; empty where the client gave none. */
  readonly fieldManager: string;
}

/** The value of `fairlead.dev/contested` where only the outcome was seen, and not who did it. */
export const UNKNOWN_CONTESTER = "unknown";

/** Who contests a Service, as `fairlead.dev/contested` says it. */
export function describeRequester({ username, fieldManager }: Requester): string {
  return fieldManager === "" ? username : `${username} (${fieldManager})`;
}

/** The rounds, as times in milliseconds, that still count. */
export function recentRounds(
  rounds: readonly number[],
  nowMs: number,
  { windowMs }: ContestSettings,
): readonly number[] {
  return rounds.filter((roundMs) => nowMs - roundMs < windowMs);
}
