import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
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

/** The one version of each component that serves all Kubernetes versions. */
const etcdVersion = "3.6.16";
const istioVersion = "0.0.0-20260827124520-eed52ebb66ad";
const kwokVersion = "0.8.0";
const envoyVersion = "1.40.0";
const helmVersion = "3.22.0";
const promtoolVersion = "0.315.0";

/** Programs of k8s.io/kubernetes that a cluster can run. */
type KubernetesProgram =
  | "kube-apiserver"
  | "kubectl"
  | "kube-controller-manager"
  | "kube-scheduler";

/** Programs of the data plane. */
type DataPlaneProgram = "pilot-discovery" | "pilot-agent" | "envoy" | "kwok" | "relay";

/** Files of Istio's and kwok's modules that their programs are used with, and where they are. */
const dataFiles = {
  "crd-all.gen.yaml": "manifests/charts/base/files",
  "envoy_bootstrap.json": "tools/packaging/common",
  "node-initialize.yaml": "kustomize/stage/node/fast",
  "node-heartbeat-with-lease.yaml": "kustomize/stage/node/heartbeat-with-lease",
  "pod-ready.yaml": "kustomize/stage/pod/fast",
  "pod-complete.yaml": "kustomize/stage/pod/fast",
  "pod-delete.yaml": "kustomize/stage/pod/fast",
} as const;

type DataFile = keyof typeof dataFiles;

/** What kwok plays Nodes and Pods by. */
export const kwokStages = [
  "node-initialize.yaml",
  "node-heartbeat-with-lease.yaml",
  "pod-ready.yaml",
  "pod-complete.yaml",
  "pod-delete.yaml",
] as const satisfies readonly DataFile[];

/** Every program that the embedded cluster knows, and every file that comes with one. */
export type ProgramName =
  | "etcd"
  | "helm"
  | "promtool"
  | KubernetesProgram
  | DataPlaneProgram
  | DataFile;

/** What a data plane needs beside the programs of Kubernetes. */
export const dataPlanePrograms: readonly (DataPlaneProgram | DataFile)[] = [
  "relay",
  "envoy",
  "kwok",
  "pilot-discovery",
  "pilot-agent",
  "crd-all.gen.yaml",
  "envoy_bootstrap.json",
  ...kwokStages,
];

/** Everything that comes from one place, with one version. */
export interface Component {
  /** Directory below `bin/` in the cache, such as `kubernetes-1.34.4`. */
  readonly directory: string;
  readonly version: string;
  readonly kind: "etcd" | "kubernetes" | "istio" | "kwok" | "relay" | "envoy" | "helm" | "promtool";
}

/** Where the cache gets a file from: a Go package, a file of a Go module, a file of a wheel. */
export type Origin =
  | { readonly kind: "package"; readonly package: string }
  | { readonly kind: "module"; readonly module: string; readonly path: string }
  | { readonly kind: "wheel"; readonly path: string };

/** A version that has no pinned module. */
export class UnknownVersionError extends Error {
  override readonly name = "UnknownVersionError";
}

// Their k8s.io/kube-scheduler modules are not in these two's go.sum: the Go proxy refused them.
const versionsWithGaps: readonly string[] = ["1.31.14", "1.32.13"];
const gaps: readonly ProgramName[] = ["kube-controller-manager", "kube-scheduler"];

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

const kinds: Readonly<Record<ProgramName, Component["kind"]>> = {
  etcd: "etcd",
  "kube-apiserver": "kubernetes",
  kubectl: "kubernetes",
  "kube-controller-manager": "kubernetes",
  "kube-scheduler": "kubernetes",
  "pilot-discovery": "istio",
  "pilot-agent": "istio",
  "crd-all.gen.yaml": "istio",
  "envoy_bootstrap.json": "istio",
  "node-initialize.yaml": "kwok",
  "node-heartbeat-with-lease.yaml": "kwok",
  "pod-ready.yaml": "kwok",
  "pod-complete.yaml": "kwok",
  "pod-delete.yaml": "kwok",
  kwok: "kwok",
  relay: "relay",
  envoy: "envoy",
  helm: "helm",
  promtool: "promtool",
};

