import { readdir, readFile } from "node:fs/promises";

/**
 * Resident memory, in bytes, of all processes in process groups, by `<name>-<pid>`. Linux only.
 * @param leaders the groups' ids
 */
export async function residentBytes(
  leaders: readonly number[],
): Promise<ReadonlyMap<string, number>> {
  const bytes = new Map<string, number>();
  for (const pid of (await readdir("/proc")).filter((name) => /^\d+$/.test(name))) {
    const read = async (file: string) => readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
    // "pid (name) state ppid pgrp …", where the name may have anything in it.
    const stat = await read("stat");
    const group = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[2]);
    if (!leaders.includes(group)) continue;
    const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
    const kilobytes = Number(/^VmRSS:\s+(\d+) kB$/m.exec(await read("status"))?.[1] ?? 0);
    bytes.set(`${name}-${pid}`, kilobytes * 1024);
  }
  return bytes;
}
