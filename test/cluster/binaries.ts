import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { buildPrograms, type BuildTarget, programPath } from "./build";
import type { Progress } from "./progress";
import {
  canBuild,
  componentOf,
  defaultKubernetesVersion,
  originOf,
  parseKubernetesVersion,
  type ProgramName,
} from "./versions";

/** The environment variables that say where programs are. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** Which programs are needed. */
export interface ProgramsRequest {
  /** Such as "1.34.4"; without it KUBEBUILDER_ASSETS' version, else the default one. */
  readonly version?: string | undefined;
  readonly programs: readonly ProgramName[];
  readonly progress: Progress;
  readonly signal?: AbortSignal | undefined;
  /** Default process.env. */
  readonly environment?: Environment | undefined;
}

/** Where each program is (absolute paths), and the Kubernetes version that they are of. */
export interface Programs {
  readonly version: string;
  readonly paths: Readonly<Partial<Record<ProgramName, string>>>;
  /** Where they were found, in words for the user. */
  readonly source: string;
}

/** A program that is in none of the places and cannot be built. */
class ProgramMissingError extends Error {
  override readonly name = "ProgramMissingError";
}

/** FAIRLEAD_CACHE, else `fairlead` below XDG_CACHE_HOME, else `~/.cache/fairlead`. */
export function cacheDirectory(environment: Environment = process.env): string {
  const own = environment.FAIRLEAD_CACHE;
  if (own !== undefined && own !== "") return own;
  const shared = environment.XDG_CACHE_HOME;
  const base = shared !== undefined && shared !== "" ? shared : join(homedir(), ".cache");
  return join(base, "fairlead");
}

/** A program's place in the cache. */
export function cachedPath(cache: string, program: ProgramName, version: string): string {
  return programPath(cache, componentOf(program, version), program);
}

/**
 * Finds programs in KUBEBUILDER_ASSETS, else in the cache, else builds them into it.
 * @throws {UnknownVersionError} for a version that is neither there nor pinned,
 * {ProgramMissingError} for a program that cannot be built, and what `buildPrograms` throws.
 */
export async function findPrograms(request: ProgramsRequest): Promise<Programs> {
  const environment = request.environment ?? process.env;
  const assets = await findAssets(environment, request.version);
  const version =
    assets?.version ?? parseKubernetesVersion(request.version ?? defaultKubernetesVersion);
  const cache = cacheDirectory(environment);
  const wanted = [...new Set(request.programs)];
  const places = await Promise.all(
    wanted.map(async (program) => {
      const fromAssets = assets === undefined ? undefined : join(assets.directory, program);
      const isFromAssets = fromAssets !== undefined && (await isExecutable(fromAssets));
      const path = isFromAssets ? fromAssets : cachedPath(cache, program, version);
      return { program, path, isThere: isFromAssets || (await isUsable(path, program)) };
    }),
  );
  const missing = places.filter((place) => !place.isThere).map((place) => place.program);
  if (missing.length > 0) await build({ ...request, environment }, version, missing);
  return {
    version,
    paths: Object.fromEntries(places.map(({ program, path }) => [program, path])),
    source: assets === undefined ? `cache ${cache}` : `KUBEBUILDER_ASSETS ${assets.directory}`,
  };
}

async function build(
  request: ProgramsRequest & { readonly environment: Environment },
  version: string,
  missing: readonly ProgramName[],
): Promise<void> {
  // KUBEBUILDER_ASSETS may be of any version, and lack a program (the controller manager, say).
  const known = parseKubernetesVersion(version);
  const impossible = missing.find((program) => !canBuild(program, known));
  if (impossible !== undefined) {
    throw new ProgramMissingError(
      `${impossible} ${known} is not pinned below test/cluster/go. ` +
        "Use 1.33 or newer, or a KUBEBUILDER_ASSETS directory that has it.",
    );
  }
  const { progress, signal, environment } = request;
  await buildPrograms(targetsOf(known, missing), {
    cache: cacheDirectory(environment),
    environment,
    progress,
    signal,
  });
}

/** One build target for each Go module that the programs come from. */
export function targetsOf(version: string, programs: readonly ProgramName[]): BuildTarget[] {
  const targets = new Map<string, BuildTarget>();
  for (const program of programs) {
    const component = componentOf(program, version);
    const target = targets.get(component.directory) ?? { component, programs: [] };
    targets.set(component.directory, { component, programs: [...target.programs, program] });
  }
  return [...targets.values()];
}

interface Assets {
  readonly directory: string;
  readonly version: string;
}

// Taken when no version was asked for, or when it is the one that was asked for.
async function findAssets(
  environment: Environment,
  asked: string | undefined,
): Promise<Assets | undefined> {
  const directory = environment.KUBEBUILDER_ASSETS;
  if (directory === undefined || directory === "") return undefined;
  const needed: readonly ProgramName[] = ["etcd", "kube-apiserver", "kubectl"];
  const present = await Promise.all(
    needed.map(async (program) => isExecutable(join(directory, program))),
  );
  if (present.includes(false)) {
    const absent = needed.filter((_, index) => present[index] === false).join(", ");
    throw new ProgramMissingError(
      `KUBEBUILDER_ASSETS is ${directory}, which does not have: ${absent}. ` +
        "Unset it, or install them there, for example with setup-envtest.",
    );
  }
  const version = await reportedVersion(join(directory, "kube-apiserver"));
  return asked === undefined || isSameVersion(asked, version) ? { directory, version } : undefined;
}

/** Whether "1.34", "v1.34.4" or "1.34.4" means the version "1.34.4". */
export function isSameVersion(asked: string, version: string): boolean {
  const bare = asked.trim().replace(/^v/, "");
  return bare === version || version.startsWith(`${bare}.`);
}

async function reportedVersion(program: string): Promise<string> {
  const { stdout } = await promisify(execFile)(program, ["--version"]);
  const version = /^Kubernetes v(\S+)/.exec(stdout)?.[1];
  if (version === undefined) {
    throw new ProgramMissingError(`${program} --version does not tell its version: ${stdout}`);
  }
  return version;
}

async function isUsable(path: string, program: ProgramName): Promise<boolean> {
  if (originOf(program).kind !== "module") return isExecutable(path);
  return access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}
