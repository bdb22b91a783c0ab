import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { launchUntilReady } from "./child-program";
import { createRest } from "./rest";
import type { Relay } from "./relay";
import type { Watchdog } from "./watchdog";

/** What a kwok is started from. */
export interface KwokRequest {
  readonly program: string;
  /** Paths of kwok's own stages for Nodes and Pods. */
  readonly stages: readonly string[];
  /** Of its own; the Pods' log is in it. */
  readonly directory: string;
  readonly watchdog: Watchdog;
  readonly within: readonly string[];
  readonly relay: Relay;
  readonly kubeconfigPath: string;
  /** Of the Nodes: API servers reach the kubelets' port there. */
  readonly nodeAddress: string;
  /** A free one of the node's namespace. */
  readonly port: number;
  /** Addresses that its Pods are said to have; nothing answers there. */
  readonly podRange: string;
}

/** A kwok that runs. */
export interface Kwok {
  readonly pid: number;
  /** What `kubectl logs` and `attach` show of every Pod: append to it. */
  readonly podLogPath: string;
  stop(): Promise<void>;
}

const readyTimeoutMs = 30_000;

/**
 * Starts kwok, which plays the kubelets of all Nodes with annotation `kwok.x-k8s.io/node: fake`.
 * `exec` runs commands on this machine, in the node's namespace; `logs` and `attach` show a file;
 * `port-forward`, of whatever port, leads to kwok's own HTTP server (`/healthz`).
 * @throws what `launchUntilReady` throws.
 */
export async function startKwok(request: KwokRequest): Promise<Kwok> {
  const { directory } = request;
  const configPath = join(directory, "kwok.yaml");
  const podLogPath = join(directory, "pods.log");
  await writeFile(podLogPath, "");
  await writeFile(configPath, await configuration(request, podLogPath));
  const rest = createRest({
    url: `http://${request.nodeAddress}:${request.port}`,
    dial: request.relay.dial,
  });
  const program = await launchUntilReady(
    {
      program: request.program,
      within: request.within,
      directory,
      watchdog: request.watchdog,
      logPath: join(directory, "kwok.log"),
      args: [
        `--config=${configPath}`,
        `--kubeconfig=${request.kubeconfigPath}`,
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        "--disregard-status-with-annotation-selector=kwok.x-k8s.io/status=custom",
        `--node-ip=${request.nodeAddress}`,
        `--node-port=${request.port}`,
        `--server-address=${request.nodeAddress}:${request.port}`,
        `--cidr=${request.podRange}`,
        "--node-lease-duration-seconds=40",
      ],
    },
    {
      isReady: async () => (await rest.call({ path: "/healthz" })).status === 200,
      timeoutMs: readyTimeoutMs,
    },
  );
  return { pid: program.pid, podLogPath, stop: async () => program.stop() };
}

async function configuration(request: KwokRequest, podLogPath: string): Promise<string> {
  const stages = await Promise.all(request.stages.map(async (path) => readFile(path, "utf8")));
  const rule = (kind: string, spec: object) =>
    JSON.stringify({
      apiVersion: "kwok.x-k8s.io/v1alpha1",
      kind,
      metadata: { name: "all-pods" },
      spec,
    });
  const target = { address: request.nodeAddress, port: request.port };
  return [
    ...stages,
    rule("ClusterExec", { execs: [{ local: {} }] }),
    rule("ClusterLogs", { logs: [{ logsFile: podLogPath, follow: true }] }),
    rule("ClusterAttach", { attaches: [{ logsFile: podLogPath }] }),
    rule("ClusterPortForward", { forwards: [{ target }] }),
  ].join("\n---\n");
}
