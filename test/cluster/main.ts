import { parseArgs } from "node:util";
import { cacheDirectory, targetsOf } from "./binaries";
import { buildPrograms } from "./build";
import { createProgress } from "./progress";
import { startCluster } from "./start";
import {
  canBuild,
  defaultKubernetesVersion,
  kubernetesVersions,
  parseKubernetesVersion,
  type ProgramName,
} from "./versions";

const usage = `The embedded cluster: etcd, kube-apiserver and kubectl on this machine.

  build [version…] [--with kube-controller-manager]
      Builds programs into the cache. Without a version: ${defaultKubernetesVersion}; "all": every one.
  start [--version ${defaultKubernetesVersion}] [--port 6443] [--with kube-controller-manager]
      Starts a cluster and keeps it until Ctrl-C.

Versions: ${kubernetesVersions.join(", ")}.
Programs are taken from KUBEBUILDER_ASSETS, else from the cache
(FAIRLEAD_CACHE, else XDG_CACHE_HOME/fairlead, else ~/.cache/fairlead), else built with Go.
`;

class UsageError extends Error {
  override readonly name = "UsageError";
}

interface Command {
  readonly name: string | undefined;
  readonly operands: readonly string[];
  readonly version: string | undefined;
  readonly port: number | undefined;
  readonly controllerManager: "none" | "run";
}

function parseCommand(args: readonly string[]): Command | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      help: { type: "boolean", short: "h" },
      port: { type: "string" },
      version: { type: "string" },
      with: { type: "string", multiple: true },
    },
  });
  if (values.help === true) return "help";
  const [name, ...operands] = positionals;
  return {
    name,
    operands,
    version: values.version,
    port: values.port === undefined ? undefined : parsePort(values.port),
    controllerManager: parseWith(values.with ?? []),
  };
}

function parseWith(names: readonly string[]): "none" | "run" {
  const unknown = names.find((name) => name !== "kube-controller-manager");
  if (unknown === undefined) return names.length > 0 ? "run" : "none";
  throw new UsageError(`--with takes kube-controller-manager, not ${unknown}.`);
}

function parsePort(text: string): number {
  const port = Number(text);
  if (Number.isInteger(port) && port > 0 && port < 65536) return port;
  throw new UsageError(`--port takes a number between 1 and 65535, not ${text}.`);
}

async function build(command: Command, signal: AbortSignal): Promise<void> {
  const asked = command.operands.length > 0 ? command.operands : [defaultKubernetesVersion];
  const versions = asked.includes("all") ? kubernetesVersions : asked.map(parseKubernetesVersion);
  const kubernetes = versions.flatMap((version) =>
    targetsOf(version, programsAt(version, command)),
  );
  const cache = cacheDirectory();
  await buildPrograms([...targetsOf(defaultKubernetesVersion, ["etcd"]), ...kubernetes], {
    cache,
    environment: process.env,
    progress: createProgress(),
    signal,
  });
  console.log(`In ${cache}: ${["etcd", ...versions].join(", ")}.`);
}

function programsAt(version: string, command: Command): ProgramName[] {
  const isWanted =
    command.controllerManager === "run" && canBuild("kube-controller-manager", version);
  return ["kube-apiserver", "kubectl", ...(isWanted ? (["kube-controller-manager"] as const) : [])];
}

async function start(command: Command, signal: AbortSignal): Promise<void> {
  const { version, port, controllerManager } = command;
  const progress = createProgress();
  const cluster = await startCluster({ version, port, controllerManager, progress, signal });
  console.log(`Kubernetes ${cluster.version} at ${cluster.apiServer.url}. Ctrl-C ends it.\n`);
  console.log(`export KUBECONFIG=${cluster.kubeconfigPath}`);
  // Nothing of the cluster keeps this process alive; the timer does.
  const keepAlive = setInterval(() => undefined, 60_000);
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => {
      resolve();
    });
  });
  clearInterval(keepAlive);
  await cluster.stop();
}

async function main(signal: AbortSignal): Promise<void> {
  const command = parseCommand(process.argv.slice(2));
  if (command === "help") console.log(usage);
  else if (command.name === "build") await build(command, signal);
  else if (command.name === "start" && command.operands.length === 0) await start(command, signal);
  else throw new UsageError(`Say "build" or "start".\n\n${usage}`);
}

const interruption = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) {
  process.once(name, () => {
    interruption.abort(new Error(`Ended by ${name}.`));
  });
}
main(interruption.signal).catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
