import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import {
  createSourceFile,
  forEachChild,
  isCallExpression,
  isNoSubstitutionTemplateLiteral,
  isStringLiteral,
  ScriptTarget,
  type Node,
} from "typescript";

const root = resolve(__dirname, "../..");
const list = readFileSync(join(root, "docs/regressions.md"), "utf8");

/** A test that the list names: a declarative case by its folder, another one by its file and name. */
interface NamedTest {
  readonly path: string;
  readonly names: readonly string[];
}

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

/** `folder of a case`, or `path`: "name", "name" */
const REFERENCE = /`(test\/cases\/[^`]+|[^`]+\.test\.ts)`(?:: ((?:"[^"]+"(?:, )?)+))?/g;

/** The entries: rows of tables, without the heads. */
const entries = list
  .split("\n")
  .filter((line) => line.startsWith("|") && !/^\| (There|Risk|---)/.test(line));

function readTests(text: string): readonly NamedTest[] {
  return [...text.matchAll(REFERENCE)].map(([, path = "", names = ""]) => ({
    path,
    names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name),
  }));
}

/** The names that a file's calls give: of tests, of groups of tests, and of what `each` makes. */
function namesIn(path: string): ReadonlySet<string> {
  const text = readFileSync(join(root, path), "utf8");
  const names = new Set<string>();
  const visit = (node: Node): void => {
    if (isCallExpression(node) && /^(it|test|describe)/.test(node.expression.getText(source))) {
      const [name] = node.arguments;
      if (name !== undefined && (isStringLiteral(name) || isNoSubstitutionTemplateLiteral(name))) {
        names.add(name.text);
      }
    }
    forEachChild(node, visit);
  };
  const source = createSourceFile(path, text, ScriptTarget.Latest, true);
  visit(source);
  return names;
}

const isCase = ({ path }: NamedTest): boolean => path.startsWith("test/cases/");
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
    expect(existsSync(join(root, path, "then.yaml"))).toBe(true);
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
