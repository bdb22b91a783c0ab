import { setTimeout as sleep } from "node:timers/promises";
import { type Rest, RestError } from "./rest";

/** A Pod whose programs this process runs, as a kubelet would. */
export interface PodRequest {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly zone: string;
  readonly address: string;
  /** Named ports, as Services may name them. */
  readonly ports: readonly { readonly name: string; readonly containerPort: number }[];
  readonly serviceAccountName?: string;
  /** The readiness probe. */
  readonly isReady: () => Promise<boolean>;
  readonly periodMs: number;
}

/** A Pod object that follows its program's readiness. */
export interface PlayedPod {
  readonly namespace: string;
  readonly name: string;
  readonly zone: string;
  /** Probes now and writes what came out; for a change that is known of. */
  probe(): Promise<void>;
  /** The condition Ready as it was last written. */
  isReady(): boolean;
  /** Ends the probes and deletes the object. */
  remove(): Promise<void>;
}

/** The Node of a zone; kwok keeps it ready. */
export function nodeName(zone: string): string {
  return `node-${zone}`;
}

/** The region of all zones: Istio takes zones only together with one. */
const region = "region-1";

/** Makes the Node of a zone, unless it is there. */
export async function ensureNode(rest: Rest, zone: string): Promise<void> {
  await ensure(rest, "/api/v1/nodes", {
    apiVersion: "v1",
    kind: "Node",
    metadata: {
      name: nodeName(zone),
      annotations: { "kwok.x-k8s.io/node": "fake" },
      labels: {
        "kubernetes.io/hostname": nodeName(zone),
        "kubernetes.io/os": "linux",
        "topology.kubernetes.io/region": region,
        "topology.kubernetes.io/zone": zone,
      },
    },
  });
}

/** Makes a Namespace, unless it is there. */
export async function ensureNamespace(rest: Rest, name: string): Promise<void> {
  await ensure(rest, "/api/v1/namespaces", {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name },
  });
}

/** POSTs an object to its collection; one that exists stays as it is. */
export async function ensure(rest: Rest, path: string, body: object): Promise<void> {
  const call = { method: "POST", path, body } as const;
  const answer = await rest.call(call);
  if (answer.status === 409 || (answer.status >= 200 && answer.status < 300)) return;
  throw new RestError(call, answer.status, answer.body);
}

/**
 * Makes the Pod object and keeps its conditions like the readiness probe says.
 * @throws {RestError} when it cannot be made.
 */
export async function playPod(rest: Rest, request: PodRequest): Promise<PlayedPod> {
  await Promise.all([ensureNode(rest, request.zone), ensureNamespace(rest, request.namespace)]);
  const path = `/api/v1/namespaces/${request.namespace}/pods`;
  await ensure(rest, path, podObject(request));
  const ended = new AbortController();
  let written: boolean | undefined;
  let probing: Promise<void> | undefined;
  const probeOnce = async () => {
    const isReady = await request.isReady();
    if (isReady === written || ended.signal.aborted) return;
    await rest.json({
      method: "PATCH",
      path: `${path}/${request.name}/status`,
      contentType: "application/strategic-merge-patch+json",
      body: { status: podStatus(request.address, isReady) },
    });
    written = isReady;
  };
  const probe = async () => {
    probing ??= probeOnce().finally(() => {
      probing = undefined;
    });
    return probing;
  };
  await probe();
  void repeat(probe, request.periodMs, ended.signal);
  return {
    namespace: request.namespace,
    name: request.name,
    zone: request.zone,
    probe,
    isReady: () => written === true,
    async remove() {
      ended.abort();
      await rest.call({
        method: "DELETE",
        path: `${path}/${request.name}?gracePeriodSeconds=0`,
      });
    },
  };
}

async function repeat(
  work: () => Promise<void>,
  periodMs: number,
  signal: AbortSignal,
): Promise<void> {
  while (!signal.aborted) {
    // What could not be written is written at the next probe.
    await work().catch(() => undefined);
    await sleep(periodMs, undefined, { ref: false });
  }
}

function podObject(request: PodRequest): object {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: request.name,
      labels: request.labels,
      // kwok leaves the status of such Pods alone.
      annotations: { "kwok.x-k8s.io/status": "custom" },
    },
    spec: {
      nodeName: nodeName(request.zone),
      ...(request.serviceAccountName === undefined
        ? {}
        : { serviceAccountName: request.serviceAccountName }),
      containers: [{ name: "main", image: "embedded", ports: request.ports }],
    },
  };
}

function podStatus(address: string, isReady: boolean): object {
  const now = new Date().toISOString();
  const status = isReady ? "True" : "False";
  return {
    phase: "Running",
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: now,
    containerStatuses: [
      {
        name: "main",
        image: "embedded",
        imageID: "",
        ready: isReady,
        started: true,
        restartCount: 0,
        state: { running: { startedAt: now } },
      },
    ],
    conditions: [
      { type: "PodScheduled", status: "True", lastTransitionTime: now },
      { type: "Initialized", status: "True", lastTransitionTime: now },
      { type: "ContainersReady", status, lastTransitionTime: now },
      { type: "Ready", status, lastTransitionTime: now },
    ],
  };
}
