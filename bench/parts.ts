import { existsSync } from "node:fs";
import { join } from "node:path";
import type { Part } from "./framework/part";

/** The parts in the order in which they are run and shown: what is quick comes first, the idle half hour last. */
export const partOrder = [
  "start-up",
  "admission",
  "sync",
  "scale",
  "memory",
  "api-server",
  "balancing",
  "istio",
  "idle",
] as const;

const fileOf = (name: string): string => join(__dirname, name, "part.ts");

/** The names of the parts that there are, in order. */
export function partNames(): readonly string[] {
  return partOrder.filter((name) => existsSync(fileOf(name)));
}

/**
 * Loads a part, without its setting anything up.
 * @throws Error where there is none of the name, or its file does not export it as `part`.
 */
export async function loadPart(name: string): Promise<Part> {
  if (!partNames().includes(name)) {
    throw new Error(`there is no part "${name}"; there are ${partNames().join(", ")}`);
  }
  const { part } = (await import(fileOf(name))) as { readonly part?: Part };
  if (part?.name !== name) throw new Error(`${fileOf(name)} does not export part "${name}"`);
  return part;
}
