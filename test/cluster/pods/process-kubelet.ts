import { setTimeout as sleep } from "node:timers/promises";
import { ensureNode, nodeName } from "../kubelet";
import { mirror } from "../mirror";
import type { Rest } from "../rest";
import type { DataObject, Pod } from "./pod";
import { ProcessPod, type PodGround } from "./process-pod";

/** What a kubelet is started with. */
export interface ProcessKubeletRequest extends Omit<PodGround, "sources"> {
  /** Each is a Node of its own. */
  readonly zones: readonly string[];
  /** Only Pods of this namespace are run. */
  readonly namespace: string;
  /** Ends it. */
  readonly signal: AbortSignal;
}

/** Runs the Pods that are scheduled to its Nodes. */
export interface ProcessKubelet {
  /** The Pods that it runs, those that are ending included. */
  pods(): readonly ProcessPod[];
  /** The logs of all Pods so far, by name. */
  logs(): ReadonlyMap<string, string>;
  /** Ends all programs at once; their objects stay. */
  stop(): Promise<void>;
}

const HEARTBEAT_MS = 5_000;

/**
 * Starts a kubelet for Pods of one namespace. Their containers really run, see `ProcessPod`; the Nodes are objects that
 * it keeps ready.
 */
export async function startProcessKubelet(request: ProcessKubeletRequest): Promise<ProcessKubelet> {
  const { rest, namespace, zones, signal } = request;
  const nodes = new Set(zones.map(nodeName));
  await Promise.all(zones.map(async (zone) => ensureNode(rest, zone)));
  void keepBeating(rest, [...nodes], signal);
  const running = new Map<string, ProcessPod>();
  const ended: ProcessPod[] = [];
  const objects = (plural: string) =>
    mirror<DataObject>({
      rest,
      signal,
      path: `/api/v1/namespaces/${namespace}/${plural}`,
      change: () => undefined,
    });
  const [configMaps, secrets] = [objects("configmaps"), objects("secrets")];
  const ground: PodGround = {
    ...request,
    sources: (of) => ({
      configMap: (name) => configMaps.get(`${of}/${name}`),
      secret: (name) => secrets.get(`${of}/${name}`),
    }),
  };
  const start = (pod: Pod): void => {
    const played = new ProcessPod(pod, ground);
    running.set(pod.metadata.uid, played);
    void played.done.then(() => {
      ended.push(played);
      running.delete(pod.metadata.uid);
    });
  };
  const follow = (): void => {
    const wanted = [...pods.values()].filter(({ spec }) => nodes.has(spec.nodeName ?? ""));
    for (const pod of wanted) {
      const { uid, deletionTimestamp, deletionGracePeriodSeconds = 0 } = pod.metadata;
      if (!running.has(uid) && !signal.aborted) start(pod);
      if (deletionTimestamp === undefined) continue;
      running.get(uid)?.terminate(deletionGracePeriodSeconds * 1_000);
    }
    const uids = new Set(wanted.map(({ metadata }) => metadata.uid));
    for (const [uid, played] of running) if (!uids.has(uid)) played.terminate(0);
  };
  const path = `/api/v1/namespaces/${namespace}/pods`;
  const pods = mirror<Pod>({ rest, signal, path, change: follow });
  return {
    pods: () => [...running.values()],
    logs: () => new Map([...ended, ...running.values()].map((pod) => [pod.name, pod.log()])),
    async stop() {
      await Promise.all([...running.values()].map(async (pod) => pod.abandon()));
    },
  };
}

async function keepBeating(
  rest: Rest,
  nodes: readonly string[],
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    await Promise.all(nodes.map(async (name) => beat(rest, name)));
    await sleep(HEARTBEAT_MS, undefined, { ref: false });
  }
}

/** The Node is ready, and has room; what can't be written is written at the next beat. */
async function beat(rest: Rest, name: string): Promise<void> {
  const now = new Date().toISOString();
  const room = { cpu: "16", memory: "64Gi", pods: "110" };
  const ready = {
    type: "Ready",
    status: "True",
    reason: "KubeletReady",
    message: "",
    lastHeartbeatTime: now,
  };
  await rest.call({
    method: "PATCH",
    path: `/api/v1/nodes/${name}/status`,
    contentType: "application/strategic-merge-patch+json",
    body: { status: { capacity: room, allocatable: room, conditions: [ready] } },
  });
}
