import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { targetsOf } from "./binaries";
import { buildPrograms, goEnvironment, requireDiskSpace } from "./build";
import { silentProgress } from "./progress";

let directory: string;
let cache: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
  cache = join(directory, "cache");
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Builds with a `go` command that is this shell script. */
async function buildWith(script: string, signal?: AbortSignal): Promise<void> {
  const bin = join(directory, "bin");
  mkdirSync(bin, { recursive: true });
  writeFileSync(join(bin, "go"), `#!/bin/sh\n${script}\n`);
  chmodSync(join(bin, "go"), 0o755);
  const environment = { PATH: `${bin}:/usr/bin:/bin`, GOCACHE: undefined };
  const options = { cache, environment, progress: silentProgress, signal };
  await buildPrograms(targetsOf("1.34.4", ["kubectl"]), options);
}

const version = 'if [ "$1" = env ]; then echo go1.26.0; exit; fi';
// -o=<directory>/ is the only argument that starts with -o=.
const write = 'for a in "$@"; do case "$a" in -o=*) echo built > "${a#-o=}kubectl" ;; esac; done';

describe("a build", () => {
  it("leaves nothing but the program in the cache", async () => {
    await buildWith(`${version}\n${write}\nmkdir -p "$GOCACHE" "$GOMODCACHE"`);
    expect(readFileSync(join(cache, "bin/kubernetes-1.34.4/kubectl"), "utf8")).toBe("built\n");
    expect(readdirSync(cache)).toEqual(["bin"]);
  });

  it("removes what a killed build left", async () => {
    mkdirSync(join(cache, "build-killed", "gocache"), { recursive: true });
    await buildWith(`${version}\n${write}`);
    expect(existsSync(join(cache, "build-killed"))).toBe(false);
  });

  it("does not build again what is there", async () => {
    await buildWith(`${version}\n${write}`);
    await buildWith(`${version}\nexit 1`);
    expect(existsSync(join(cache, "bin/kubernetes-1.34.4/kubectl"))).toBe(true);
  });

  it("that two want at once is done once", async () => {
    const count = `echo "$1" >> ${join(directory, "calls")}`;
    const script = `${version}\n${count}\nsleep 0.2\n${write}`;
    await Promise.all([buildWith(script), buildWith(script)]);
    expect(readFileSync(join(directory, "calls"), "utf8")).toBe("list\nbuild\n");
  });

  it("that fails says so with its last lines and keeps the log", async () => {
    const failing = buildWith(`${version}\necho "no such module" >&2\nexit 1`);
    const log = join(cache, "build-kubernetes-1.34.4.log");
    await expect(failing).rejects.toThrow(/failed \(go ended with 1\)[^]*no such module[^]*\.log$/);
    expect(readFileSync(log, "utf8")).toBe("no such module\n");
    expect(readdirSync(cache).filter((name) => name !== "bin")).toEqual([
      "build-kubernetes-1.34.4.log",
    ]);
  });

  it("ends when it is aborted", async () => {
    const abort = new AbortController();
    const building = buildWith(`${version}\nsleep 60`, abort.signal);
    setTimeout(() => {
      abort.abort(new Error("enough"));
    }, 300);
    await expect(building).rejects.toThrow("enough");
    expect(readdirSync(cache)).toEqual(["bin"]);
  });

  it("needs a Go that can fetch toolchains", async () => {
    const old = buildWith("echo go1.19.8");
    await expect(old).rejects.toThrow(
      /kubectl needs a newer Go than go1\.19\.8\. Install Go 1\.26/,
    );
  });
});

describe("disk space", () => {
  it("is checked before a build", async () => {
    const targets = targetsOf("1.34.4", ["etcd", "kubectl"]);
    const check = async (freeBytes: number) =>
      requireDiskSpace("/cache", targets, async () => Promise.resolve(freeBytes));
    await expect(check(4.5 * 1024 ** 3)).resolves.toBeUndefined();
    await expect(check(2.5 * 1024 ** 3)).rejects.toThrow(
      "Building etcd-3.6.16, kubernetes-1.34.4 needs 4.5 GiB below /cache for a while; 2.5 GiB are free.",
    );
  });
});

describe("the go command's environment", () => {
  it("has temporary caches unless the caller's says otherwise", () => {
    expect(goEnvironment({}, "/tmp/x")).toMatchObject({
      GOCACHE: "/tmp/x/gocache",
      GOMODCACHE: "/tmp/x/gomodcache",
      CGO_ENABLED: "0",
      GOWORK: "off",
    });
    expect(goEnvironment({ GOCACHE: "/mine", GOOS: "plan9" }, "/tmp/x")).toMatchObject({
      GOCACHE: "/mine",
      GOOS: undefined,
    });
  });
});
