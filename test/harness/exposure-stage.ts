import { startCluster, startDataPlane, type DataPlane, type Gateway } from "../cluster";
import { Api } from "./api";
import { addTenant, type ExposedTenant, type TenantRequest } from "./exposed-tenant";
import { startFairlead, type FairleadOptions } from "./fairlead";
import { internalGateway } from "./objects";
import { keepLogs, speak, type Stage } from "./stage";

/** Where the gateway and its InternalGateway are. */
export const GATEWAY_NAMESPACE = "istio-ingress";

const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };
const ZONES = ["zone-1", "zone-2"];

/** How the stage is set; everything has a default. */
export interface ExposureStageOptions {
  /** Of the management cluster and of hosted API servers. */
  readonly version?: string;
  /** One Pod of the gateway in each; default: "zone-1" and "zone-2". */
  readonly zones?: readonly string[];
  /** How long the gateway's connections go on when what they came by was replaced; default: Istio's, 45 s. */
  readonly drainSeconds?: number;
  readonly fairlead?: Omit<FairleadOptions, "dataPlane">;
}

/** A stage with a data plane: a gateway whose InternalGateway takes all namespaces, and tenants to be added. */
export interface ExposureStage extends Stage {
  readonly plane: DataPlane;
  readonly gateway: Gateway;
  addTenant(request: TenantRequest): Promise<ExposedTenant>;
  /** What istiod and Envoy have refused since they started; empty when they took everything. */
  refusals(): Promise<Readonly<Record<string, number>>>;
}

/** What istiod and a gateway's Envoys have refused since they started, by kind. */
export async function refusalsOf(
  plane: DataPlane,
  gateway: Gateway,
): Promise<Record<string, number>> {
  const found: Record<string, number> = {};
  for (const [kind, count] of Object.entries(await plane.istiod.rejections())) {
    if (count > 0) found[`istiod ${kind}`] = count as number;
  }
  for (const replica of gateway.replicas) {
    for (const [name, count] of Object.entries(await replica.rejectedUpdates())) {
      found[`${replica.pod.name} ${name}`] = count;
    }
  }
  return found;
}

/**
 * Starts a cluster with its controllers, a data plane with a gateway, and both processes of fairlead: watch inside the
 * data plane's network, since it probes the gateway's Pods. Nothing is left running where that fails.
 */
export async function setExposureStage(options: ExposureStageOptions = {}): Promise<ExposureStage> {
  const { version = "1.34", zones = ZONES, drainSeconds } = options;
  const cluster = await startCluster({ version, controllerManager: "run" });
  const api = new Api(cluster);
  const ending: (() => Promise<void>)[] = [async () => cluster.stop()];
  const stop = async () => {
    api.close();
    for (const end of ending.reverse()) await end();
  };
  try {
    const plane = await startDataPlane(cluster, { zones });
    ending.push(async () => plane.stop());
    const [gateway, fairlead] = await Promise.all([
      plane.addGateway({
        namespace: GATEWAY_NAMESPACE,
        name: "istio-ingressgateway",
        labels: GATEWAY_LABELS,
        zones,
        ...(drainSeconds === undefined ? {} : { drainSeconds }),
      }),
      startFairlead(cluster, { ...options.fairlead, dataPlane: plane }),
    ]);
    ending.push(async () => {
      await fairlead.stop();
      keepLogs(cluster, fairlead);
    });
    await api.create(internalGateway(GATEWAY_NAMESPACE));
    return {
      cluster,
      api,
      fairlead,
      plane,
      gateway,
      ...speak(cluster),
      addTenant: async (request) => addTenant({ api, plane }, request),
      refusals: async () => refusalsOf(plane, gateway),
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
