import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const script = join(__dirname, "dev-k3d.sh");
const bash = (...args: string[]): string => execFileSync("bash", args, { encoding: "utf8" });

// All that can be checked without docker; the loop itself is not run.
describe("scripts/dev-k3d.sh", () => {
  test("is valid bash", () => {
    expect(bash("-n", script)).toBe("");
  });

  test("prints the very commands that docs/develop.md has", () => {
    const text = readFileSync(join(__dirname, "../docs/develop.md"), "utf8");
    const documented = text.replaceAll(/ \\\n\s*/g, " ").split("\n");
    const printed = bash(script, "--print").trimEnd().split("\n");
    expect(printed).toHaveLength(4);
    expect(documented).toEqual(expect.arrayContaining(printed));
  });
});
