import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { modeOf, runCase, type CaseAdapter, type Mode } from "./runner";

const adapter: CaseAdapter = {
  capability: "echo",
  kinds: ["ConfigMap"],
  worldKeys: ["now"],
  run: ({ world, objects }, when) => ({ world, count: objects.length, when, gone: undefined }),
};
const files = {
  "given.yaml": "apiVersion: cases.fairlead.dev/v1\nkind: World\nspec: {now: 1}\n",
  "when.yaml": "subject: 1\n",
  "then.yaml": "world: {now: 1}\ncount: 0\nwhen: {subject: 1}\n",
};
const configMap = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a, namespace: b}\n";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fairlead-cases-"));
});
afterEach(() => {
  rmSync(root, { recursive: true });
});

function write(contents: Readonly<Record<string, string>>, name = "a-case"): string {
  const folder = join(root, name);
  mkdirSync(folder);
  for (const [file, text] of Object.entries(contents)) writeFileSync(join(folder, file), text);
  return folder;
}

async function messageOf(folder: string, mode: Mode = "compare"): Promise<string> {
  const result = await runCase(adapter, folder, mode);
  return result.kind === "failed" ? result.message : result.kind;
}

describe("a case", () => {
  it("passes when the outcome is what then.yaml says, in any order", async () => {
    expect(await messageOf(write(files))).toBe("passed");
  });

  it("may start from an empty cluster", async () => {
    const then = "count: 0\nworld: {}\nwhen: {subject: 1}\n";
    const folder = write({ ...files, "given.yaml": "# Nothing.\n", "then.yaml": then });

    expect(await messageOf(folder)).toBe("passed");
  });

  it("fails with the lines that differ", async () => {
    const folder = write({
      ...files,
      "then.yaml": "world: {now: 1}\ncount: 2\nwhen: {subject: 1}\n",
    });

    expect(await messageOf(folder)).toContain("- count: 2\n+ count: 0\n  when:");
  });

  it.each([
    ["a missing file", { "given.yaml": "", "when.yaml": "a: 1\n" }, "missing files: then.yaml."],
    ["an unknown file", { ...files, "when.yml": "a: 1\n" }, "unknown files: when.yml."],
    ["no subject", { ...files, "when.yaml": "# Nothing.\n" }, "when.yaml: must hold exactly one"],
    [
      "two subjects",
      { ...files, "when.yaml": "a: 1\n---\nb: 1\n" },
      "when.yaml: must hold exactly",
    ],
    ["a duplicate key", { ...files, "when.yaml": "a: 1\na: 2\n" }, "when.yaml: Map keys must be"],
    ["an unknown tag", { ...files, "when.yaml": "a: !!secret 1\n" }, "when.yaml: Unresolved tag"],
    ["no object", { ...files, "given.yaml": "kind: Pod\n" }, "given.yaml: every object needs"],
    [
      "a stray kind",
      { ...files, "given.yaml": configMap.replace("ConfigMap", "Pod") },
      "echo reads no Pod",
    ],
    [
      "an object twice",
      { ...files, "given.yaml": `${configMap}---\n${configMap}` },
      "b/a is there twice",
    ],
    [
      "a late World",
      { ...files, "given.yaml": `${configMap}---\n${files["given.yaml"]}` },
      "first document",
    ],
    [
      "an unknown World key",
      { ...files, "given.yaml": files["given.yaml"].replace("now", "then") },
      "has no then",
    ],
  ])("fails with %s", async (_, contents, message) => {
    expect(await messageOf(write(contents as Readonly<Record<string, string>>))).toContain(message);
  });

  it("fails where its folder is not named by a sentence", async () => {
    expect(await messageOf(write(files, "Case_1"))).toContain("with-a-sentence-like-this");
  });
});

describe("an update", () => {
  it("writes then.yaml where it is missing or differs, and nothing else", async () => {
    const { "then.yaml": then, ...rest } = files;
    const folder = write(rest);

    expect(await messageOf(folder, "update")).toBe("updated");
    expect(await messageOf(folder, "update")).toBe("passed");
    expect(await messageOf(folder)).toBe("passed");
    expect(readFileSync(join(folder, "then.yaml"), "utf8")).not.toBe(then);
  });

  it("is refused in CI", () => {
    expect(() => modeOf({ UPDATE_CASES: "1", CI: "true" })).toThrow("refused when CI is set");
    expect(modeOf({ UPDATE_CASES: "1" })).toBe("update");
    expect(modeOf({ CI: "true" })).toBe("compare");
  });
});
