import { createHash } from "node:crypto";

/** 127.0.0.0/16 is left to others: Envoy's own administration is there. */
const FIRST = { second: 1, count: 254 } as const;

function candidate(key: string, attempt: number): string {
  const [second = 0, third = 0, fourth = 0] = createHash("sha256")
    .update(`${key}/${attempt}`)
    .digest();
  return `127.${FIRST.second + (second % FIRST.count)}.${third}.${1 + (fourth % FIRST.count)}`;
}

/**
 * The loopback address of the gateway's Pods where the tunnel of a HostedAPIServer ends: of 16 million, the first that
 * its key leads to and that nobody has. Every Linux network namespace has all of 127.0.0.0/8, one with IPv6 alone too.
 * @param key `namespace/name`.
 * @param current Where it ends now; it stays there, unless somebody older has that.
 * @param taken Addresses that are not to be had.
 */
export function loopbackAddressOf(
  key: string,
  current: string | undefined,
  taken: ReadonlySet<string>,
): string {
  if (current !== undefined && !taken.has(current)) return current;
  let attempt = 0;
  while (taken.has(candidate(key, attempt))) attempt += 1;
  return candidate(key, attempt);
}
