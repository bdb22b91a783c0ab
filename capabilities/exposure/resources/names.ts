import { createHash } from "node:crypto";

/** @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names */
const MAX_NAME_CHARACTERS = 253;
const HASH_CHARACTERS = 10;

/** The first characters of a text's SHA-256, in hex. */
export function shortHash(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, HASH_CHARACTERS);
}

/**
 * Parts joined by dashes. Too long a name is cut and ends with a hash of the whole, so that it stays a name and stays
 * apart from others.
 */
export function objectName(...parts: readonly string[]): string {
  const name = parts.join("-");
  if (name.length <= MAX_NAME_CHARACTERS) return name;
  const kept = name.slice(0, MAX_NAME_CHARACTERS - HASH_CHARACTERS - 1).replace(/[-.]+$/, "");
  return `${kept}-${shortHash(name)}`;
}
