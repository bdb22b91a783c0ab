import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import packageJson from "../../package.json";
import { findPrograms } from "../cluster/binaries";
import { runCommand, type CommandResult } from "../cluster/run-command";
import { silentProgress } from "../cluster/progress";
import type { Cluster } from "../cluster";
import type { AnyObject } from "./api";

/** What `npm run build` made for users to install. */
export interface BuiltInstallation {
  /** dist/fairlead.yaml. */
  readonly manifest: string;
  /** The chart's folder. */
  readonly chart: string;
  /** The chart's archive. */
  readonly archive: string;
  /** What `pepr build` made. */
  readonly peprManifest: string;
}

const distFolder = process.env.FAIRLEAD_DIST ?? resolve(__dirname, "../../dist");

/**
 * Finds what was built.
 * @throws Error when it was not.
 */
export function builtInstallation(): BuiltInstallation {
  const built = {
    manifest: join(distFolder, "fairlead.yaml"),
    chart: join(distFolder, "chart", "fairlead"),
    archive: join(distFolder, `fairlead-${packageJson.version}.tgz`),
    peprManifest: join(distFolder, "pepr-module-fairlead.yaml"),
  };
  const missing = Object.values(built).find((path) => !existsSync(path));
  if (missing !== undefined) throw new Error(`there is no ${missing}; run \`npm run build\` first`);
  return built;
}

/** The objects of a text of YAML documents. */
export function readObjects(text: string): readonly AnyObject[] {
  return parseAllDocuments(text)
    .map((document) => document.toJS() as AnyObject | null)
    .filter((object) => object !== null);
}

/** The objects of the plain manifest. */
export function manifestObjects(): readonly AnyObject[] {
  return readObjects(readFileSync(builtInstallation().manifest, "utf8"));
}

/** The object of a kind and name. */
export function findObject(objects: readonly AnyObject[], kind: string, name: string): AnyObject {
  const found = objects.find((object) => object.kind === kind && object.metadata.name === name);
  if (found === undefined) throw new Error(`there is no ${kind} ${name}`);
  return found;
}

/** Runs Helm, against a cluster where one is given; it keeps its files below the cluster's directory. */
export async function helm(args: readonly string[], cluster?: Cluster): Promise<CommandResult> {
  const { paths } = await findPrograms({ programs: ["helm"], progress: silentProgress });
  const environment =
    cluster === undefined
      ? process.env
      : { ...process.env, KUBECONFIG: cluster.kubeconfigPath, HOME: cluster.directory };
  return runCommand([paths.helm ?? "helm", ...args], { environment });
}
