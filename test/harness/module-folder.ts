import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { findObject, manifestObjects } from "./installation";

/** What a container of the manifest runs: the program's arguments, and the files that its Pod mounts. */
export interface LaunchedModule {
  /** Of `node`. */
  readonly args: readonly string[];
}

interface PodSpec {
  readonly containers: readonly [{ readonly args: readonly string[] }];
  readonly volumes: readonly {
    readonly projected?: {
      readonly sources: readonly { readonly configMap: { readonly name: string } }[];
    };
  }[];
}

/** Where the manifest's containers find them. */
const MOUNT_PATH = "/fairlead";

/**
 * Writes the files that the admission replicas mount, as the manifest has them in ConfigMaps, to a folder.
 * @returns how the program is started from there.
 */
export function writeModule(folder: string): LaunchedModule {
  const objects = manifestObjects();
  const { spec } = findObject(objects, "Deployment", "pepr-fairlead");
  const { containers, volumes } = (spec as unknown as { template: { spec: PodSpec } }).template
    .spec;
  const sources = volumes.flatMap(({ projected }) => projected?.sources ?? []);
  const files = sources.flatMap(({ configMap }) => {
    const { data = {}, binaryData = {} } = findObject(objects, "ConfigMap", configMap.name) as {
      data?: Record<string, string>;
      binaryData?: Record<string, string>;
    };
    const binaries = Object.entries(binaryData).map(
      ([name, content]) => [name, Buffer.from(content, "base64")] as const,
    );
    return [...Object.entries(data), ...binaries];
  });
  mkdirSync(folder, { recursive: true });
  for (const [name, content] of files) writeFileSync(join(folder, name), content);
  return { args: containers[0].args.map((arg) => arg.replace(MOUNT_PATH, folder)) };
}