/** The component that holds a program of a (known) Kubernetes version. */
export function componentOf(program: ProgramName, kubernetesVersion: string): Component {
  const kind = kinds[program];
  const version = versionOf(kind, kubernetesVersion);
  return { kind, version, directory: `${kind}-${version}` };
}

function versionOf(kind: Component["kind"], kubernetesVersion: string): string {
  switch (kind) {
    case "etcd":
      return etcdVersion;
    case "kubernetes":
      return kubernetesVersion;
    case "istio":
      return istioVersion;
    case "kwok":
      return kwokVersion;
    case "envoy":
      return envoyVersion;
    case "helm":
      return helmVersion;
    case "promtool":
      return promtoolVersion;
    case "relay":
      return sourceVersion(join(__dirname, "go", "relay", "main.go"));
  }
}

// The only program whose source is here: another source is another version.
function sourceVersion(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex").slice(0, 10);
}

/** Whether a program can be built at a version; two old ones have gaps. */
export function canBuild(program: ProgramName, kubernetesVersion: string): boolean {
  return !(gaps.includes(program) && versionsWithGaps.includes(kubernetesVersion));
}

/** Where a component's go.mod and go.sum are, or what pip is to download. */
export function moduleDirectory(component: Component): string {
  if (component.kind === "envoy") return join(__dirname, "wheels");
  const name = component.kind === "kubernetes" ? component.directory : component.kind;
  return join(__dirname, "go", name);
}

/** Where the cache gets a program or file from. */
export function originOf(program: ProgramName): Origin {
  if (isDataFile(program)) {
    const module = kinds[program] === "kwok" ? "sigs.k8s.io/kwok" : "istio.io/istio";
    return { kind: "module", module, path: `${dataFiles[program]}/${program}` };
  }
  switch (program) {
    case "etcd":
      return { kind: "package", package: "go.etcd.io/etcd/server/v3" };
    case "pilot-discovery":
    case "pilot-agent":
      return { kind: "package", package: `istio.io/istio/pilot/cmd/${program}` };
    case "kwok":
      return { kind: "package", package: "sigs.k8s.io/kwok/cmd/kwok" };
    case "helm":
      return { kind: "package", package: "helm.sh/helm/v3/cmd/helm" };
    case "promtool":
      return { kind: "package", package: "github.com/prometheus/prometheus/cmd/promtool" };
    case "relay":
      return { kind: "package", package: "fairlead.dev/test/cluster/relay" };
    case "envoy":
      return { kind: "wheel", path: "envoy/_bin/envoy" };
    case "kube-apiserver":
    case "kubectl":
    case "kube-controller-manager":
    case "kube-scheduler":
      return { kind: "package", package: `k8s.io/kubernetes/cmd/${program}` };
  }
}

function isDataFile(program: ProgramName): program is DataFile {
  return program in dataFiles;
}

/** Build tags: promtool checks rules and metrics here, for which it finds no targets in anybody's cloud. */
export function buildTags({ kind }: Component): readonly string[] {
  return kind === "promtool" ? ["remove_all_sd"] : [];
}

/** Linker flags that make a program report its version, as the releases do. */
export function linkerFlags(component: Component): string {
  if (component.kind === "helm") return helmLinkerFlags(component.version);
  if (component.kind !== "kubernetes") return "-s -w";
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

// The Kubernetes version that charts are rendered for where no cluster is asked: that of its libraries.
function helmLinkerFlags(version: string): string {
  const module = "helm.sh/helm/v3";
  const kubernetes = ["pkg/chartutil", "pkg/lint/rules"].flatMap((name) => [
    `-X ${module}/${name}.k8sVersionMajor=1`,
    `-X ${module}/${name}.k8sVersionMinor=37`,
  ]);
  return ["-s -w", `-X ${module}/internal/version.version=v${version}`, ...kubernetes].join(" ");
}
