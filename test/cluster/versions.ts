import { join } from "node:path";

/** The Kubernetes versions whose modules are pinned below `go/`, oldest first. */
export const kubernetesVersions = [
  "1.31.14",
  "1.32.13",
  "1.33.13",
  "1.34.4",
  "1.35.4",
  "1.36.3",
] as const;

/** What a cluster runs when no version is asked for. */
export const defaultKubernetesVersion = "1.34.4";

/** The one etcd that serves all Kubernetes versions. */
const etcdVersion = "3.6.16";

/** Programs of k8s.io/kubernetes that a cluster can run. */
type KubernetesProgram = "kube-apiserver" | "kubectl" | "kube-controller-manager";

/** Every program that the embedded cluster knows. */
export type ProgramName = "etcd" | KubernetesProgram;

/** One Go module below `go/` and the directory of the cache that its programs go to. */
export interface Component {
  /** For example `kubernetes-1.34.4`: directory below `go/`, and below `bin/` in the cache. */
  readonly directory: string;
  readonly version: string;
  readonly kind: "etcd" | "kubernetes";
}

/** A version that has no pinned module. */
export class UnknownVersionError extends Error {
  override readonly name = "UnknownVersionError";
}

// Its k8s.io/kube-scheduler modules are not in the go.sum of these two: the Go proxy refused them.
const versionsWithoutControllerManager: readonly string[] = ["1.31.14", "1.32.13"];

/**
 * Resolves what a user typed (`1.34.4`, `v1.34.4` or just `1.34`) to a pinned version.
 * @throws {UnknownVersionError} with the list of known versions.
 */
export function parseKubernetesVersion(text: string): string {
  const bare = text.trim().replace(/^v/, "");
  const found = kubernetesVersions.find(
    (version) => version === bare || version.startsWith(`${bare}.`),
  );
  if (found !== undefined && bare.includes(".")) return found;
  throw new UnknownVersionError(
    `Kubernetes ${text} is not one of the versions that the embedded cluster can build: ` +
      `${kubernetesVersions.join(", ")}.`,
  );
}

/** The module that holds a program of a (known) Kubernetes version. */
export function componentOf(program: ProgramName, kubernetesVersion: string): Component {
  return program === "etcd"
    ? { kind: "etcd", version: etcdVersion, directory: `etcd-${etcdVersion}` }
    : {
        kind: "kubernetes",
        version: kubernetesVersion,
        directory: `kubernetes-${kubernetesVersion}`,
      };
}

/** Whether a program can be built at a version; only the controller manager has gaps. */
export function canBuild(program: ProgramName, kubernetesVersion: string): boolean {
  return (
    program !== "kube-controller-manager" ||
    !versionsWithoutControllerManager.includes(kubernetesVersion)
  );
}

/** Where a component's go.mod and go.sum are. */
export function moduleDirectory(component: Component): string {
  return join(__dirname, "go", component.kind === "etcd" ? "etcd" : component.directory);
}

/** The Go package that a program is built from. */
export function goPackage(program: ProgramName): string {
  return program === "etcd" ? "go.etcd.io/etcd/server/v3" : `k8s.io/kubernetes/cmd/${program}`;
}

/** Linker flags that make a program report its version, as the releases do. */
export function linkerFlags(component: Component): string {
  if (component.kind === "etcd") return "-s -w";
  const [major = "", minor = ""] = component.version.split(".");
  const variables = {
    gitVersion: `v${component.version}`,
    gitMajor: major,
    gitMinor: minor,
    gitTreeState: "clean",
  };
  const settings = Object.entries(variables).flatMap(([name, value]) =>
    // kubectl and the servers read the same package, since 1.20 at least.
    [`-X k8s.io/component-base/version.${name}=${value}`],
  );
  return ["-s -w", ...settings].join(" ");
}
