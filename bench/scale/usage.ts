import { readdirSync, readFileSync } from "node:fs";

/** What a process has used; Linux only. */
export interface Usage {
  /** Resident memory now, in bytes. */
  readonly rssBytes: number;
  /** The most resident memory that it has had, in bytes. */
  readonly peakBytes: number;
  /** Time on a CPU of all its threads, in milliseconds. */
  readonly cpuMs: number;
}

/** @see https://docs.kernel.org/scheduler/sched-stats.html#proc-pid-schedstat */
function cpuNanoseconds(pid: number): number {
  return readdirSync(`/proc/${pid}/task`)
    .map((thread) => readFileSync(`/proc/${pid}/task/${thread}/schedstat`, "utf8"))
    .reduce((sum, text) => sum + Number(text.split(" ")[0]), 0);
}

/**
 * What a process has used until now.
 * @throws Error when it does not run.
 */
export function usageOf(pid: number): Usage {
  const status = readFileSync(`/proc/${pid}/status`, "utf8");
  const kilobytes = (field: string): number =>
    Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, "m").exec(status)?.[1] ?? Number.NaN);
  return {
    rssBytes: kilobytes("VmRSS") * 1024,
    peakBytes: kilobytes("VmHWM") * 1024,
    cpuMs: cpuNanoseconds(pid) / 1e6,
  };
}
