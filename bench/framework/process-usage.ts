import { readdir, readFile } from "node:fs/promises";

/** What the kernel says of one process. */
export interface ProcessUsage {
  /** Since it started, on all cores. */
  readonly cpuMs: number;
  readonly residentBytes: number;
}

/** Of the whole machine, all cores together, since it started. */
export interface MachineUsage {
  readonly busyMs: number;
  readonly idleMs: number;
}

/** Linux counts the CPU time of processes in hundredths of a second (USER_HZ), whatever its own clock. */
const TICK_MS = 10;

interface Stat {
  /** The name of the program, 15 characters of it at most. */
  readonly name: string;
  readonly cpuMs: number;
}

/** "pid (name) state ppid …", where the name may have anything in it; utime and stime are fields 14 and 15. */
function parseStat(stat: string): Stat {
  const end = stat.lastIndexOf(")");
  const fields = stat.slice(end + 2).split(" ");
  return {
    name: stat.slice(stat.indexOf("(") + 1, end),
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
  };
}

/**
 * Reads a process's usage. Linux only.
 * @throws when there is no such process.
 */
export async function usageOf(pid: number): Promise<ProcessUsage> {
  const [stat, status] = await Promise.all([
    readFile(`/proc/${pid}/stat`, "utf8"),
    readFile(`/proc/${pid}/status`, "utf8"),
  ]);
  const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  return {
    cpuMs: parseStat(stat).cpuMs,
    residentBytes: kilobytes * 1024,
  };
}

/** CPU time of several processes together. */
export async function cpuMsOf(pids: readonly number[]): Promise<number> {
  const usages = await Promise.all(pids.map(usageOf));
  return usages.reduce((sum, { cpuMs }) => sum + cpuMs, 0);
}

/** CPU time of all processes that run on the machine, by the name of their program. Linux only. */
export async function cpuMsByProgram(): Promise<ReadonlyMap<string, number>> {
  const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
  // One that ends meanwhile is left out.
  const stats = await Promise.all(
    pids.map(async (pid) => readFile(`/proc/${pid}/stat`, "utf8").catch(() => undefined)),
  );
  const sums = new Map<string, number>();
  for (const stat of stats) {
    if (stat === undefined) continue;
    const { name, cpuMs } = parseStat(stat);
    sums.set(name, (sums.get(name) ?? 0) + cpuMs);
  }
  return sums;
}

/** Reads the machine's usage. Linux only. */
export async function machineUsage(): Promise<MachineUsage> {
  const [line = ""] = (await readFile("/proc/stat", "utf8")).split("\n");
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
