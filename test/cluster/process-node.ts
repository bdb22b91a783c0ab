import { mkdtemp, realpath, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { findPrograms } from "./binaries";
import type { EmbeddedCluster } from "./cluster";
import { createNetwork, type Network } from "./network";
import { type ProcessKubelet, startProcessKubelet } from "./pods/process-kubelet";
import { silentProgress } from "./progress";
import { startRelay } from "./relay";
import { createRest, type Rest } from "./rest";
import { startScheduler } from "./scheduler";
import { startServiceProxy } from "./service-proxy";
import { startWatchdog, type Watchdog } from "./watchdog";

/** A node of a cluster that is about to be started. */
export interface PreparedNode {
  /** Flags that the cluster's API server must have: it calls Services inside, through the node. */
  readonly apiServerFlags: readonly string[];
  /** Starts the node beside the cluster. */
  start(cluster: EmbeddedCluster, options: ProcessNodeOptions): Promise<ProcessNode>;
}

/** What of a node may be chosen. */
export interface ProcessNodeOptions {
  /** Whose Pods run as processes. */
  readonly namespace: string;
  /** A Node object each; all of them are this machine. */
  readonly zones: readonly string[];
  /** How often volumes are brought up to date; a kubelet takes up to two minutes. */
  readonly syncMs?: number;
}

/** Nodes on which a namespace's Pods run as processes. */
export interface ProcessNode {
  readonly kubelet: ProcessKubelet;
  readonly network: Network;
  /** The API server, as the administrator. */
  readonly rest: Rest;
  /** Pods find the API server at another port of 127.0.0.1 from now on; connections that exist go on. */
  leadToApiServer(port: number): Promise<void>;
  stop(): Promise<void>;
}

const SERVICE_RANGES = ["10.96.0.0/16", "fd00:10:96::/112"];
/** The Service `kubernetes`: the first address of the range. */
const API_SERVICE = "10.96.0.1";
/** As in Pepr's image: node, and the packages in its working directory. */
const WORKING_DIR = "/app";
const IMAGE_USER_ID = 65_532;

// As a managed control plane does, the API server reaches Services by an HTTP proxy on the nodes' side.
function egressConfiguration(udsName: string): string {
  return JSON.stringify({
    apiVersion: "apiserver.k8s.io/v1beta1",
    kind: "EgressSelectorConfiguration",
    egressSelections: [
      {
        name: "cluster",
        connection: { proxyProtocol: "HTTPConnect", transport: { uds: { udsName } } },
      },
    ],
  });
}

/** Prepares a node; its files are below a directory of its own, which goes when the node or this process ends. */
export async function prepareProcessNode(): Promise<PreparedNode> {
  const directory = await mkdtemp(join(await realpath(tmpdir()), "fairlead-node-"));
  const watchdog = startWatchdog(directory);
  const configurationPath = join(directory, "egress.json");
  await writeFile(configurationPath, egressConfiguration(join(directory, "inside.sock")));
  return {
    apiServerFlags: [`--egress-selector-config-file=${configurationPath}`],
    start: async (cluster, options) => startNode(cluster, { directory, watchdog, ...options }),
  };
}

interface NodeRequest extends ProcessNodeOptions {
  readonly directory: string;
  readonly watchdog: Watchdog;
}

async function startNode(cluster: EmbeddedCluster, request: NodeRequest): Promise<ProcessNode> {
  const { watchdog } = request;
  const { paths } = await findPrograms({
    version: cluster.version,
    programs: ["relay", "kube-scheduler"],
    progress: silentProgress,
  });
  const ended = new AbortController();
  try {
    return await startParts(cluster, {
      ...request,
      ended,
      programs: { relay: paths.relay ?? "", scheduler: paths["kube-scheduler"] ?? "" },
    });
  } catch (error) {
    ended.abort();
    await watchdog.close();
    throw error;
  }
}

interface PartsRequest extends NodeRequest {
  readonly ended: AbortController;
  readonly programs: { readonly relay: string; readonly scheduler: string };
}

async function startParts(cluster: EmbeddedCluster, request: PartsRequest): Promise<ProcessNode> {
  const { directory, watchdog, ended, programs, zones, namespace, syncMs = 1_000 } = request;
  const { signal } = ended;
  const network = await createNetwork({ directory, watchdog, serviceRanges: SERVICE_RANGES });
  const common = { program: programs.relay, directory, watchdog };
  const [inside, outside] = await Promise.all([
    startRelay({ ...common, name: "inside", within: network.prefix }),
    startRelay({ ...common, name: "outside" }),
  ]);
  const { url, caPem, port: apiServerPort } = cluster.apiServer;
  const rest = createRest({ url, caPem, client: cluster.keys.admin });
  const proxy = startServiceProxy({ rest, relay: inside, signal });
  const leadToApiServer = async (port: number): Promise<void> => {
    const target = { address: `127.0.0.1:${port}`, via: outside.socketPath };
    await proxy.setRoute({ listen: `${API_SERVICE}:443`, targets: [target] });
  };
  await leadToApiServer(apiServerPort);
  const { kubeconfigPath } = cluster;
  await startScheduler({ program: programs.scheduler, directory, kubeconfigPath, watchdog });
  const kubelet = await startProcessKubelet({
    rest,
    network,
    dial: inside.dial,
    directory: join(directory, "kubelet"),
    image: {
      workingDir: WORKING_DIR,
      userId: IMAGE_USER_ID,
      files: { [`${WORKING_DIR}/node_modules`]: resolve(__dirname, "../../node_modules") },
    },
    services: { KUBERNETES_SERVICE_HOST: API_SERVICE, KUBERNETES_SERVICE_PORT: "443" },
    onAddress: (address, node) => {
      proxy.setZone(address, node.replace(/^node-/, ""));
    },
    syncMs,
    zones,
    namespace,
    signal,
  });
  return {
    kubelet,
    network,
    rest,
    leadToApiServer,
    async stop() {
      ended.abort();
      await kubelet.stop();
      await watchdog.close();
    },
  };
}
