import { spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connectCluster, type EmbeddedCluster, startCluster } from "../cluster";

const startTimeoutMs = 1_800_000;

function isRunning(pid: number): boolean {
  try {
    // A zombie still takes signals; its state tells.
    return !/^State:\s+Z/m.test(readFileSync(`/proc/${pid}/status`, "utf8"));
  } catch {
    return false;
  }
}

async function eventually(condition: () => boolean, timeoutMs = 60_000): Promise<void> {
  const deadlineMs = Date.now() + timeoutMs;
  while (!condition()) {
    if (Date.now() > deadlineMs) throw new Error(`Not within ${timeoutMs} ms.`);
    await sleep(50);
  }
}

describe("the embedded cluster", () => {
  let cluster: EmbeddedCluster;

  beforeAll(async () => {
    cluster = await startCluster({ version: "1.34.4", controllerManager: "run" });
  }, startTimeoutMs);

  afterAll(async () => {
    await cluster.stop();
  });

  it("answers kubectl and reports its version", async () => {
    const { exitCode, stdout } = await cluster.kubectl(["version", "-o", "json"]);
    expect(exitCode).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      serverVersion: { gitVersion: "v1.34.4", major: "1", minor: "34" },
      clientVersion: { gitVersion: "v1.34.4" },
    });
  });

  it("gives kubectl its input, and its exit code back", async () => {
    const input = JSON.stringify({ apiVersion: "v1", kind: "Namespace", metadata: { name: "a" } });
    const created = await cluster.kubectl(["create", "-f", "-"], { input });
    expect(created).toMatchObject({ exitCode: 0, stdout: "namespace/a created\n" });
    const again = await cluster.kubectl(["create", "-f", "-"], { input });
    expect(again.exitCode).toBe(1);
    expect(again.stderr).toContain("AlreadyExists");
  });

  it("has dual-stack Services", async () => {
    const spec = { ports: [{ port: 80 }], ipFamilyPolicy: "RequireDualStack" };
    const service = { apiVersion: "v1", kind: "Service", metadata: { name: "dual" }, spec };
    const args = ["create", "-f", "-", "-o", "jsonpath={.spec.clusterIPs}"];
    const { stdout } = await cluster.kubectl(args, { input: JSON.stringify(service) });
    expect(JSON.parse(stdout)).toEqual([
      expect.stringMatching(/^10\.96\./),
      expect.stringMatching(/^fd00:10:96:/),
    ]);
  });

  it("tells users apart in the audit log", async () => {
    const since = new Date();
    const kubeconfig = await cluster.kubeconfigFor({ name: "joe", groups: ["system:masters"] });
    await cluster.kubectl(["get", "secrets", "-n", "kube-system"], { kubeconfig });
    const events = await cluster.auditEvents({ user: "joe", resource: "secrets", since });
    expect(events).toHaveLength(1);
    expect(events[0]).toMatchObject({
      verb: "list",
      stage: "ResponseComplete",
      objectRef: { namespace: "kube-system" },
      responseStatus: { code: 200 },
    });
  });

  it("lets a user do only what RBAC allows", async () => {
    const kubeconfig = await cluster.kubeconfigFor({ name: "ann", groups: [] });
    const { exitCode, stderr } = await cluster.kubectl(["get", "secrets"], { kubeconfig });
    expect(exitCode).toBe(1);
    expect(stderr).toContain('User "ann" cannot list resource "secrets"');
  });

  it("runs controllers: a deleted namespace goes", async () => {
    await cluster.kubectl(["create", "namespace", "gone"]);
    const { exitCode } = await cluster.kubectl(["delete", "namespace", "gone", "--timeout=120s"]);
    expect(exitCode).toBe(0);
  }, 180_000);

  it.each<NodeJS.Signals>(["SIGTERM", "SIGKILL"])(
    "has its data and port after a restart by %s",
    async (signal) => {
      const { url, pid } = cluster.apiServer;
      await cluster.kubectl(["create", "configmap", `kept-${signal.toLowerCase()}`]);
      await cluster.apiServer.stop(signal);
      expect(isRunning(pid)).toBe(false);
      await expect(cluster.apiServer.isReady()).resolves.toBe(false);
      await cluster.apiServer.start();
      expect(cluster.apiServer.url).toBe(url);
      expect(cluster.apiServer.pid).not.toBe(pid);
      const { stdout } = await cluster.kubectl(["get", "configmaps", "-o", "name"]);
      expect(stdout).toContain(`configmap/kept-${signal.toLowerCase()}\n`);
    },
    180_000,
  );

  it("can be used as a cluster that exists already", async () => {
    const existing = await connectCluster({ kubeconfig: cluster.kubeconfigPath });
    const kubeconfig = await existing.kubeconfigFor({ name: "eve", groups: ["x"] });
    const { stdout } = await existing.kubectl(["auth", "whoami", "-o", "json"], { kubeconfig });
    await existing.stop();
    expect(existing.version).toBe("1.34.4");
    expect(JSON.parse(stdout)).toMatchObject({ status: { userInfo: { username: "eve" } } });
    expect(existsSync(existing.directory)).toBe(false);
    await expect(cluster.apiServer.isReady()).resolves.toBe(true);
  }, 180_000);

  it("says which port is taken", async () => {
    const server = createServer();
    const port = await new Promise<number>((resolve) => {
      server.listen(0, "127.0.0.1", () => {
        const address = server.address();
        resolve(typeof address === "object" && address !== null ? address.port : 0);
      });
    });
    await expect(startCluster({ version: "1.34.4", port })).rejects.toThrow(
      `Port ${port} on 127.0.0.1, where kube-apiserver was to listen, is taken by another process.`,
    );
    server.close();
  });

  it("shows why kube-apiserver does not start", async () => {
    const starting = startCluster({ version: "1.34.4", apiServerFlags: ["--no-such-flag"] });
    await expect(starting).rejects.toThrow(
      /kube-apiserver ended \(exit code 1\)[^]*unknown flag: --no-such-flag/,
    );
  });

  it("ends a start that is aborted", async () => {
    const signal = AbortSignal.timeout(600);
    await expect(startCluster({ version: "1.34.4", signal })).rejects.toThrow("aborted");
  });
});

