import { readFileSync, existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import {
  canBuild,
  componentOf,
  defaultKubernetesVersion,
  kubernetesVersions,
  linkerFlags,
  moduleDirectory,
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
    const expected = ["etcd", ...kubernetesVersions.map((version) => `kubernetes-${version}`)];
    expect(readdirSync(join(__dirname, "go")).sort()).toEqual(expected.sort());
  });

  it("pin etcd's version", () => {
    const component = componentOf("etcd", defaultKubernetesVersion);
    const { goMod } = readModule(moduleDirectory(component));
    expect(goMod).toContain(`go.etcd.io/etcd/server/v3 v${component.version}\n`);
    expect(existsSync(join(moduleDirectory(component), "go.sum"))).toBe(true);
  });
});

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
