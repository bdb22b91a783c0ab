import { createCA, startCluster, startDataPlane, type DataPlane } from "../cluster";
import { LARGE_CASES_VERSION } from "../e2e/versions";
import { Api } from "../harness/api";
import { startApiProxy } from "../harness/fault-proxy";
import {
  addTenant,
  issueServed,
  type ClientPod,
  type ExposedTenant,
} from "../harness/exposed-tenant";
import { startFairlead } from "../harness/fairlead";
import { installHardened, userOf } from "../harness/hardened";
import { startLoad, type Load } from "../harness/load";
import { internalGateway, secret, service } from "../harness/objects";
import { createForeign, lookalikes } from "../harness/oracle";
import { bindClusterRole } from "../harness/pod-kubectl";
import { keepLogs, speak, untilRouted } from "../harness/stage";
import { GATEWAYS, redirected, type FaultStage } from "./stage";
import { createWitness } from "./witness";

const TENANT = "tenant-1";
const ZONES = ["zone-1", "zone-2"];
const GATEWAY_LABELS = { app: "istio-ingressgateway", istio: "ingressgateway" };

/** A stage for faults with a gateway that serves a tenant, whose clients are at work. */
export interface ExposedFaultStage
  extends Pick<
    FaultStage,
    "cluster" | "api" | "fairlead" | "httpProxy" | "witness" | "kubectl" | "stop"
  > {
  readonly tenant: ExposedTenant;
  /** Renews the certificate that is served, and puts one more CA into each bundle. */
  rotate(): Promise<void>;
  /** Long-lived connections through the gateway, from a Pod that was routed. */
  startLoad(): Promise<Load>;
}

function kubeconfigOf(caPem: string): string {
  const ca = Buffer.from(caPem).toString("base64");
  return [
    "apiVersion: v1",
    "kind: Config",
    "current-context: main",
    "contexts: [{name: main, context: {cluster: main, user: main}}]",
    "users: [{name: main, user: {token: none}}]",
    "clusters:",
    "- name: main",
    "  cluster:",
    "    server: https://elsewhere.example.com",
    `    certificate-authority-data: ${ca}`,
    "",
  ].join("\n");
}

async function addExposed(api: Api, plane: DataPlane): Promise<ExposedTenant> {
  const tenant = await addTenant(
    { api, plane },
    {
      name: TENANT,
      replicaZones: ["zone-1"],
      spec: { clients: { kubeconfigSecrets: ["generic"] }, topologyAware: { enabled: true } },
    },
  );
  await api.createAll([
    secret(TENANT, "generic", { kubeconfig: kubeconfigOf(tenant.caPem) }),
    service(TENANT, "etcd-main-client"),
  ]);
  return tenant;
}

async function rotate(tenant: ExposedTenant): Promise<void> {
  const { publicCA, host, keys } = tenant;
  const renewed = await issueServed(publicCA, host);
  const more = (await createCA({ commonName: "next" })).certificatePem;
  await tenant.writeSource("Secret", "kube-apiserver", {
    "tls.crt": renewed.certificatePem,
    "tls.key": renewed.privateKeyPem,
  });
  await tenant.writeSource("Secret", "ca", { "ca.crt": keys.serverCA.certificatePem + more });
  await tenant.writeSource("ConfigMap", "ca-client", {
    "ca.crt": keys.clientCA.certificatePem + more,
  });
}

async function loadOf(tenant: ExposedTenant, client: ClientPod): Promise<Load> {
  const account = { namespace: "default", name: "robot" };
  const token = await tenant.hosted.tokenFor(account);
  return startLoad(client, {
    url: `https://${tenant.host}`,
    caPem: tenant.caPem,
    identity: { token },
    connections: [{ streams: 2, watches: 1, pauseMs: 50 }],
  });
}

/** Sets the stage, and waits until the tenant is served and everything has converged. */
export async function setExposedFaultStage(): Promise<ExposedFaultStage> {
  const cluster = await startCluster({ version: LARGE_CASES_VERSION, controllerManager: "run" });
  const api = new Api(cluster);
  const ending: (() => Promise<unknown>)[] = [async () => cluster.stop()];
  const stop = async () => {
    for (const end of ending.reverse()) await end();
    api.close();
  };
  try {
    const plane = await startDataPlane(cluster, { zones: ZONES });
    ending.push(async () => plane.stop());
    const place = { namespace: GATEWAYS, name: "istio-ingressgateway" };
    await plane.addGateway({ ...place, labels: GATEWAY_LABELS, zones: ["zone-1"] });
    const hardened = await installHardened(cluster);
    const foreign = await createForeign(api, lookalikes(GATEWAYS, "served"));
    const httpProxy = await startApiProxy(cluster);
    ending.push(async () => httpProxy.close());
    await plane.admit(Number(new URL(httpProxy.url).port));
    const fairlead = await startFairlead(redirected(hardened, httpProxy), {
      dataPlane: plane,
      env: { FAIRLEAD_DRAIN_SECONDS: "5", FAIRLEAD_GRACE_SECONDS: "1" },
    });
    ending.push(async () => {
      await fairlead.stop();
      keepLogs(cluster, fairlead);
    });
    await api.create(internalGateway(GATEWAYS));
    const tenant = await addExposed(api, plane);
    const expected = {
      programmed: "True",
      istio: "served",
      lookalikes: foreign.uids,
    } as const;
    const witness = createWitness({ cluster, api, foreign, expected, user: userOf("watch") });
    await witness.converged();
    await bindClusterRole(tenant.hosted, "cluster-admin", "--serviceaccount=default:robot");
    await untilRouted(api, TENANT);
    const client = await tenant.addClient({ name: "client" });
    return {
      cluster,
      api,
      fairlead,
      httpProxy,
      witness,
      kubectl: speak(cluster).kubectl,
      stop,
      tenant,
      rotate: async () => rotate(tenant),
      startLoad: async () => loadOf(tenant, client),
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
