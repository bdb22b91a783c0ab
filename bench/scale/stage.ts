import { customResourceDefinitions } from "../../lib/api";
import {
  createCA,
  startCluster,
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
  type HostedAPIServer,
  type KeyPair,
  type Progress,
} from "../../test/cluster";
import { Api, refOf, type AnyObject } from "../../test/harness/api";
import { eventually } from "../../test/harness/eventually";

/** Where the gateway is. */
export const GATEWAY_NAMESPACE = "istio-ingress";
const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };
/** Every tenant's host is one label below. */
export const DOMAIN = "bench.example.com";
export const ZONES = ["zone-1", "zone-2"] as const;

/** A management cluster with a real data plane, and one hosted API server that all tenants share. */
export interface ScaleStage {
  readonly cluster: EmbeddedCluster;
  readonly api: Api;
  readonly plane: DataPlane;
  /** Its keys are those of every tenant, but for the certificate that the gateway serves. */
  readonly hosted: HostedAPIServer;
  /** Signs what the gateway serves. */
  readonly publicCA: KeyPair;
  stop(): Promise<void>;
}

async function installDefinitions(api: Api): Promise<void> {
  for (const definition of customResourceDefinitions) {
    const { body } = await api.create(definition);
    await eventually(async () => {
      const { status } = await api.get(refOf(body));
      const conditions = (status?.conditions ?? []) as readonly AnyObject["metadata"][];
      if (!JSON.stringify(conditions).includes("Established")) {
        throw new Error(`${body.metadata.name ?? ""} is not established`);
      }
    });
  }
}

/** Starts everything but fairlead. Nothing is left running where that fails. */
export async function setScaleStage(progress: Progress): Promise<ScaleStage> {
  const step = progress.step("cluster, istiod, a gateway and a hosted API server");
  const cluster = await startCluster({ controllerManager: "run" });
  const api = new Api(cluster);
  let plane: DataPlane | undefined;
  const stop = async (): Promise<void> => {
    api.close();
    await plane?.stop();
    await cluster.stop();
  };
  try {
    const [started, publicCA] = await Promise.all([
      startDataPlane(cluster, { zones: ZONES }),
      createCA({ commonName: "public CA" }),
      installDefinitions(api),
    ]);
    plane = started;
    const [zone] = ZONES;
    const [hosted] = await Promise.all([
      plane.addHostedAPIServer({
        namespace: "shared-api-server",
        zones: [zone],
        dnsNames: [`*.${DOMAIN}`],
      }),
      plane.addGateway({
        namespace: GATEWAY_NAMESPACE,
        name: "istio-ingressgateway",
        labels: GATEWAY_LABELS,
        zones: [zone],
      }),
    ]);
    step.done();
    return { cluster, api, plane, hosted, publicCA, stop };
  } catch (error) {
    step.fail();
    await stop();
    throw error;
  }
}
