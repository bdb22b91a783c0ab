import { CleanUps, InterruptedError } from "./interruption";

describe("cleaning up", () => {
  test("goes in reverse, once, and past steps that fail", async () => {
    const taken: string[] = [];
    const cleanUps = new CleanUps();
    cleanUps.add(async () => Promise.resolve(void taken.push("first")));
    cleanUps.add(async () => Promise.reject(new Error("no")));
    cleanUps.add(async () => Promise.resolve(void taken.push("last")));
    const failures = await cleanUps.run();
    expect(taken).toEqual(["last", "first"]);
    expect(failures).toEqual([new Error("no")]);
    expect(await cleanUps.run()).toEqual([]);
    expect(taken).toHaveLength(2);
  });
});

test.each([
  ["SIGINT", 130],
  ["SIGTERM", 143],
  ["SIGHUP", 129],
] as const)("after %s the exit code is %d, as shells have it", (name, exitCode) => {
  expect(new InterruptedError(name).exitCode).toBe(exitCode);
});
