import { mkdirSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { startCluster, type EmbeddedCluster } from "../cluster";
import type { ProcessPod } from "../cluster/pods/process-pod";
import { prepareProcessNode, type ProcessNode } from "../cluster/process-node";
import { Api, type AnyObject } from "./api";
import { namespace, routeConfigMap, routedPod, service } from "./objects";
import { speak, type Stage } from "./stage";

/** A cluster in which the Pods of fairlead's own namespace really run. */
export interface NodeStage extends Pick<Stage, "kubectl" | "refusal"> {
  readonly cluster: EmbeddedCluster;
  readonly node: ProcessNode;
  readonly api: Api;
  /** Waits until both Deployments are rolled out, as docs/install.md does. */
  untilRolledOut(): Promise<void>;
  /** fairlead's Pods of a Deployment's container. */
  podsOf(container: "server" | "watcher"): readonly ProcessPod[];
  stop(): Promise<void>;
}

/** fairlead's own namespace. */
export const SYSTEM = "pepr-system";
/** The namespace whose Pods are routed, by a ConfigMap and a Service that no fairlead has to make. */
export const ROUTED = "routed";
const GATEWAY = "istio-gateway-of-routed";
const ROUTED_HOST = "api.routed.example.com";

/** `FAIRLEAD_LOGS`: a folder in which the Pods' logs are kept, to look into a failure. */
function keepLogs({ directory }: EmbeddedCluster, { kubelet }: ProcessNode): void {
  const folder = process.env.FAIRLEAD_LOGS;
  if (folder === undefined) return;
  const kept = join(folder, basename(directory));
  mkdirSync(kept, { recursive: true });
  for (const [name, text] of kubelet.logs()) writeFileSync(join(kept, `${name}.log`), text);
}

/** Starts a cluster with controllers, a scheduler and Nodes in two zones; fairlead is not there yet. */
export async function setNodeStage(version: string): Promise<NodeStage> {
  const prepared = await prepareProcessNode();
  const cluster = await startCluster({
    version,
    controllerManager: "run",
    serviceAccountAdmission: "on",
    apiServerFlags: prepared.apiServerFlags,
  });
  try {
    const zones = ["zone-a", "zone-b"];
    const node = await prepared.start(cluster, { namespace: SYSTEM, zones });
    const api = new Api(cluster);
    const words = speak(cluster);
    await api.createAll([
      namespace(GATEWAY),
      namespace(ROUTED),
      service(GATEWAY, "istio-ingressgateway-internal"),
      routeConfigMap(ROUTED, { hosts: ROUTED_HOST, "istio-namespace": GATEWAY }),
    ]);
    return {
      cluster,
      node,
      api,
      ...words,
      async untilRolledOut() {
        const deployments = ["deployment/pepr-fairlead", "deployment/pepr-fairlead-watcher"];
        const rollout = ["-n", SYSTEM, "rollout", "status", "--timeout=180s"];
        await words.kubectl([...rollout, ...deployments]);
      },
      podsOf: (container) =>
        node.kubelet.pods().filter(({ containerName }) => containerName === container),
      async stop() {
        api.close();
        keepLogs(cluster, node);
        await node.stop();
        await cluster.stop();
      },
    };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

/** A Pod that is to be routed and that nobody schedules. */
export function unscheduledPod(name: string): AnyObject {
  const pod = routedPod(ROUTED, name);
  return { ...pod, spec: { ...pod.spec, schedulerName: "nobody" } };
}

/** The host aliases that a Pod of `ROUTED` gets. */
export async function routedAliases(api: Api): Promise<readonly object[]> {
  const name = "istio-ingressgateway-internal";
  const { spec } = await api.get({ kind: "Service", namespace: GATEWAY, name });
  return [{ ip: spec?.clusterIP, hostnames: [ROUTED_HOST] }];
}
