import fc from "fast-check";

/** What an arbitrary gives. */
export type DrawnFrom<A> = A extends fc.Arbitrary<infer T> ? T : never;

/** Absent in one of `freq` at least, and else as drawn. */
export function absentOr<T>(arbitrary: fc.Arbitrary<T>, freq = 2): fc.Arbitrary<T | undefined> {
  return fc.option(arbitrary, { nil: undefined, freq });
}

/** Present in one of eight: it would hide everything else. */
export function rarely<T>(arbitrary: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> {
  return fc.oneof({ weight: 7, arbitrary: fc.constant(undefined) }, { weight: 1, arbitrary });
}

/** The entries that are there. */
export function present<T>(entries: Readonly<Record<string, T | undefined>>): Record<string, T> {
  return Object.fromEntries(
    Object.entries(entries).filter((entry): entry is [string, T] => entry[1] !== undefined),
  );
}
