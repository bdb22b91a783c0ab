import { readFileSync } from "node:fs";
import { availableParallelism, cpus, platform, release, totalmem } from "node:os";
import execa from "execa";
import packageJson from "../../package.json";
import {
  componentOf,
  defaultKubernetesVersion,
  type ProgramName,
} from "../../test/cluster/versions";

/** What it is measured on. */
export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryGiB: number;
  readonly os: string;
  readonly kernel: string;
}

/** Of what is measured; a part that runs another Kubernetes says so by itself. */
export interface Versions {
  readonly node: string;
  readonly kubernetes: string;
  readonly istio: string;
  readonly envoy: string;
  readonly etcd: string;
  readonly fairlead: string;
  /** "none" where there is no Go, since the programs are in the cache. */
  readonly go: string;
}

const GIB = 1024 ** 3;

function osName(): string {
  try {
    const text = readFileSync("/etc/os-release", "utf8");
    return /^PRETTY_NAME="?([^"\n]+)/m.exec(text)?.[1] ?? platform();
  } catch {
    return platform();
  }
}

/** This machine. */
export function thisMachine(): Machine {
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryGiB: Math.round(totalmem() / GIB),
    os: osName(),
    kernel: release(),
  };
}

async function outputOf(command: string, args: readonly string[]): Promise<string | undefined> {
  const { exitCode, stdout } = await execa(command, args, { cwd: __dirname, reject: false });
  return exitCode === 0 ? stdout.trim() : undefined;
}

/** The versions of what the embedded cluster runs by default, and of what runs the bench. */
export async function currentVersions(): Promise<Versions> {
  const of = (program: ProgramName): string =>
    componentOf(program, defaultKubernetesVersion).version;
  const go = await outputOf("go", ["env", "GOVERSION"]);
  return {
    node: process.versions.node,
    kubernetes: of("kube-apiserver"),
    istio: of("pilot-discovery"),
    envoy: of("envoy"),
    etcd: of("etcd"),
    fairlead: packageJson.version,
    go: go?.replace(/^go/, "") ?? "none",
  };
}

/**
 * The commit that is measured, twelve digits; "-dirty" follows where tracked or new files differ from it, but for what the
 * bench itself writes. "unknown" outside of a repository.
 */
export async function currentCommit(written: readonly string[]): Promise<string> {
  const commit = await outputOf("git", ["rev-parse", "--short=12", "HEAD"]);
  if (commit === undefined) return "unknown";
  const others = written.map((path) => `:(exclude,top)${path}`);
  const changes = await outputOf("git", ["status", "--porcelain", "--", ":/", ...others]);
  return changes === "" ? commit : `${commit}-dirty`;
}
