import { isIP, SocketAddress } from "node:net";

/**
 * An IP address in one spelling (RFC 5952 for IPv6), so that two spellings of an address are equal; undefined for what
 * is not an address, with a zone included, since Kubernetes takes none.
 */
export function canonicalAddress(text: string): string | undefined {
  const version = isIP(text);
  if (version === 0 || text.includes("%")) return undefined;
  return new SocketAddress({ address: text, family: version === 4 ? "ipv4" : "ipv6" }).address;
}

/** Whether two texts are the same address, `fd00::1` and `fd00:0::1` say. What is no address equals its like alone. */
export function isSameAddress(one: string, other: string): boolean {
  return (canonicalAddress(one) ?? one) === (canonicalAddress(other) ?? other);
}

/** Whether a text is an IP address, of either family. */
export function isIPAddress(text: string): boolean {
  return canonicalAddress(text) !== undefined;
}
