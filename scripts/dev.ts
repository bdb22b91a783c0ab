import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createProgress, startCluster, type Cluster } from "../test/cluster";
import { isPortFree } from "../test/cluster/ports";
import { startWatchdog } from "../test/cluster/watchdog";
import {
  CleanUps,
  InterruptedError,
  listenForInterruption,
  type Interruption,
} from "./start/interruption";

const usage = `npm run dev -- [options]

Pepr's development loop (edit, rebuild, webhook called) against a cluster of its own on this machine.

  --version 1.33.13   another Kubernetes version
  --k3d               against a k3d cluster instead: needs docker and k3d (scripts/dev-k3d.sh)
  --print             with --k3d: print the commands, run nothing
  --help              this text
`;

/** The port that `pepr dev` writes into the webhook's URL. */
const PEPR_PORT = 3000;
const EXAMPLES_RETRY_MS = 2_000;
const root = resolve(__dirname, "..");

class UsageError extends Error {
  override readonly name = "UsageError";
}

/** How a program ended, as a shell would show it. */
async function exitCodeOf(child: ChildProcess): Promise<number> {
  return new Promise((settle, reject) => {
    child.once("error", reject);
    child.once("exit", (code) => {
      settle(code ?? 1);
    });
  });
}

/** Starts `pepr dev` in a process group of its own, which ends with this process, whatever way that is. */
async function startPepr(cluster: Cluster, cleanUps: CleanUps): Promise<ChildProcess> {
  const watchdog = startWatchdog(await mkdtemp(join(tmpdir(), "fairlead-dev-")));
  cleanUps.add(async () => {
    await watchdog.close();
    // pepr dev leaves the webhook's certificate and key in the project's directory.
    await Promise.all(
      ["insecure-tls.crt", "insecure-tls.key"].map(async (name) =>
        rm(join(root, name), { force: true }),
      ),
    );
  });
  // Its certificate has DNS names only, so it is not 127.0.0.1.
  const child = spawn("npx", ["pepr", "dev", "--host", "localhost", "--yes"], {
    cwd: root,
    env: {
      ...process.env,
      KUBECONFIG: cluster.kubeconfigPath,
      // pepr dev's own default is debug, which prints whole objects, Secrets included.
      LOG_LEVEL: process.env.LOG_LEVEL ?? "info",
    },
    stdio: ["ignore", "inherit", "inherit"],
    detached: true,
  });
  if (child.pid !== undefined) watchdog.guard(child.pid);
  return child;
}

/** The examples need the module's CustomResourceDefinitions, which it installs when it starts. */
async function applyExamples(cluster: Cluster, signal: AbortSignal): Promise<void> {
  for (;;) {
    if (signal.aborted) return;
    const { exitCode } = await cluster.kubectl(["apply", "-f", join(root, "examples")]);
    if (exitCode === 0) break;
    await sleep(EXAMPLES_RETRY_MS);
  }
  console.log(
    [
      "",
      "The examples are applied. In another terminal:",
      "",
      `export KUBECONFIG=${cluster.kubeconfigPath}`,
      "kubectl run mine -n shoot--demo--one --image=none --labels=fairlead.dev/route=true --dry-run=server -o yaml",
      "",
      "Edit a file of capabilities/ or lib/ and run it again. Ctrl-C ends it all.",
      "",
    ].join("\n"),
  );
}

async function developOnEmbedded(
  version: string | undefined,
  interruption: Interruption,
  cleanUps: CleanUps,
): Promise<number> {
  if (!(await isPortFree(PEPR_PORT))) {
    throw new UsageError(
      `Port ${PEPR_PORT}, which pepr dev needs, is taken: end what listens there.`,
    );
  }
  const { signal } = interruption;
  const cluster = await startCluster({ version, progress: createProgress(), signal });
  cleanUps.add(() => cluster.stop());
  const pepr = await startPepr(cluster, cleanUps);
  const ended = new AbortController();
  applyExamples(cluster, AbortSignal.any([signal, ended.signal])).catch((error: unknown) => {
    console.error("The examples could not be applied:", error);
  });
  const exitCode = await Promise.race([
    exitCodeOf(pepr),
    interruption.wait().then(() => undefined),
  ]);
  ended.abort();
  signal.throwIfAborted();
  console.error(`pepr dev ended with exit code ${exitCode ?? "unknown"}.`);
  return 1;
}

async function developOnK3d({ print }: { readonly print: boolean }): Promise<number> {
  const child = spawn("bash", [join(root, "scripts/dev-k3d.sh"), ...(print ? ["--print"] : [])], {
    cwd: root,
    stdio: "inherit",
  });
  // Ctrl-C reaches the script too; it ends by itself when its cluster is deleted.
  process.on("SIGINT", () => undefined);
  return exitCodeOf(child);
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      version: { type: "string" },
      k3d: { type: "boolean", default: false },
      print: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  if (values.help) {
    console.log(usage);
    return 0;
  }
  if (values.k3d) return developOnK3d(values);
  if (values.print) throw new UsageError("--print goes with --k3d.");
  const interruption = listenForInterruption();
  const cleanUps = new CleanUps();
  try {
    return await developOnEmbedded(values.version, interruption, cleanUps);
  } catch (error) {
    const { signal } = interruption;
    const reason: unknown = signal.aborted ? signal.reason : error;
    if (reason instanceof InterruptedError) return reason.exitCode;
    throw error;
  } finally {
    for (const failure of await cleanUps.run()) console.error("Cleaning up failed:", failure);
  }
}

main().then(
  (exitCode) => process.exit(exitCode),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : error);
    process.exit(1);
  },
);
