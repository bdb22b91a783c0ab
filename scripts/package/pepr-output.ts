import { createHash } from "node:crypto";
import { gunzipSync } from "node:zlib";
import { parseAllDocuments } from "yaml";
import type { FailurePolicy } from "../../deploy/objects";

/** What of Pepr's own manifest goes into fairlead's. */
export interface PeprOutput {
  /** The image of Pepr's controller. */
  readonly image: string;
  readonly failurePolicy: FailurePolicy;
  /** Of the module, in hex. */
  readonly sha256: string;
}

/** Pepr's output is not what this step was written for. */
export class PeprOutputError extends Error {
  override readonly name = "PeprOutputError";
}

interface AnyObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
  readonly data?: Readonly<Record<string, string>>;
  readonly spec?: {
    readonly template?: {
      readonly spec: {
        readonly containers: readonly {
          readonly image: string;
          readonly args: readonly string[];
        }[];
      };
    };
  };
  readonly webhooks?: readonly { readonly name: string; readonly failurePolicy: string }[];
}

/** `kind name` of all that Pepr's manifest holds; each has its counterpart in deploy/objects. */
const expected: readonly string[] = [
  "ClusterRole pepr-fairlead",
  "ClusterRoleBinding pepr-fairlead",
  "Deployment pepr-fairlead",
  "Deployment pepr-fairlead-watcher",
  "MutatingWebhookConfiguration pepr-fairlead",
  "Namespace pepr-system",
  "Role pepr-fairlead-store",
  "RoleBinding pepr-fairlead-store",
  "Secret pepr-fairlead-api-path",
  "Secret pepr-fairlead-module",
  "Secret pepr-fairlead-tls",
  "Service pepr-fairlead",
  "Service pepr-fairlead-watcher",
  "ServiceAccount pepr-fairlead",
];

const nameOf = ({ kind, metadata }: AnyObject): string => `${kind} ${metadata.name}`;

function find(objects: readonly AnyObject[], name: string): AnyObject {
  const found = objects.find((object) => nameOf(object) === name);
  if (found === undefined) throw new PeprOutputError(`Pepr's manifest has no ${name}`);
  return found;
}

function requireExpected(objects: readonly AnyObject[]): void {
  const names = objects.map(nameOf).sort();
  const unknown = names.filter((name) => !expected.includes(name));
  const missing = expected.filter((name) => !names.includes(name));
  if (unknown.length + missing.length === 0) return;
  throw new PeprOutputError(
    `Pepr's manifest has changed (new: ${unknown.join(", ") || "none"}; gone: ${missing.join(", ") || "none"}): see what deploy/objects has to do about it`,
  );
}

function readFailurePolicy(configuration: AnyObject): FailurePolicy {
  const [webhook, ...others] = configuration.webhooks ?? [];
  const policy = webhook?.failurePolicy;
  if (others.length > 0 || (policy !== "Fail" && policy !== "Ignore")) {
    throw new PeprOutputError("Pepr's manifest is to have one webhook, with a failurePolicy");
  }
  return policy;
}

function requireModule(secret: AnyObject, sha256: string): void {
  const packed = secret.data?.[`module-${sha256}.js.gz`] ?? "";
  const source = packed === "" ? undefined : gunzipSync(Buffer.from(packed, "base64"));
  const actual = source && createHash("sha256").update(source).digest("hex");
  if (actual !== sha256) throw new PeprOutputError("Pepr's manifest does not hold the module");
}

/**
 * Reads what `pepr build` wrote.
 * @param manifest dist/pepr-module-fairlead.yaml.
 * @param module dist/pepr-fairlead.js, which must be the module in it.
 * @throws {PeprOutputError} where it holds other objects than it is known to, so that a new Pepr is not taken unseen.
 */
export function readPeprOutput(manifest: string, module: Buffer): PeprOutput {
  const objects = parseAllDocuments(manifest).map((document) => document.toJS() as AnyObject);
  requireExpected(objects);
  const sha256 = createHash("sha256").update(module).digest("hex");
  requireModule(find(objects, "Secret pepr-fairlead-module"), sha256);
  const images = ["Deployment pepr-fairlead", "Deployment pepr-fairlead-watcher"]
    .map((name) => find(objects, name))
    .flatMap(({ spec }) => spec?.template?.spec.containers ?? [])
    .map(({ image }) => image);
  const [image] = images;
  if (image === undefined || images.some((other) => other !== image)) {
    throw new PeprOutputError("Pepr's manifest is to have one image for both processes");
  }
  const configuration = find(objects, "MutatingWebhookConfiguration pepr-fairlead");
  return { image, failurePolicy: readFailurePolicy(configuration), sha256 };
}
