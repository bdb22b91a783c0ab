import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { stringify } from "yaml";
import { readModule } from "../../deploy/launch/launch";
import { packModule } from "../../deploy/objects";
import { bundleLauncher } from "../../scripts/package";
import { PeprOutputError, readPeprOutput } from "../../scripts/package/pepr-output";

interface AnyObject {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string };
}

const source = Buffer.from('console.log("started", require("greeting"), __filename);');
const sha256 = createHash("sha256").update(source).digest("hex");
const image = "registry.example.com/controller:v1";

interface Options {
  readonly images?: readonly string[];
  readonly failurePolicy?: string;
  readonly more?: readonly AnyObject[];
  readonly without?: string;
}

/** What Pepr's manifest has of what is read, and the names of the rest. */
function peprManifest(options: Options = {}): string {
  const { images = [image, image], failurePolicy = "Fail", more = [], without = "" } = options;
  const object = (kind: string, name: string, fields: object = {}): AnyObject => ({
    apiVersion: "v1",
    kind,
    metadata: { name },
    ...fields,
  });
  const deployment = (name: string, of: string | undefined) =>
    object("Deployment", name, { spec: { template: { spec: { containers: [{ image: of }] } } } });
  const packed = gzipSync(source).toString("base64");
  const objects = [
    object("Namespace", "pepr-system"),
    object("ClusterRole", "pepr-fairlead"),
    object("ClusterRoleBinding", "pepr-fairlead"),
    object("ServiceAccount", "pepr-fairlead"),
    object("Secret", "pepr-fairlead-api-path"),
    object("Secret", "pepr-fairlead-tls"),
    object("Secret", "pepr-fairlead-module", { data: { [`module-${sha256}.js.gz`]: packed } }),
    object("Role", "pepr-fairlead-store"),
    object("RoleBinding", "pepr-fairlead-store"),
    deployment("pepr-fairlead-watcher", images[0]),
    deployment("pepr-fairlead", images[1]),
    object("Service", "pepr-fairlead"),
    object("Service", "pepr-fairlead-watcher"),
    object("MutatingWebhookConfiguration", "pepr-fairlead", {
      webhooks: [{ name: "pepr-fairlead.pepr.dev", failurePolicy }],
    }),
    ...more,
  ];
  return objects
    .filter(({ kind, metadata }) => `${kind} ${metadata.name}` !== without)
    .map((one) => stringify(one))
    .join("---\n");
}

describe("Pepr's output", () => {
  it("is read for the image, the module and the failure policy", () => {
    expect(readPeprOutput(peprManifest(), source)).toEqual({
      image,
      failurePolicy: "Fail",
      sha256,
    });
  });

  it.each<[string, Options, string]>([
    [
      "an object that is not known",
      { more: [{ apiVersion: "v1", kind: "Secret", metadata: { name: "new" } }] },
      "new: Secret new; gone: none",
    ],
    ["an object less", { without: "Service pepr-fairlead" }, "gone: Service pepr-fairlead)"],
    ["two images", { images: [image, "other"] }, "one image for both processes"],
    ["another failure policy", { failurePolicy: "Maybe" }, "with a failurePolicy"],
  ])("is refused with %s", (_, options, message) => {
    expect(() => readPeprOutput(peprManifest(options), source)).toThrow(PeprOutputError);
    expect(() => readPeprOutput(peprManifest(options), source)).toThrow(message);
  });

  it("is refused with another module than the one beside it", () => {
    expect(() => readPeprOutput(peprManifest(), Buffer.from("other"))).toThrow(
      "does not hold the module",
    );
  });
});

describe("the launcher", () => {
  let root = "";
  let folder = "";
  const packed = packModule(source, "");

  beforeEach(() => {
    root = realpathSync(mkdtempSync(join(tmpdir(), "fairlead-launch-")));
    folder = join(root, "fairlead");
    mkdirSync(folder);
    for (const { file, content } of packed.parts) writeFileSync(join(folder, file), content);
  });
  afterEach(() => {
    rmSync(root, { recursive: true });
  });

  it("runs the module with the packages of the working directory, in one process", async () => {
    const app = join(root, "app");
    mkdirSync(join(app, "node_modules", "greeting"), { recursive: true });
    writeFileSync(join(app, "node_modules", "greeting", "index.js"), 'module.exports = "hello";');
    const script = join(folder, "launch.cjs");
    writeFileSync(script, await bundleLauncher());
    const run = (hash: string) =>
      spawnSync(process.execPath, [script, hash], { cwd: app, encoding: "utf8" });

    const other = sha256.replace(/^./, (digit) => (digit === "0" ? "1" : "0"));
    const stdout = `started hello ${join(app, "fairlead.js")}\n`;
    expect(run(sha256)).toMatchObject({ status: 0, stdout });
    expect(run(other).status).not.toBe(0);
    expect(run(other).stderr).toContain(`the module is ${sha256}; ${other} was to be started`);
  });

  it("puts many parts together in their order, and misses none", () => {
    const random = Buffer.from(
      Array.from({ length: 40_000 }, (_, index) =>
        createHash("sha256").update(String(index)).digest("hex"),
      ).join(""),
    );
    const { parts, sha256: hash } = packModule(random, "");
    expect(parts.length).toBeGreaterThan(8);
    for (const { file, content } of parts) writeFileSync(join(folder, file), content);

    expect(readModule(folder, hash)).toBe(random.toString("utf8"));
    rmSync(join(folder, parts[1]?.file ?? ""));
    expect(() => readModule(folder, hash)).toThrow();
  });

  it("gives another launcher or module another name, so that both may be there", () => {
    const names = (launcher: string, text: string) =>
      JSON.stringify(packModule(Buffer.from(text), launcher));

    expect(new Set([names("a", "b"), names("a", "c"), names("b", "b")]).size).toBe(3);
  });
});
