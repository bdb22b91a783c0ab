import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { parse, stringify } from "yaml";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { LARGE_CASES_VERSION } from "../e2e/versions";
import { Api } from "../harness/api";
import { startApiProxy, type ApiProxy } from "../harness/fault-proxy";
import { startFairlead, type FairleadOptions } from "../harness/fairlead";
import { installHardened, userOf } from "../harness/hardened";
import { applyIstioDefinitions } from "../harness/istio-definitions";
import { internalGateway, namespace, node, secret, service } from "../harness/objects";
import { createForeign, lookalikes, type Expectations } from "../harness/oracle";
import { keepLogs, speak, type Stage } from "../harness/stage";
import { startTcpProxy } from "../harness/tcp-proxy";
import { makeTenantKeys, tenantObjects, type TenantKeys } from "../harness/tenant";
import { createWitness, type Witness } from "./witness";

/** The namespace of the gateway. */
export const GATEWAYS = "istio-ingress";

/** Tests without a data plane run where Istio's programs can't be had, too. */
const istio = process.env.FAIRLEAD_DATA_PLANE === "skip" ? "absent" : "served";

/** The line between fairlead and its API server. */
export interface Line {
  /** Cuts every connection off; new ones are made as ever. */
  cut(): void;
  /** Cuts every connection off, and lets none be made. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

/** How a stage is set. */
export interface FaultStageOptions {
  readonly tenants: readonly string[];
  /** What stands between fairlead and its API server. */
  readonly between?: "http-proxy" | "line";
  readonly apiServerFlags?: readonly string[];
  readonly fairlead?: Omit<FairleadOptions, "dataPlane">;
  /** Started once there are accounts and definitions; told the watch process's kubeconfig. */
  readonly beside?: (kubeconfigPath: string) => Promise<{ stop(): void }>;
}

/**
 * A stage for faults: both processes run with the rights of the manifest, tenants have what a control plane has, and
 * things of others stand among fairlead's. There is no gateway that could be seen to serve.
 */
export interface FaultStage extends Stage {
  /** Only where one stands there. */
  readonly httpProxy: ApiProxy | undefined;
  readonly line: Line | undefined;
  readonly witness: Witness;
  /** Of the things of others. */
  readonly foreignUids: ReadonlySet<string>;
  /** The cluster as fairlead finds it: its own accounts, through the proxy. */
  readonly forFairlead: EmbeddedCluster;
  keysOf(tenant: string): TenantKeys;
  /** Creates a tenant, with a Service and all sources. */
  addTenant(name: string): Promise<void>;
}

/** Leads a kubeconfig elsewhere; who its user is stays. */
function redirect(path: string, to: { readonly url: string; readonly caPem?: string }): string {
  const kubeconfig = parse(readFileSync(path, "utf8")) as {
    clusters: { name: string; cluster: Record<string, string> }[];
  };
  const clusters = kubeconfig.clusters.map(({ name, cluster }) => ({
    name,
    cluster: {
      ...cluster,
      server: to.url,
      ...(to.caPem === undefined
        ? {}
        : { "certificate-authority-data": Buffer.from(to.caPem).toString("base64") }),
    },
  }));
  const redirected = `${path}.redirected`;
  // At once, since a process may read what it was given before.
  writeFileSync(`${redirected}.new`, stringify({ ...kubeconfig, clusters }), { mode: 0o600 });
  renameSync(`${redirected}.new`, redirected);
  return redirected;
}

/** A cluster whose kubeconfigs lead elsewhere; nothing changes where no place is given. */
export function redirected(
  cluster: EmbeddedCluster,
  to: { readonly url: string; readonly caPem?: string } | undefined,
): EmbeddedCluster {
  if (to === undefined) return cluster;
  const other = Object.create(cluster) as { kubeconfigFor: EmbeddedCluster["kubeconfigFor"] };
  other.kubeconfigFor = async (user) => redirect(await cluster.kubeconfigFor(user), to);
  return other as EmbeddedCluster;
}

/** Nobody listens there. */
const NOWHERE = 1;

async function layLine(cluster: EmbeddedCluster): Promise<Line & { readonly url: string }> {
  let isHeld = false;
  const proxy = await startTcpProxy(() => (isHeld ? NOWHERE : cluster.apiServer.port));
  return {
    url: `https://127.0.0.1:${proxy.port}`,
    cut: () => {
      proxy.cutOff();
    },
    hold() {
      isHeld = true;
      proxy.cutOff();
    },
    release() {
      isHeld = false;
    },
    close: async () => proxy.close(),
  };
}

/** What a tenant has besides its Namespace, sources and HostedAPIServer. */
function extrasOf(tenant: string): readonly object[] {
  return [
    service(tenant, "etcd-main-client"),
    service(tenant, "kube-apiserver"),
    secret(tenant, "unrelated", { value: "theirs" }),
  ];
}

async function populate(api: Api, cluster: EmbeddedCluster) {
  if (istio === "served") await applyIstioDefinitions(speak(cluster));
  await api.createAll([node("node-1", "zone-a"), node("node-2", "zone-b"), namespace(GATEWAYS)]);
  const hardened = await installHardened(cluster);
  const foreign = await createForeign(api, lookalikes(GATEWAYS, istio));
  return { hardened, foreign };
}

/** Sets the stage, and waits until everything has converged; nothing is left running where that fails. */
export async function setFaultStage(options: FaultStageOptions): Promise<FaultStage> {
  const { between, apiServerFlags } = options;
  const cluster = await startCluster({ version: LARGE_CASES_VERSION, apiServerFlags });
  const api = new Api(cluster);
  const ending: (() => Promise<unknown>)[] = [
    async () => cluster.stop(),
    async () => {
      api.close();
      return Promise.resolve();
    },
  ];
  const stop = async () => {
    for (const end of ending.reverse()) await end();
  };
  try {
    const { hardened, foreign } = await populate(api, cluster);
    const httpProxy = between === "http-proxy" ? await startApiProxy(cluster) : undefined;
    const line = between === "line" ? await layLine(cluster) : undefined;
    ending.push(async () => Promise.all([httpProxy?.close(), line?.close()]));
    const forFairlead = redirected(hardened, httpProxy ?? line);
    const env = {
      FAIRLEAD_DRAIN_SECONDS: "1",
      FAIRLEAD_GRACE_SECONDS: "1",
      ...options.fairlead?.env,
    };
    const fairlead = await startFairlead(forFairlead, { ...options.fairlead, env });
    ending.push(async () => {
      await fairlead.stop();
      keepLogs(cluster, fairlead);
    });
    const kubeconfigPath = await forFairlead.kubeconfigFor({ name: "fairlead-watch", groups: [] });
    const beside = await options.beside?.(kubeconfigPath);
    ending.push(async () => Promise.resolve(beside?.stop()));
    const expected: Expectations = { programmed: "False", istio, lookalikes: foreign.uids };
    const witness = createWitness({ cluster, api, foreign, expected, user: userOf("watch") });
    const keys = new Map<string, TenantKeys>();
    await api.create(internalGateway(GATEWAYS));
    const stage: FaultStage = {
      cluster,
      api,
      fairlead,
      ...speak(cluster),
      httpProxy,
      line,
      witness,
      foreignUids: foreign.uids,
      forFairlead,
      keysOf(tenant) {
        const found = keys.get(tenant);
        if (found === undefined) throw new Error(`there are no keys of ${tenant}`);
        return found;
      },
      async addTenant(tenant) {
        const made = keys.get(tenant) ?? (await makeTenantKeys(tenant));
        keys.set(tenant, made);
        const objects = tenantObjects(tenant, made);
        await api.createAll([...objects.slice(0, 1), ...extrasOf(tenant), ...objects.slice(1)]);
      },
      stop,
    };
    for (const tenant of options.tenants) await stage.addTenant(tenant);
    await witness.converged();
    return stage;
  } catch (error) {
    await stop();
    throw error;
  }
}
