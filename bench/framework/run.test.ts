import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { measureInto, runPart } from "./run";

let folder: string;

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-run-"));
});

afterEach(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("a part that can't be measured", () => {
  test("leaves behind why", async () => {
    const path = join(folder, "answer.json");
    expect(await measureInto(path, { part: "speed", quick: true })).toBe(false);
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual({
      message: expect.stringMatching(/^there is no part "speed"/) as unknown,
    });
  });

  test("is an outcome, and no end of the run", async () => {
    expect(await runPart({ part: "speed", quick: true })).toMatchObject({
      kind: "failed",
      part: "speed",
      message: expect.stringMatching(/^there is no part "speed"/) as unknown,
    });
  });
});
