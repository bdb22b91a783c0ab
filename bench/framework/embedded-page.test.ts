import { embedPage } from "./embedded-page";

describe("the text of a part", () => {
  test("loses its title, and its headings start at the third level", () => {
    expect(embedPage("sync", "# Sync\n\n## Method\n\nText.\n\n### Detail\n")).toBe(
      "### Method\n\nText.\n\n#### Detail\n",
    );
  });

  test("keeps headings that are low enough", () => {
    expect(embedPage("sync", "Text.\n\n### Method\n")).toBe("Text.\n\n### Method\n");
  });

  test.each([
    ["../../docs/balancing.md", "balancing.md"],
    ["../../README.md#install", "../README.md#install"],
    ["../admission/part.ts", "../bench/admission/part.ts"],
    ["part.ts", "../bench/sync/part.ts"],
    ["#method", "#method"],
    ["https://example.com/a", "https://example.com/a"],
  ])("has the link %s lead from docs/ as %s", (link, expected) => {
    expect(embedPage("sync", `[text](${link})`)).toBe(`[text](${expected})\n`);
  });

  test("is left alone in fenced blocks", () => {
    const text = "## Method\n\n```bash\n# a comment, [not](a link)\n```\n";
    expect(embedPage("sync", text)).toBe(
      "### Method\n\n```bash\n# a comment, [not](a link)\n```\n",
    );
  });
});
