import { createHash } from "node:crypto";
import { Document, type ScalarTag } from "yaml";

// The objects that users install are written once, as plain objects with placeholders in them. The manifest is what
// comes of them with the default values; the chart's templates are the same objects with Helm's expressions in those
// places. Nothing is replaced in text, so what an object holds can't be mistaken for a placeholder.

/** A place in an object whose value a user of the chart may choose. */
export class Placeholder {
  /** @param source Where the value comes from. */
  constructor(readonly source: Source) {}
}

type Source =
  /** A value, by its path in values.yaml: `image.reference`. */
  | { readonly kind: "value"; readonly path: string }
  /** A list of strings, sorted. */
  | { readonly kind: "sorted"; readonly path: string }
  /** A list of strings as one, with commas; empty unless another value is true. */
  | { readonly kind: "joined"; readonly path: string; readonly only: string }
  /** A hash of a value, which changes when it does. */
  | { readonly kind: "checksum"; readonly path: string }
  /** The element for which an entry is repeated. */
  | { readonly kind: "item" }
  /** A text as it is, though Helm would take a part of it for its own. */
  | { readonly kind: "text"; readonly text: string };

/** A value, by its path in values.yaml. */
export const value = (path: string): Placeholder => new Placeholder({ kind: "value", path });
/** A list of strings by its path in values.yaml, sorted. */
export const sorted = (path: string): Placeholder => new Placeholder({ kind: "sorted", path });
/** A list of strings as one, with commas; empty unless the value at `only` is true. */
export const joined = (path: string, only: string): Placeholder =>
  new Placeholder({ kind: "joined", path, only });
/** A hash of a value of values.yaml. */
export const checksum = (path: string): Placeholder => new Placeholder({ kind: "checksum", path });
/** The element for which an entry is repeated. */
export const item: Placeholder = new Placeholder({ kind: "item" });

/** An object as it is written: any JSON, with placeholders. */
export type Template = Readonly<Record<string, unknown>>;

/** A value that an entry depends on. */
export type Condition =
  | { readonly path: string; readonly is: boolean | string }
  | { readonly path: string; readonly isNot: string };

function holds(condition: Condition, values: Values): boolean {
  const found = lookUp(values, condition.path);
  return "is" in condition ? found === condition.is : found !== condition.isNot;
}

/** An object to install. */
export interface Entry {
  readonly object: Template;
  /** It is there only if all of these hold. */
  readonly when?: readonly Condition[];
  /** It is there for each element of this list (of strings), by its path in values.yaml. */
  readonly each?: string;
}

/** values.yaml. */
export type Values = Readonly<Record<string, unknown>>;

function lookUp(values: Values, path: string): unknown {
  return path.split(".").reduce<unknown>((at, key) => {
    const found = (at as Values | undefined)?.[key];
    if (found === undefined) throw new Error(`there is no value ${path}`);
    return found;
  }, values);
}

/** JSON as Helm's toJson writes it: maps sorted by their keys. */
function sortedJson(data: unknown): string {
  return JSON.stringify(data, (_key, part: unknown) =>
    typeof part === "object" && part !== null && !Array.isArray(part)
      ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1)))
      : part,
  );
}

function resolveSource(source: Source, values: Values, element: string | undefined): unknown {
  switch (source.kind) {
    case "value":
      return lookUp(values, source.path);
    case "sorted":
      return [...(lookUp(values, source.path) as readonly string[])].sort();
    case "joined":
      if (lookUp(values, source.only) !== true) return "";
      return (lookUp(values, source.path) as readonly string[]).join(",");
    case "checksum":
      return createHash("sha256")
        .update(sortedJson(lookUp(values, source.path)))
        .digest("hex");
    case "item":
      if (element === undefined) throw new Error("item outside of an entry with each");
      return element;
    case "text":
      return source.text;
  }
}

function fill(part: unknown, values: Values, element: string | undefined): unknown {
  if (part instanceof Placeholder) return resolveSource(part.source, values, element);
  if (Array.isArray(part)) return part.map((each) => fill(each, values, element));
  if (typeof part !== "object" || part === null) return part;
  return Object.fromEntries(
    Object.entries(part).map(([key, each]) => [key, fill(each, values, element)]),
  );
}

/**
 * The objects that come of entries with these values.
 * @throws Error for a path that values do not have (a bug).
 */
export function fillIn(entries: readonly Entry[], values: Values): readonly Template[] {
  return entries
    .filter(({ when = [] }) => when.every((condition) => holds(condition, values)))
    .flatMap(({ object, each }) => {
      const elements =
        each === undefined ? [undefined] : (lookUp(values, each) as readonly string[]);
      return elements.map((element) => fill(object, values, element) as Template);
    });
}

function expressionOf(source: Source): string {
  switch (source.kind) {
    case "value":
      return `toJson $.Values.${source.path}`;
    case "sorted":
      return `toJson (sortAlpha $.Values.${source.path})`;
    case "joined":
      return `toJson (ternary (join "," $.Values.${source.path}) "" $.Values.${source.only})`;
    case "checksum":
      return `toJson (sha256sum (toJson $.Values.${source.path}))`;
    case "item":
      return "toJson $item";
    case "text":
      // A string of JSON is one of Go's, too.
      return `toJson ${JSON.stringify(source.text)}`;
  }
}

/** A placeholder is written as an expression that gives JSON, which is YAML on one line whatever the value is. */
const placeholderTag: ScalarTag = {
  tag: "!placeholder",
  default: true,
  identify: (part) => part instanceof Placeholder,
  resolve: () => {
    throw new Error("placeholders are only written");
  },
  stringify: ({ value: part }) => `{{ ${expressionOf((part as Placeholder).source)} }}`,
};

/** How objects are written; strings that YAML 1.1 reads otherwise are quoted, since kubectl and Helm read that. */
const style = { lineWidth: 0, aliasDuplicateObjects: false } as const;
const schema = { schema: "core", compat: "yaml-1.1" } as const;

/** Objects as YAML documents. */
export function toManifest(objects: readonly Template[]): string {
  return objects
    .map((object) => `---\n${new Document(object, { ...schema, ...style }).toString(style)}`)
    .join("");
}

/** Texts with braces (a dashboard's, an alert's) are not Helm's. */
function guard(part: unknown): unknown {
  if (typeof part === "string" && part.includes("{{")) {
    return new Placeholder({ kind: "text", text: part });
  }
  if (part instanceof Placeholder || typeof part !== "object" || part === null) return part;
  if (Array.isArray(part)) return part.map(guard);
  return Object.fromEntries(Object.entries(part).map(([key, each]) => [key, guard(each)]));
}

function condition(part: Condition): string {
  const found = `$.Values.${part.path}`;
  if ("isNot" in part) return `(ne ${found} ${JSON.stringify(part.isNot)})`;
  if (typeof part.is === "string") return `(eq ${found} ${JSON.stringify(part.is)})`;
  return part.is ? found : `(not ${found})`;
}

/** An entry as a part of a Helm template. */
export function toTemplate({ object, when = [], each }: Entry): string {
  const customTags = [placeholderTag];
  const document = new Document(guard(object), { ...schema, ...style, customTags });
  const opening = [
    ...(when.length > 0 ? [`{{- if and ${when.map(condition).join(" ")} }}`] : []),
    ...(each === undefined ? [] : [`{{- range $item := $.Values.${each} }}`]),
  ];
  const body = `---\n${document.toString(style)}`;
  return [...opening, body.trimEnd(), ...opening.map(() => "{{- end }}")].join("\n") + "\n";
}
