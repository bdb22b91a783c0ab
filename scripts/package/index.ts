import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { build } from "esbuild";
import execa from "execa";
import { installationOf } from "../../deploy/chart";
import { dashboardJson } from "../../deploy/dashboard";
import { packModule } from "../../deploy/objects";
import { readPeprOutput } from "./pepr-output";

/** What the step reads, and where it writes. */
export interface PackageRequest {
  /** The folder with Pepr's output, `dist`; the results go there too. */
  readonly dist: string;
  readonly version: string;
  readonly description: string;
}

/** What was written, by its path. */
export interface PackageResult {
  readonly manifest: string;
  /** The chart's folder. */
  readonly chart: string;
  /** The chart's archive. */
  readonly archive: string;
  /** The Grafana dashboard, for who imports it by hand. */
  readonly dashboard: string;
}

/** The program that starts the module in its container, in one file. */
export async function bundleLauncher(): Promise<string> {
  const { outputFiles } = await build({
    entryPoints: [join(__dirname, "../../deploy/launch/main.ts")],
    bundle: true,
    write: false,
    platform: "node",
    format: "cjs",
    target: "node20",
    legalComments: "none",
  });
  return outputFiles[0]?.text ?? "";
}

function write(path: string, text: string): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, text);
}

/**
 * Makes what users install from what `pepr build` made: `fairlead.yaml`, the chart, and its archive.
 * @throws {PeprOutputError} where Pepr's output is not as it is known.
 */
export async function packageModule(request: PackageRequest): Promise<PackageResult> {
  const { dist, version, description } = request;
  const source = readFileSync(join(dist, "pepr-fairlead.js"));
  const pepr = readPeprOutput(
    readFileSync(join(dist, "pepr-module-fairlead.yaml"), "utf8"),
    source,
  );
  const { manifest, chart } = installationOf({
    version,
    description,
    image: pepr.image,
    failurePolicy: pepr.failurePolicy,
    module: packModule(source, await bundleLauncher()),
  });
  // Pepr's own chart replaces the timeout's digits everywhere, in certificates too.
  rmSync(join(dist, "fairlead-chart"), { recursive: true, force: true });
  const paths = {
    manifest: join(dist, "fairlead.yaml"),
    chart: join(dist, "chart", "fairlead"),
    archive: join(dist, `fairlead-${version}.tgz`),
    dashboard: join(dist, "grafana-dashboard.json"),
  };
  rmSync(dirname(paths.chart), { recursive: true, force: true });
  write(paths.manifest, manifest);
  write(paths.dashboard, dashboardJson());
  for (const [path, text] of Object.entries(chart)) write(join(paths.chart, path), text);
  await execa("tar", ["-czf", paths.archive, "-C", dirname(paths.chart), "fairlead"]);
  return paths;
}
