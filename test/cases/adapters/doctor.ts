import { diagnose, exitCodeOf } from "../../../cli/doctor/diagnose";
import { observe } from "../../../cli/doctor/observe";
import { jsonReport, textReport } from "../../../cli/doctor/report";
import type { KubernetesObject } from "../../../lib/api";
import packageJson from "../../../package.json";
import { clientOf, installedObjects, mergePatch, titleOf } from "../../doctor/installed";
import type { CaseAdapter, Given } from "../runner";

interface World {
  readonly now?: string;
  /** Of the management cluster; default 1.34. */
  readonly minor?: string;
  /** Objects of the installation that are not there, as `Kind namespace/name`. */
  readonly without?: readonly string[];
  /** Objects of the installation that are otherwise: title → JSON merge patch. */
  readonly otherwise?: Readonly<Record<string, Record<string, unknown>>>;
  /** Kinds that the user may not read. */
  readonly refused?: readonly string[];
}

interface Subject {
  readonly kind: "Doctor";
  readonly spec: { readonly namespace?: string; readonly objectsOnly?: boolean };
}

const DEFAULT_NOW = "2026-11-21T12:00:00Z";

async function clusterOf({ world, objects }: Given): Promise<readonly KubernetesObject[]> {
  const { now = DEFAULT_NOW, without = [], otherwise = {} } = world as World;
  const installed = await installedObjects(Date.parse(now));
  const titles = installed.map(titleOf);
  for (const title of [...without, ...Object.keys(otherwise)]) {
    if (!titles.includes(title)) throw new Error(`given.yaml: there is no ${title}`);
  }
  const rest = installed
    .filter((object) => !without.includes(titleOf(object)))
    .map((object) => mergePatch(object, otherwise[titleOf(object)] ?? {}));
  return [...(rest as unknown as readonly KubernetesObject[]), ...objects];
}

async function run(given: Given, when: unknown): Promise<unknown> {
  const { now = DEFAULT_NOW, minor = "34", refused } = given.world as World;
  const { spec } = when as Subject;
  const objects = await clusterOf(given);
  const observed = await observe({
    client: clientOf(objects, { major: "1", minor, gitVersion: `v1.${minor}.0` }, refused),
    nowMs: Date.parse(now),
    version: packageJson.version,
    namespace: spec.namespace,
    withInstallation: spec.objectsOnly !== true,
  });
  const diagnosis = diagnose(observed);
  const reports = [
    jsonReport(diagnosis, observed),
    textReport(diagnosis, observed, { color: false, wide: true }),
  ];
  if (reports.join("").includes("nobody may print")) throw new Error("a key is told");
  const { checks, ...rest } = diagnosis;
  return {
    exitCode: exitCodeOf(diagnosis),
    checks: Object.fromEntries(
      checks.filter(({ result }) => result !== "ok").map(({ name, result }) => [name, result]),
    ),
    ...rest,
  };
}

/**
 * `when.yaml` is `kind: Doctor` with what it is asked for. The cluster has a hardened installation that works, but for
 * what the World says, and the objects of given.yaml.
 */
export const adapter: CaseAdapter = {
  capability: "doctor",
  worldKeys: ["now", "minor", "without", "otherwise", "refused"],
  run,
};
