import { readdirSync, readFileSync } from "node:fs";
import { allUsages, TICK_MS, usageOf } from "../../test/cluster/processes";

/** Of the whole machine, all cores together, since it started. */
export interface MachineUsage {
  readonly busyMs: number;
  readonly idleMs: number;
}

/**
 * Time on a CPU of all threads that a process has now, in milliseconds, to the nanosecond: for what takes less than the
 * hundredths of a second of `usageOf` tell.
 * @throws when there is no such process.
 * @see https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat
 */
export function exactCpuMsOf(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"))
    .reduce((sum, text) => sum + Number(text.split(" ")[0]) / 1e6, 0);
}

/** CPU time of several processes together. */
export function cpuMsOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + usageOf(pid).cpuMs, 0);
}

/** CPU time of all processes that run on the machine, by the name of their program. Linux only. */
export function cpuMsByProgram(): ReadonlyMap<string, number> {
  const sums = new Map<string, number>();
  for (const { name, cpuMs } of allUsages().values()) {
    sums.set(name, (sums.get(name) ?? 0) + cpuMs);
  }
  return sums;
}

/** Reads the machine's usage. Linux only. */
export function machineUsage(): MachineUsage {
  const [line = ""] = readFileSync("/proc/stat", "utf8").split("\n");
  // cpu user nice system idle iowait irq softirq steal …
  const [user = 0, nice = 0, system = 0, idle = 0, wait = 0, irq = 0, softIrq = 0, steal = 0] = line
    .split(/\s+/)
    .slice(1)
    .map(Number);
  return {
    busyMs: (user + nice + system + irq + softIrq + steal) * TICK_MS,
    idleMs: (idle + wait) * TICK_MS,
  };
}
