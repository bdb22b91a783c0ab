import { effectiveMinor, type VersionInfo } from "../../lib/domain/kubernetes-version";

/** A higher minor on its way: the lowest that was read since every read has been higher than what counts. */
interface Candidate {
  readonly minor: number;
  /** How long reads have agreed, without the gaps that failed reads leave. */
  readonly agreedMs: number;
  /** The last read, if it was a good one. */
  readonly lastReadAtMs: number | undefined;
}

/** What is known of the version of the management cluster. */
export interface VersionState {
  /** The minor that counts (34 for 1.34); undefined until the first good read. */
  readonly effective: number | undefined;
  readonly candidate?: Candidate;
}

/** One look at the API servers. Those that did not answer are left out; empty: none did. */
export interface VersionRead {
  readonly versions: readonly VersionInfo[];
  readonly atMs: number;
}

/** Nothing was read yet. */
export const VERSION_UNKNOWN: VersionState = { effective: undefined };

/**
 * Follows the version of a cluster whose API servers may be of different minors during an upgrade, and of which an
 * old one rejects a new value.
 *
 * - The first good read counts at once: the lowest minor in it.
 * - A lower minor counts at once.
 * - A higher one counts when no read has been as low as what counts now for `settleMs`; then the lowest minor of that
 *   time counts.
 * - A read that failed neither counts as agreement nor starts the wait again: the time around it does not count.
 * @param settings `settleMs`: how long reads must agree before the minor goes up.
 * @returns The next state; `state` is not changed.
 */
export function observeVersions(
  state: VersionState,
  { versions, atMs }: VersionRead,
  settings: { readonly settleMs: number },
): VersionState {
  const { effective, candidate } = state;
  const minors = versions.map(effectiveMinor).filter((minor) => minor !== undefined);
  if (minors.length === 0) {
    if (candidate === undefined) return state;
    return { effective, candidate: { ...candidate, lastReadAtMs: undefined } };
  }
  const lowest = Math.min(...minors);
  if (effective === undefined || lowest <= effective) return { effective: lowest };
  const sinceMs = Math.max(0, atMs - (candidate?.lastReadAtMs ?? atMs));
  const agreedMs = (candidate?.agreedMs ?? 0) + sinceMs;
  const minor = Math.min(lowest, candidate?.minor ?? lowest);
  if (agreedMs < settings.settleMs) {
    return { effective, candidate: { minor, agreedMs, lastReadAtMs: atMs } };
  }
  if (lowest === minor) return { effective: minor };
  return { effective: minor, candidate: { minor: lowest, agreedMs: 0, lastReadAtMs: atMs } };
}
