import type { Clock } from "../../lib/cluster";

/** Gives what `promise` brings; undefined if that takes longer than `limitMs`. */
export async function within<T>(
  promise: Promise<T>,
  { clock, limitMs }: { readonly clock: Clock; readonly limitMs: number },
): Promise<T | undefined> {
  let cancel = (): void => undefined;
  const limit = new Promise<undefined>((resolve) => {
    cancel = clock.after(limitMs, () => {
      resolve(undefined);
    });
  });
  try {
    return await Promise.race([promise, limit]);
  } finally {
    cancel();
  }
}
