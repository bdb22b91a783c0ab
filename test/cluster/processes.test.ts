import { spawn } from "node:child_process";
import { once } from "node:events";
import { allUsages, residentBytesOf, usageOf } from "./processes";

const MEBIBYTE = 1024 ** 2;

describe("what processes use", () => {
  it("tells a process that holds memory in a group of its own", async () => {
    const code =
      "const held = Buffer.alloc(64 * 1024 ** 2, 1); console.log(held.length); setInterval(() => {}, 1000)";
    const child = spawn(process.execPath, ["-e", code], { detached: true });
    const ended = once(child, "exit");
    try {
      await once(child.stdout, "data");
      const pid = child.pid ?? 0;
      const usage = usageOf(pid);
      expect(usage).toMatchObject({ name: "node", group: pid });
      expect(usage.residentBytes).toBeGreaterThan(64 * MEBIBYTE);
      expect(usage.peakBytes).toBeGreaterThanOrEqual(usage.residentBytes);
      expect(usage.cpuMs).toBeGreaterThan(0);
      expect(allUsages().get(pid)).toMatchObject({ name: "node", group: pid });
      expect([...residentBytesOf([pid]).keys()]).toEqual([`node-${pid}`]);
    } finally {
      child.kill("SIGKILL");
      await ended;
    }
    expect(() => usageOf(child.pid ?? 0)).toThrow();
    expect(residentBytesOf([child.pid ?? 0]).size).toBe(0);
  });
});
