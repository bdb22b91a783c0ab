import { readFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

/** A module travels in a Secret, whose limit is 1 MiB, compressed and in base64; this leaves room to grow. */
export const SECRET_BUDGET_BYTES = 400 * 1024;

/** What a module takes of its Secret, in bytes. */
export function bytesInSecret(modulePath: string): number {
  return Buffer.byteLength(gzipSync(readFileSync(modulePath)).toString("base64"));
}
