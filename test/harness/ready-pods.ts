import { setTimeout as sleep } from "node:timers/promises";
import { Refusal, type AnyObject, type Api, type Ref } from "./api";

/** Whose Pods are played, and how. */
export interface ReadyPodsOptions {
  readonly namespaces: readonly string[];
  /** False: the Pod does not become ready. */
  readonly isReady?: (pod: AnyObject) => boolean;
}

/** Pods that become ready. */
export interface ReadyPods {
  stop(): Promise<void>;
}

const NODE = "played";
const PERIOD_MS = 200;
const HEARTBEAT_MS = 5_000;
/** For documentation; nothing answers there. */
const ADDRESS = "192.0.2.";

const now = (): string => new Date().toISOString();

/** What a kubelet says of a Pod whose containers run. */
function runningStatus({ spec }: AnyObject, address: string): object {
  const { containers = [] } = spec as { readonly containers?: readonly { name: string }[] };
  return {
    phase: "Running",
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: now(),
    containerStatuses: containers.map(({ name }) => ({
      name,
      image: "played",
      imageID: "",
      ready: true,
      started: true,
      restartCount: 0,
      state: { running: { startedAt: now() } },
    })),
    conditions: ["PodScheduled", "Initialized", "ContainersReady", "Ready"].map((type) => ({
      type,
      status: "True",
      lastTransitionTime: now(),
    })),
  };
}

class Player implements ReadyPods {
  readonly #ended = new AbortController();
  readonly #running: Promise<void>;
  #count = 0;
  #heartbeatMs = 0;

  constructor(
    private readonly api: Api,
    private readonly options: ReadyPodsOptions,
  ) {
    this.#running = this.#loop();
  }

  async stop(): Promise<void> {
    this.#ended.abort();
    await this.#running;
  }

  async #loop(): Promise<void> {
    await this.api.create({ apiVersion: "v1", kind: "Node", metadata: { name: NODE } });
    while (!this.#ended.signal.aborted) {
      await this.#heartbeat();
      for (const namespace of this.options.namespaces) {
        for (const pod of await this.api.list("Pod", namespace)) await this.#play(namespace, pod);
      }
      await sleep(PERIOD_MS);
    }
  }

  /** Without it, the Node's Pods are said not to be ready after a while. */
  async #heartbeat(): Promise<void> {
    if (Date.now() - this.#heartbeatMs < HEARTBEAT_MS) return;
    this.#heartbeatMs = Date.now();
    const times = { lastHeartbeatTime: now(), lastTransitionTime: now() };
    const ready = { type: "Ready", status: "True", reason: "Played", message: "", ...times };
    const status = { conditions: [ready] };
    await this.api.patch({ kind: "Node", name: NODE }, { status }, "/status");
  }

  async #play(namespace: string, pod: AnyObject): Promise<void> {
    const { isReady = () => true } = this.options;
    const ref: Ref = { kind: "Pod", namespace, name: pod.metadata.name ?? "" };
    try {
      if (pod.metadata.deletionTimestamp !== undefined) await this.api.remove(ref);
      else if (pod.spec?.nodeName === undefined) await this.api.bind(ref, NODE);
      else if (pod.status?.phase === "Pending" && isReady(pod)) {
        this.#count += 1;
        const status = runningStatus(pod, `${ADDRESS}${(this.#count % 250) + 1}`);
        await this.api.patch(ref, { status }, "/status");
      }
    } catch (error) {
      // It went, or changed, meanwhile.
      if (!(error instanceof Refusal)) throw error;
    }
  }
}

/**
 * Plays a scheduler and a kubelet for controllers' Pods: says that they run and are ready, which Deployments,
 * StatefulSets, DaemonSets, Services and PodDisruptionBudgets go by, and ends those that are deleted.
 */
export function playReadyPods(api: Api, options: ReadyPodsOptions): ReadyPods {
  return new Player(api, options);
}
