import { readdirSync, readFileSync } from "node:fs";

/** What the kernel says of one process. */
export interface ProcessUsage {
  /** The name of the program, 15 characters of it at most. */
  readonly name: string;
  /** The process group's id. */
  readonly group: number;
  /** Time on a CPU since it started, of all its threads, those that ended among them, in hundredths of a second. */
  readonly cpuMs: number;
  /** Resident memory now. */
  readonly residentBytes: number;
  /** The most resident memory that it has had. */
  readonly peakBytes: number;
}

/** Linux counts the CPU time of processes in hundredths of a second (USER_HZ), whatever its own clock. */
export const TICK_MS = 10;

/**
 * Reads what a process uses. Linux only.
 * @throws when there is no such process.
 * @see https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html
 */
export function usageOf(pid: number): ProcessUsage {
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  // A kernel thread has no memory, and no line of it.
  const bytesOf = (field: string): number =>
    1024 * Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? 0);
  // "pid (name) state ppid pgrp …", where the name may have anything in it; utime and stime are fields 14 and 15.
  const nameEnd = stat.lastIndexOf(")");
  const fields = stat.slice(nameEnd + 2).split(" ");
  return {
    name: stat.slice(stat.indexOf("(") + 1, nameEnd),
    group: Number(fields[2]),
    cpuMs: (Number(fields[11]) + Number(fields[12])) * TICK_MS,
    residentBytes: bytesOf("VmRSS"),
    peakBytes: bytesOf("VmHWM"),
  };
}

/** What all processes use that run on the machine, by their ids. Linux only. */
export function allUsages(): ReadonlyMap<number, ProcessUsage> {
  const pids = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .map(Number);
  return new Map(
    pids.flatMap((pid) => {
      try {
        return [[pid, usageOf(pid)]];
      } catch {
        // It ended meanwhile.
        return [];
      }
    }),
  );
}

/**
 * Resident memory, in bytes, of all processes in process groups, by `<name>-<pid>`. Linux only.
 * @param leaders the groups' ids
 */
export function residentBytesOf(leaders: readonly number[]): ReadonlyMap<string, number> {
  return new Map(
    [...allUsages()]
      .filter(([, { group }]) => leaders.includes(group))
      .map(([pid, { name, residentBytes }]) => [`${name}-${pid}`, residentBytes]),
  );
}
