import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { KubernetesObject } from "../../lib/api";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { findPrograms } from "../cluster/binaries";
import { silentProgress } from "../cluster/progress";
import { eventually } from "../harness/eventually";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(600_000);

const CASES = join(__dirname, "../cases");

function isObject(value: unknown): value is KubernetesObject {
  return typeof value === "object" && value !== null && "apiVersion" in value && "kind" in value;
}

function objectsIn(value: unknown): readonly KubernetesObject[] {
  if (isObject(value)) return [value];
  if (typeof value !== "object" || value === null) return [];
  return Object.values(value).flatMap(objectsIn);
}

/** What comes out of all cases of a capability, each with the name of its case. */
function outcomesOf(capability: string): (readonly [string, KubernetesObject])[] {
  const folder = join(CASES, capability);
  return readdirSync(folder).flatMap((name) =>
    objectsIn(parse(readFileSync(join(folder, name, "then.yaml"), "utf8"))).map(
      (object): [string, KubernetesObject] => [`${object.kind} of ${name}`, object],
    ),
  );
}

/** Owners that do not exist are no matter of schemas, and their UIDs in the cases are short. */
function withoutOwners(object: KubernetesObject): KubernetesObject {
  const { ownerReferences: _owners, ...metadata } = object.metadata;
  return { ...object, metadata };
}

describeDataPlane("Istio's schemas", () => {
  let cluster: EmbeddedCluster;
  const outcomes = [...outcomesOf("exposure-resources"), ...outcomesOf("network-policies")];

  /** Asks the API server whether it would take an object, unknown fields being errors. */
  async function tryObject(object: KubernetesObject): Promise<string> {
    const args = ["apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-"];
    const input = JSON.stringify(withoutOwners(object));
    const { exitCode, stderr } = await cluster.kubectl(args, { input });
    return exitCode === 0 ? "taken" : stderr;
  }

  async function succeed(args: readonly string[]): Promise<void> {
    const { exitCode, stderr } = await cluster.kubectl(args);
    if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  }

  beforeAll(async () => {
    const programs = await findPrograms({
      programs: ["crd-all.gen.yaml"],
      progress: silentProgress,
    });
    cluster = await startCluster();
    const crds = programs.paths["crd-all.gen.yaml"] ?? "";
    await succeed(["apply", "--server-side", "-f", crds]);
    await succeed(["wait", "--for=condition=Established", "--timeout=60s", "-f", crds]);
    for (const name of ["istio-ingress", "istio-ingress-a", "tenant-a"]) {
      await succeed(["create", "namespace", name]);
    }
    // kubectl goes by discovery, which hears of each definition for itself, and later.
    const oneOfEach = new Map(outcomes.map(([, object]) => [object.kind, object]));
    for (const object of oneOfEach.values()) {
      await eventually(async () => {
        const said = await tryObject(object);
        if (said.includes("no matches for kind")) throw new Error(said);
      });
    }
  });

  afterAll(async () => {
    await cluster.stop();
  });

  it.each(outcomes)("take the %s", async (_name, object) => {
    expect(await tryObject(object)).toBe("taken");
  });

  it("are asked strictly: a field that they do not have is refused", async () => {
    const [, object] = outcomesOf("exposure-resources")[0] ?? [];
    if (object === undefined) throw new Error("there is no case");
    const misspelt = { ...object, spec: { ...(object as { spec?: object }).spec, exportsTo: [] } };
    expect(await tryObject(misspelt)).toContain("exportsTo");
  });
});
