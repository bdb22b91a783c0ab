import { createLineProgress } from "./progress";

function record() {
  const lines: string[] = [];
  const clock = { nowMs: 0 };
  const stream = { write: (text: string) => lines.push(text) };
  return { lines, clock, progress: createLineProgress(stream, () => clock.nowMs) };
}

describe("progress where there is no terminal", () => {
  it("writes at most a line every 10 s", () => {
    const { lines, clock, progress } = record();
    const step = progress.step("build");
    for (clock.nowMs = 0; clock.nowMs < 25_000; clock.nowMs += 100) {
      step.update({ fraction: clock.nowMs / 50_000, detail: "compile" });
    }
    step.done();
    expect(lines).toEqual([
      "build …\n",
      "build: 20 % (compile)\n",
      "build: 40 % (compile)\n",
      "build: done after 25.0 s\n",
    ]);
  });

  it("says how a step ended", () => {
    const { lines, progress } = record();
    progress.step("a").fail("no disk");
    progress.step("b").done("2 programs");
    expect(lines).toEqual([
      "a …\n",
      "a: failed after 0.0 s (no disk)\n",
      "b …\n",
      "b: done after 0.0 s (2 programs)\n",
    ]);
  });
});
