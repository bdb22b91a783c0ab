import { readdirSync, statSync } from "node:fs";
import { dirname, join, normalize, relative, resolve } from "node:path";
import { readDocument } from "./named-tests";

const root = resolve(__dirname, "../..");
const FOLDERS = ["docs", "examples", "bench", "test"];

function documentsBelow(folder: string): readonly string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return entry.name === "node_modules" ? [] : documentsBelow(path);
    return entry.name.endsWith(".md") ? [path] : [];
  });
}

/** The documents that a document's links lead to; a link to a folder leads to all that is in it. */
function linkedFrom(path: string): readonly string[] {
  const targets = [...readDocument(path).matchAll(/\]\(([^)#]+)(?:#[^)]*)?\)/g)].map(
    ([, target = ""]) => target,
  );
  return targets
    .filter((target) => !/^[a-z]+:/.test(target))
    .map((target) => relative(root, normalize(join(root, dirname(path), target))))
    .flatMap((target) => {
      if (target.endsWith(".md")) return [target];
      return statSync(join(root, target)).isDirectory() ? documentsBelow(target) : [];
    });
}

/** All documents that are reached from one. */
function reachableFrom(start: string): ReadonlySet<string> {
  const found = new Set([start]);
  for (const path of found) for (const next of linkedFrom(path)) found.add(next);
  return found;
}

describe("the documentation", () => {
  // That links lead somewhere is what markdownlint's rule checks.
  it.each(FOLDERS.flatMap(documentsBelow))("%s is reached from the README", (path) => {
    expect(reachableFrom("README.md")).toContain(path);
  });

  it.each(documentsBelow("docs").filter((path) => dirname(path) === "docs"))(
    "%s is in the README's own list",
    (path) => {
      expect(linkedFrom("README.md")).toContain(path);
    },
  );
});
