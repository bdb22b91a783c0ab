import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { homedir, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { cacheDirectory, cachedPath, findPrograms, isSameVersion, targetsOf } from "./binaries";
import { silentProgress } from "./progress";
import type { ProgramName } from "./versions";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function writeProgram(path: string, output = ""): void {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, `#!/bin/sh\necho '${output}'\n`);
  chmodSync(path, 0o755);
}

const needed: readonly ProgramName[] = ["etcd", "kube-apiserver", "kubectl"];

function writeAssets(version: string): string {
  const assets = join(directory, "assets");
  for (const program of needed) writeProgram(join(assets, program), `Kubernetes v${version}`);
  return assets;
}

function writeCache(version: string): string {
  const cache = join(directory, "cache");
  for (const program of needed) writeProgram(cachedPath(cache, program, version));
  return cache;
}

async function find(
  environment: Record<string, string>,
  version?: string,
  programs: readonly ProgramName[] = needed,
) {
  // No PATH: whatever would be built fails at once.
  const options = { environment: { PATH: "", ...environment }, progress: silentProgress };
  return findPrograms({ ...options, programs, version });
}

describe("the cache's directory", () => {
  it("is FAIRLEAD_CACHE, else below XDG_CACHE_HOME, else below the home directory", () => {
    const all = { FAIRLEAD_CACHE: "/a", XDG_CACHE_HOME: "/b" };
    expect(cacheDirectory(all)).toBe("/a");
    expect(cacheDirectory({ ...all, FAIRLEAD_CACHE: "" })).toBe("/b/fairlead");
    expect(cacheDirectory({ XDG_CACHE_HOME: "" })).toBe(join(homedir(), ".cache", "fairlead"));
    expect(cacheDirectory({})).toBe(join(homedir(), ".cache", "fairlead"));
  });
});

describe("programs", () => {
  it("come from KUBEBUILDER_ASSETS, of any version, when no version is asked for", async () => {
    const assets = writeAssets("1.29.9");
    const environment = { KUBEBUILDER_ASSETS: assets, FAIRLEAD_CACHE: writeCache("1.34.4") };
    const found = await find(environment);
    expect(found.version).toBe("1.29.9");
    expect(found.paths.etcd).toBe(join(assets, "etcd"));
    expect(found.source).toBe(`KUBEBUILDER_ASSETS ${assets}`);
  });

  it("come from KUBEBUILDER_ASSETS when they are of the version asked for", async () => {
    const assets = writeAssets("1.34.9");
    const found = await find({ KUBEBUILDER_ASSETS: assets }, "1.34");
    expect(found.paths["kube-apiserver"]).toBe(join(assets, "kube-apiserver"));
  });

  it("come from the cache when KUBEBUILDER_ASSETS is of another version", async () => {
    const cache = writeCache("1.33.13");
    const environment = { KUBEBUILDER_ASSETS: writeAssets("1.34.4"), FAIRLEAD_CACHE: cache };
    const found = await find(environment, "1.33.13");
    expect(found.version).toBe("1.33.13");
    expect(found.paths.kubectl).toBe(join(cache, "bin", "kubernetes-1.33.13", "kubectl"));
    expect(found.source).toBe(`cache ${cache}`);
  });

  it("that KUBEBUILDER_ASSETS lacks are named", async () => {
    const assets = writeAssets("1.34.4");
    rmSync(join(assets, "etcd"));
    await expect(find({ KUBEBUILDER_ASSETS: assets })).rejects.toThrow(/does not have: etcd\./);
  });

  it("that neither has are built, which needs Go", async () => {
    const missing = find({ FAIRLEAD_CACHE: join(directory, "empty") }, "1.34.4");
    await expect(missing).rejects.toThrow(/no `go` command was found on PATH\. Install Go 1\.26/);
  });

  it("of an unknown version are refused with the list of known ones", async () => {
    await expect(find({}, "1.30.1")).rejects.toThrow(/1\.30\.1 is not one of .*1\.36\.3/);
  });

  it("that are not pinned at a version are refused", async () => {
    const environment = { FAIRLEAD_CACHE: join(directory, "empty") };
    const missing = find(environment, "1.31.14", ["kube-controller-manager"]);
    await expect(missing).rejects.toThrow(/kube-controller-manager 1\.31\.14 is not pinned/);
  });

  it("are built together when they come from one module", () => {
    const targets = targetsOf("1.34.4", ["etcd", "kubectl", "kube-apiserver"]);
    const view = targets.map((target) => [target.component.directory, target.programs]);
    expect(view).toEqual([
      ["etcd-3.6.16", ["etcd"]],
      ["kubernetes-1.34.4", ["kubectl", "kube-apiserver"]],
    ]);
  });
});

describe("a version that is asked for", () => {
  it.each([
    ["1.34", "1.34.4", true],
    ["v1.34.4", "1.34.4", true],
    ["1.3", "1.34.4", false],
    ["1.34.5", "1.34.4", false],
  ])("%p is %p: %p", (asked, version, expected) => {
    expect(isSameVersion(asked, version)).toBe(expected);
  });
});
