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

/** A test that a document names: a declarative case by its folder, another one by its file and name. */
export interface NamedTest {
  readonly path: string;
  readonly names: readonly string[];
}

/** The text of a document. */
export function readDocument(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

/** `folder of a case`, or `path`: "name", "name" */
const REFERENCE = /`(test\/cases\/[^`]+|[^`]+\.test\.ts)`(?:: ((?:"[^"]+"(?:, )?)+))?/g;

/** The tests that a text names. */
export function readTests(text: string): readonly NamedTest[] {
  return [...text.matchAll(REFERENCE)].map(([, path = "", names = ""]) => ({
    path,
    names: [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => name),
  }));
}

/** Whether it is a declarative case. */
export function isCase({ path }: NamedTest): boolean {
  return path.startsWith("test/cases/");
}

/** Whether a declarative case exists. */
export function caseExists(path: string): boolean {
  return existsSync(join(root, path, "then.yaml"));
}

/** The names that a file's calls give: of tests, of groups of tests, and of what `each` makes. */
export function namesIn(path: string): ReadonlySet<string> {
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
