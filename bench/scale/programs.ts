import { cpuMsByProgram, machineUsage } from "../framework/process-usage";
import type { ProcessMode } from "../../test/harness/requests";

/** The names that the kernel has of programs, by what they are; several of a name count together. */
const names = {
  "API servers": "kube-apiserver",
  etcd: "etcd",
  istiod: "pilot-discovery",
  Envoy: "envoy",
} as const;

/** Who uses the cores in a cold start. */
export type Program =
  | "fairlead, watch"
  | "fairlead, admission"
  | keyof typeof names
  | "all else"
  | "idle";

/** What all programs have used until now, in milliseconds. */
export interface ProgramUsage {
  readonly byName: ReadonlyMap<string, number>;
  readonly busyMs: number;
  readonly idleMs: number;
}

/** Reads what all programs have used. */
export function readPrograms(): ProgramUsage {
  return { byName: cpuMsByProgram(), ...machineUsage() };
}

/**
 * What they used between two readings, in milliseconds; "all else" is the rest of what the machine did, the bench itself
 * among it, and "idle" what it could have done besides.
 * @param ownMs What fairlead's processes, which were not there at the first reading, used until the second.
 */
export function programsSince(
  before: ProgramUsage,
  after: ProgramUsage,
  ownMs: Readonly<Record<ProcessMode, number>>,
): Readonly<Record<Program, number>> {
  const used = (name: string): number =>
    (after.byName.get(name) ?? 0) - (before.byName.get(name) ?? 0);
  const named = {
    "fairlead, watch": ownMs.watch,
    "fairlead, admission": ownMs.admission,
    "API servers": used(names["API servers"]),
    etcd: used(names.etcd),
    istiod: used(names.istiod),
    Envoy: used(names.Envoy),
  };
  const sum = Object.values(named).reduce((total, ms) => total + ms, 0);
  return {
    ...named,
    "all else": after.busyMs - before.busyMs - sum,
    idle: after.idleMs - before.idleMs,
  };
}
