import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { compileFunction, constants } from "node:vm";
import { brotliDecompressSync } from "node:zlib";

// Runs the module in this very process, instead of Pepr's controller, which writes it to the image's file system and
// starts a second process: so the root file system stays read-only, and signals reach the module.

const PART = /^module\.br\.\d+$/;

/**
 * Reads the module out of its parts.
 * @param sha256 What the module is to be, in hex.
 * @throws Error where it is another, or parts are missing.
 */
export function readModule(folder: string, sha256: string): string {
  const parts = readdirSync(folder)
    .filter((name) => PART.test(name))
    .sort();
  const source = brotliDecompressSync(
    Buffer.concat(parts.map((name) => readFileSync(join(folder, name)))),
  );
  const actual = createHash("sha256").update(source).digest("hex");
  if (actual !== sha256) throw new Error(`the module is ${actual}; ${sha256} was to be started`);
  return source.toString("utf8");
}

/** Runs a CommonJS module as if it were the file of that name; its packages are looked for from there. */
export function runModule(source: string, filename: string): void {
  const module = { exports: {} };
  const run = compileFunction(source, ["exports", "require", "module", "__filename", "__dirname"], {
    filename,
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  }) as (...values: readonly unknown[]) => void;
  run(module.exports, createRequire(filename), module, filename, dirname(filename));
}
