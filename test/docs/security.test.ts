import { caseExists, isCase, namesIn, readDocument, readTests } from "./named-tests";

/** Rows of the table of threats: number, threat, what is done, tests. */
const rows = readDocument("docs/security.md")
  .split("\n")
  .filter((line) => /^\| \d+ \|/.test(line));
const named = rows.flatMap(readTests);

describe("the table of threats", () => {
  it("answers each threat, in order, with a test", () => {
    expect(rows.map((row) => Number(row.split("|")[1]))).toEqual(
      Array.from({ length: rows.length }, (_, index) => index + 1),
    );
    expect(rows.length).toBeGreaterThanOrEqual(11);
    expect(rows.filter((row) => readTests(row).length === 0)).toEqual([]);
  });

  it.each([
    "X-Remote-User",
    "--requestheader-allowed-names",
    "credentialName",
    "host",
    ":authority",
    "untrusted",
    "rotation",
    "webhook",
    "logs",
    "deletion",
    "order",
  ])("has a row about %s", (subject) => {
    expect(rows.join("\n")).toContain(subject);
  });

  it.each(named.filter(isCase).map(({ path }) => path))("names the case %s", (path) => {
    expect(caseExists(path)).toBe(true);
  });

  it.each(named.filter((test) => !isCase(test)).map(({ path, names }) => [path, names] as const))(
    "names tests of %s by the names that they have",
    (path, names) => {
      expect(names.length).toBeGreaterThan(0);
      const found = namesIn(path);
      expect(names.filter((name) => !found.has(name))).toEqual([]);
    },
  );
});
