/**
 * The code of a system error, such as "ENOENT". `instanceof Error` would not do: under jest, errors
 * of Node's own modules are of another realm.
 */
export function errorCode(error: unknown): string | undefined {
  const hasCode = typeof error === "object" && error !== null && "code" in error;
  return hasCode && typeof error.code === "string" ? error.code : undefined;
}
