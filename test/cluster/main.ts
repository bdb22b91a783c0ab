import { parseArgs } from "node:util";
import { cacheDirectory, targetsOf } from "./binaries";
import { buildPrograms } from "./build";
import { createProgress } from "./progress";
import type { EmbeddedCluster } from "./cluster";
import { startDataPlane } from "./data-plane";
import { startCluster } from "./start";
import {
  canBuild,
  dataPlanePrograms,
  defaultKubernetesVersion,
  kubernetesVersions,
  parseKubernetesVersion,
  type ProgramName,
} from "./versions";

const usage = `The embedded cluster: etcd, kube-apiserver and kubectl on this machine.

  build [version…] [--with kube-controller-manager] [--with data-plane] [--with helm] [--with promtool]
      Builds programs into the cache. Without a version: ${defaultKubernetesVersion}; "all": every one.
  start [--version ${defaultKubernetesVersion}] [--port 6443] [--with kube-controller-manager]
      Starts a cluster and keeps it until Ctrl-C.
  start --data-plane [--version ${defaultKubernetesVersion}] [--port 6443]
      With istiod, a gateway and a hosted cluster with three kube-apiservers, in network namespaces.

Versions: ${kubernetesVersions.join(", ")}.
Programs are taken from KUBEBUILDER_ASSETS, else from the cache
(FAIRLEAD_CACHE, else XDG_CACHE_HOME/fairlead, else ~/.cache/fairlead), else built with Go.
`;

/** Programs that tests of what is built and installed need. */
const TOOLS = ["helm", "promtool"] as const;

class UsageError extends Error {
  override readonly name = "UsageError";
}

interface Command {
  readonly name: string | undefined;
  readonly operands: readonly string[];
  readonly version: string | undefined;
  readonly port: number | undefined;
  readonly controllerManager: "none" | "run";
  readonly dataPlane: "none" | "run";
  /** To be built too. */
  readonly tools: readonly (typeof TOOLS)[number][];
}

function parseCommand(args: readonly string[]): Command | "help" {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      "data-plane": { type: "boolean" },
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
    ...parseWith(values.with ?? [], values["data-plane"] === true),
  };
}

function parseWith(
  names: readonly string[],
  withDataPlane: boolean,
): Pick<Command, "controllerManager" | "dataPlane" | "tools"> {
  const known = ["kube-controller-manager", "data-plane", ...TOOLS];
  const unknown = names.find((name) => !known.includes(name));
  if (unknown !== undefined) {
    throw new UsageError(`--with takes ${known.join(" or ")}, not ${unknown}.`);
  }
  const dataPlane = withDataPlane || names.includes("data-plane") ? "run" : "none";
  const controllerManager =
    dataPlane === "run" || names.includes("kube-controller-manager") ? "run" : "none";
  return { controllerManager, dataPlane, tools: TOOLS.filter((tool) => names.includes(tool)) };
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
  const others: readonly ProgramName[] = [
    "etcd",
    ...(command.dataPlane === "run" ? dataPlanePrograms : []),
    ...command.tools,
  ];
  const cache = cacheDirectory();
  await buildPrograms([...targetsOf(defaultKubernetesVersion, others), ...kubernetes], {
    cache,
    environment: process.env,
    progress: createProgress(),
    signal,
  });
  const extra = [...(command.dataPlane === "run" ? ["data plane"] : []), ...command.tools];
  console.log(`In ${cache}: ${["etcd", ...versions, ...extra].join(", ")}.`);
}

function programsAt(version: string, command: Command): ProgramName[] {
  const wanted: readonly ProgramName[] = [
    ...(command.controllerManager === "run" ? (["kube-controller-manager"] as const) : []),
    ...(command.dataPlane === "run" ? (["kube-scheduler"] as const) : []),
  ];
  return ["kube-apiserver", "kubectl", ...wanted.filter((program) => canBuild(program, version))];
}

async function start(command: Command, signal: AbortSignal): Promise<void> {
  const { version, port, controllerManager } = command;
  const progress = createProgress();
  const cluster = await startCluster({ version, port, controllerManager, progress, signal });
  console.log(`Kubernetes ${cluster.version} at ${cluster.apiServer.url}. Ctrl-C ends it.\n`);
  console.log(`export KUBECONFIG=${cluster.kubeconfigPath}`);
  if (command.dataPlane === "run") await showDataPlane(cluster, signal);
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

/** Starts a data plane to play with, and says how to use it. It ends with this process. */
async function showDataPlane(cluster: EmbeddedCluster, signal: AbortSignal): Promise<void> {
  const zones = ["zone-1", "zone-2", "zone-3"];
  const plane = await startDataPlane(cluster, { zones, progress: createProgress(), signal });
  const labels = { app: "istio-ingressgateway", istio: "ingressgateway" };
  const [gateway, hosted, client] = await Promise.all([
    plane.addGateway({ namespace: "istio-ingress", name: "istio-ingressgateway", labels }),
    plane.addHostedAPIServer({ namespace: "tenant-a", zones }),
    plane.addClient({ name: "client", zone: "zone-1" }),
  ]);
  const prefix = client.prefix.map((word) => (/^[\w./-]+$/.test(word) ? word : `'${word}'`));
  const lines = [
    "",
    `Gateway ${gateway.namespace}/${gateway.name} at ${gateway.replicas.map(({ place }) => place.address).join(", ")}, without a Service or configuration.`,
    `Hosted cluster ${hosted.namespace}/${hosted.name} at ${hosted.clusterIP}:`,
    ...hosted.replicas.map(
      ({ place, pid, logPath }) => `  ${place.address}  process ${pid}  ${logPath}`,
    ),
    "",
    "Cluster IPs and Pods are reached from a client Pod only:",
    "",
    `  ${prefix.join(" ")} ${hosted.kubectlPath} --kubeconfig ${hosted.kubeconfigPath} get nodes`,
    "",
    `Logs and sockets: ${plane.directory}`,
  ];
  console.log(lines.join("\n"));
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
