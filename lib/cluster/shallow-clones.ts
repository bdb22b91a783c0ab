/** Pepr writes its marks into these in place, so that each copy needs its own. */
const WRITTEN = ["annotations", "labels"] as const;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function copyOfMetadata(metadata: Record<string, unknown>): Record<string, unknown> {
  const copy = { ...metadata };
  for (const name of WRITTEN) {
    const map = metadata[name];
    if (isRecord(map)) copy[name] = { ...map };
  }
  return copy;
}

function copyOf(object: Record<string, unknown>): Record<string, unknown> {
  const { metadata } = object;
  return isRecord(metadata) ? { ...object, metadata: copyOfMetadata(metadata) } : { ...object };
}

/**
 * Lets clones of an object share what fairlead never changes in place: all but the object itself, its metadata, and its
 * labels and annotations.
 *
 * Pepr clones the object of a request before its actions and after them, and compares the first with the last. ramda's
 * `clone`, which it does that by, takes more time for a Pod than everything else together, but leaves it to a method
 * `clone` where there is one; and what is shared is not compared. The method is not enumerable, so that it is in no JSON
 * and no patch.
 * @param object Of a request, or what it is to become; what is no object, as in a malformed request, is left alone.
 * @returns the object itself.
 * @see https://ramdajs.com/docs/#clone
 */
export function cloneShallowly<T>(object: T): T {
  if (!isRecord(object) || Object.hasOwn(object, "clone")) return object;
  return Object.defineProperty(object, "clone", { value: () => cloneShallowly(copyOf(object)) });
}
