import type { Arrival } from "../scale/copies";

/** A change of a source that the API server has answered. */
export interface Change {
  readonly tenant: string;
  /** In base64. */
  readonly certificate: string;
  /** As the API server put changes in order: those of one tenant are compared. */
  readonly resourceVersion: number;
  /** When the answer was there, in milliseconds of this process' clock. */
  readonly answeredMs: number;
}

/** Thrown where a change has no copy: not the last of its tenant's either. */
class NotCopiedError extends Error {
  override readonly name = "NotCopiedError";
}

/**
 * How long each change took, from the API server's answer until a copy that is at least as new was seen, in
 * milliseconds. Where a source changes again before it is read, one copy may do for several changes; each counts then,
 * from its own answer. A copy that was seen before the answer took no time.
 * @returns In the order of the changes.
 * @throws {NotCopiedError} where the last change of a tenant was not copied.
 */
export function latenciesOf(
  changes: readonly Change[],
  arrivals: readonly Arrival[],
): readonly number[] {
  const arrivedMs = new Map(arrivals.map(({ certificate, atMs }) => [certificate, atMs]));
  const seenBy = new Map<string, { readonly version: number; readonly atMs: number }[]>();
  for (const { tenant, certificate, resourceVersion: version } of changes) {
    const atMs = arrivedMs.get(certificate);
    if (atMs === undefined) continue;
    const seen = seenBy.get(tenant) ?? [];
    seen.push({ version, atMs });
    seenBy.set(tenant, seen);
  }
  return changes.map(({ tenant, resourceVersion, answeredMs }) => {
    const asNew = (seenBy.get(tenant) ?? []).filter(({ version }) => version >= resourceVersion);
    if (asNew.length === 0) throw new NotCopiedError(`a change of ${tenant} was not copied`);
    return Math.max(0, Math.min(...asNew.map(({ atMs }) => atMs)) - answeredMs);
  });
}
