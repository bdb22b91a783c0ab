import { caseExists, isCase, namesIn, readDocument, readTests } from "../docs/named-tests";

const list = readDocument("docs/regressions.md");

/** What the list must have an entry for, by the issues of others that it is about. */
const ISSUES = [
  ...["13405", "13459", "14463", "15269", "15490", "11675", "11587", "11882", "11671", "13131"],
  ...["15540", "15708", "15331"],
].map((number) => `gardener/gardener/issues/${number}`);
const OTHERS = [
  "k0sproject/k0smotron/issues/1439",
  "loft-sh/vcluster/issues/890",
  "envoyproxy/gateway/issues/7554",
  "envoyproxy/gateway/issues/9945",
  "opensearch-project/opensearch-k8s-operator/issues/1260",
  "emberstack/kubernetes-reflector/issues/292",
  "emberstack/kubernetes-reflector/issues/337",
  "emberstack/kubernetes-reflector/issues/341",
  "external-secrets/external-secrets/issues/4548",
  "external-secrets/external-secrets/issues/4225",
  "mittwald/kubernetes-replicator/issues/357",
  "mittwald/kubernetes-replicator/issues/407",
  "stackabletech/secret-operator/issues/707",
  "kyverno/kyverno/issues/9972",
  "envoyproxy/envoy/issues/21235",
];

/** The entries: rows of tables, without the heads. */
const entries = list
  .split("\n")
  .filter((line) => line.startsWith("|") && !/^\| (There|Risk|---)/.test(line));

const named = entries.flatMap(readTests);

describe("the list of regressions", () => {
  it("names a test for each entry", () => {
    expect(entries.length).toBeGreaterThan(30);
    const closed = entries.filter((entry) => !entry.includes("Not closed by fairlead yet"));
    expect(closed.filter((entry) => readTests(entry).length === 0)).toEqual([]);
  });

  it.each([...ISSUES, ...OTHERS])("has an entry for %s", (issue) => {
    expect(list).toContain(`https://github.com/${issue})`);
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