describe("two API servers of different versions on one etcd", () => {
  it(
    "see the same objects and know the same users",
    async () => {
      const first = await startCluster({ version: "1.31.14" });
      const second = await startCluster({ version: "1.34.4", beside: first });
      await first.kubectl(["create", "configmap", "shared"]);
      const kubeconfig = first.kubeconfigPath;
      const seen = await second.kubectl(["get", "configmap", "shared", "-o", "name"]);
      const versions = await Promise.all([
        second.kubectl(["get", "--raw", "/version"], { kubeconfig }),
        second.kubectl(["get", "--raw", "/version"]),
      ]);
      await second.stop();
      const afterwards = await first.kubectl(["get", "configmap", "shared", "-o", "name"]);
      await first.stop();
      expect(seen.stdout).toBe("configmap/shared\n");
      expect(versions.map(({ stdout }) => JSON.parse(stdout) as unknown)).toMatchObject([
        { gitVersion: "v1.31.14" },
        { gitVersion: "v1.34.4" },
      ]);
      expect(afterwards.stdout).toBe("configmap/shared\n");
    },
    startTimeoutMs,
  );
});

interface Started {
  readonly directory: string;
  readonly pids: readonly number[];
}

/** Starts a cluster in a process of its own, which then ends in the way that `ending` says. */
async function startInProcess(ending: string): Promise<{ started: Started; pid: number }> {
  const script = `
    const { startCluster } = require(${JSON.stringify(join(__dirname, "..", "cluster"))});
    void startCluster({ version: "1.34.4" }).then(({ directory, apiServer, etcd }) => {
      console.log(JSON.stringify({ directory, pids: [apiServer.pid, etcd.pid] }));
      ${ending}
    });
  `;
  const args = ["--require", "tsx/cjs", "-e", script];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const line = await new Promise<string>((resolve, reject) => {
    child.stdout.once("data", (chunk: Buffer) => {
      resolve(chunk.toString("utf8"));
    });
    child.once("error", reject);
    // Not at its exit, which may be heard of before what it has said.
    child.once("close", (code) => {
      reject(new Error(`ended with ${code ?? "a signal"} before it had a cluster`));
    });
  });
  return { started: JSON.parse(line) as Started, pid: child.pid ?? 0 };
}

describe("a process that has a cluster", () => {
  const wait = "setInterval(() => undefined, 1000);";

  it.each<[string, string, NodeJS.Signals | undefined]>([
    ["is killed", wait, "SIGKILL"],
    ["is interrupted", wait, "SIGINT"],
    ["is terminated", wait, "SIGTERM"],
    ["has nothing left to do", "", undefined],
    ["exits", "setTimeout(() => process.exit(3), 100);", undefined],
  ])(
    "leaves nothing when it %s",
    async (_name, ending, signal) => {
      const { started, pid } = await startInProcess(ending);
      if (signal !== undefined) process.kill(pid, signal);
      await eventually(() => started.pids.every((one) => !isRunning(one)));
      await eventually(() => !existsSync(started.directory));
      expect(started.pids.filter(isRunning)).toEqual([]);
    },
    300_000,
  );
});
