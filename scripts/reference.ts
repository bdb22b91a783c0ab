import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import execa from "execa";
import { format } from "prettier";
import { metricsPage } from "../deploy/metrics-page";
import { rightsPage } from "../deploy/rights-page";
import { customResourceDefinitions, type CustomResourceDefinition } from "../lib/api";

/** The part of an OpenAPI v3 schema that the reference shows. */
interface Schema {
  readonly type?: string;
  readonly format?: string;
  readonly description?: string;
  readonly enum?: readonly string[];
  readonly default?: unknown;
  readonly required?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly items?: Schema;
  readonly additionalProperties?: Schema;
  readonly pattern?: string;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly minLength?: number;
  readonly maxLength?: number;
  readonly minItems?: number;
  readonly maxItems?: number;
  readonly "x-kubernetes-validations"?: readonly { readonly message: string }[];
}

interface Version {
  readonly name: string;
  readonly schema: { readonly openAPIV3Schema: Schema };
  readonly additionalPrinterColumns: readonly {
    name: string;
    jsonPath: string;
    priority?: number;
  }[];
}

const FOLDER = "docs/reference";
const METRICS_PAGE = "docs/metrics.md";

interface Names {
  readonly kind: string;
  readonly plural: string;
  readonly shortNames: readonly string[];
}

function typeOf(schema: Schema): string {
  if (schema.type === "array") return `[]${typeOf(schema.items ?? {})}`;
  if (schema.additionalProperties !== undefined) return "map of strings";
  return schema.format ?? schema.type ?? "object";
}

function limitsOf(schema: Schema): string {
  const range = (low: number | undefined, high: number | undefined, of: string): string[] =>
    low === undefined && high === undefined ? [] : [`${low ?? 0} to ${high ?? "any"}${of}`];
  const parts = [
    ...(schema.enum === undefined ? [] : [schema.enum.map((value) => `\`${value}\``).join(", ")]),
    ...(schema.default === undefined ? [] : [`default \`${JSON.stringify(schema.default)}\``]),
    ...range(schema.minimum, schema.maximum, ""),
    ...range(schema.minLength, schema.maxLength, " characters"),
    ...range(schema.minItems, schema.maxItems, " items"),
  ];
  return parts.join("; ");
}

const cell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

function rowsOf(schema: Schema, path: string): string[] {
  const nested = schema.type === "array" ? (schema.items ?? {}) : schema;
  return Object.entries(nested.properties ?? {}).flatMap(([name, child]) => {
    const childPath = `${path}${name}`;
    const required = nested.required?.includes(name) === true ? " (required)" : "";
    const rules = (child["x-kubernetes-validations"] ?? []).map(
      ({ message }) => ` Rule: ${message}.`,
    );
    const text = cell(`${child.description ?? ""}${rules.join("")}`);
    const row = `| \`${childPath}\`${required} | ${typeOf(child)} | ${cell(limitsOf(child))} | ${text} |`;
    return [row, ...rowsOf(child, `${childPath}${child.type === "array" ? "[]." : "."}`)];
  });
}

function sectionOf(definition: CustomResourceDefinition): string {
  const names = definition.spec.names as Names;
  const version = (definition.spec.versions as readonly Version[])[0];
  if (version === undefined) throw new Error(`${names.kind} has no version`);
  const schema = version.schema.openAPIV3Schema;
  const rules = (schema["x-kubernetes-validations"] ?? []).map(({ message }) => `- ${message}`);
  const table = (part: "spec" | "status"): string =>
    [
      `### ${names.kind}: ${part}`,
      "",
      "| Field | Type | Limits | Meaning |",
      "| --- | --- | --- | --- |",
      ...rowsOf(schema.properties?.[part] ?? {}, ""),
    ].join("\n");
  return [
    `## ${names.kind}`,
    "",
    schema.description ?? "",
    "",
    `\`kubectl get ${names.plural}\`, short ${names.shortNames.map((name) => `\`${name}\``).join(", ")}; version \`${version.name}\`.`,
    ...(rules.length === 0 ? [] : ["", ...rules]),
    "",
    table("spec"),
    "",
    table("status"),
  ].join("\n");
}

function apiReference(): string {
  return [
    "# API reference: fairlead.dev",
    "",
    "Made from the schemas in `lib/api` by `npx tsx scripts/reference.ts`.",
    "",
    ...customResourceDefinitions.map((definition) => `${sectionOf(definition)}\n`),
  ].join("\n");
}

/** The arrows between folders, as dependency-cruiser finds them in the code. */
async function arrows(): Promise<string> {
  const folders = "^(capabilities/[^/]+/|lib/[^/]+/)";
  const { stdout } = await execa(
    "depcruise",
    [
      ...["--config", ".dependency-cruiser.cjs", "--output-type", "mermaid"],
      ...["--collapse", folders, "--include-only", "^(pepr\\.ts|capabilities|lib)"],
      ...["pepr.ts", "capabilities", "lib"],
    ],
    { preferLocal: true },
  );
  return [
    "# Arrows",
    "",
    "Which folder uses which, drawn from the code by `npx tsx scripts/reference.ts`.",
    "",
    "```mermaid",
    stdout,
    "```",
  ].join("\n");
}

async function main(): Promise<void> {
  const pages = {
    [`${FOLDER}/api.md`]: apiReference(),
    [`${FOLDER}/arrows.md`]: await arrows(),
    [`${FOLDER}/rights.md`]: rightsPage(),
    [METRICS_PAGE]: metricsPage(readFileSync(METRICS_PAGE, "utf8")),
  };
  mkdirSync(FOLDER, { recursive: true });
  for (const [path, text] of Object.entries(pages)) {
    const isWritten = path === METRICS_PAGE;
    const wanted = isWritten ? text : await format(text, { parser: "markdown", printWidth: 100 });
    if (!process.argv.includes("--check")) writeFileSync(path, wanted);
    else if (!existsSync(path) || readFileSync(path, "utf8") !== wanted) {
      console.error(`${path} is out of date: run npx tsx scripts/reference.ts`);
      process.exitCode = 1;
    }
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
