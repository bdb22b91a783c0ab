import { randomBytes } from "node:crypto";
import { envoyFilterOf } from "../../capabilities/exposure/resources";
import { SUBSETS } from "../../capabilities/exposure/resources/subsets";
import {
  issue,
  startCluster,
  startDataPlane,
  type Client,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
  type HostedAPIServer,
  type KeyPair,
  type Progress,
  type Sample,
} from "../../test/cluster";
import { eventually } from "../../test/harness/eventually";
import { ALGORITHMS, type Algorithm, type AlgorithmName, type BalancedCluster } from "./algorithms";
import {
  BALANCED,
  clusterNameOf,
  configurationOf,
  CONTROL_PLANE,
  CREDENTIALS,
  GATEWAY_LABELS,
  GATEWAY_NAMESPACE,
  HOST,
  internalGateway,
  withoutOwner,
  type Mode,
} from "./configuration";
import type { Credential, LoadConnection, LoadTarget } from "./load";
import type { PerServer } from "./spread";

/** Requests and watches of the load, as the API servers count them. */
export interface Counts {
  /** Requests that are no watches, since each API server started. */
  readonly requests: PerServer;
  /** Watches that are open. */
  readonly watches: PerServer;
}

/** What a client's connections lead to. */
export type Entry =
  /** The gateway's Service, as a routed Pod's do. */
  | "service"
  /** A gateway's Pod: what plays kube-proxy here passes bytes on by itself, which the kernel does elsewhere. */
  | "gateway"
  /** The API servers, one after another, without a gateway. */
  | "servers";

/** A hosted cluster with three API servers behind a gateway that balances as it is told. */
export interface Stage {
  readonly client: Client;
  /** The one that is there now. */
  readonly hosted: HostedAPIServer;
  /** Returns once all gateway Pods balance so, over all API servers. What is open stays on the old way. */
  configure(mode: Mode, algorithm: AlgorithmName): Promise<void>;
  /**
   * Restarts the first API server, and returns once all gateway Pods send to all of them again. "moved": to the gateway
   * it is a new one then, as a new Pod's; else the one of before, which was not ready.
   */
  restartFirst(mode: Mode, as: "same" | "moved"): Promise<void>;
  /** Restarts all of them at once, so that none has a past. */
  restartAll(mode: Mode): Promise<void>;
  /** Ends the API servers, and starts others with more flags in their place; `configure` comes next. */
  replaceServers(flags: readonly string[]): Promise<void>;
  /** Where a client connects to; its connections are by turns an administrator's certificate's and token's. */
  targetOf(connections: number, entry?: Entry): LoadTarget;
  counts(): Promise<Counts>;
  /** Ids of the programs that requests pass, by what they are; the API servers in the order of the replicas. */
  programs(): Programs;
  stop(): Promise<void>;
}

/** Process ids. */
export interface Programs {
  readonly gateways: readonly number[];
  readonly apiServers: readonly number[];
  /** The hosted cluster's. */
  readonly etcd: readonly number[];
}

/** What a stage is made of. */
export interface StageOptions {
  readonly gatewayPods: number;
  /** One API server in each; the gateway and the client are in zone-1. */
  readonly zones: readonly string[];
  /** More flags of the API servers. */
  readonly flags: readonly string[];
  readonly progress: Progress;
}

/** The namespace of the hosted cluster that the load works in; nobody else counts there. */
export const LOAD_NAMESPACE = "load";
/** One with more in it, to be listed. */
export const LISTED_NAMESPACE = "listed";
const listed = { count: 200, characters: 1024 } as const;

const internalService = "istio-ingressgateway-internal";
const gatewayPort = 9443;

/** All of it but the hosted API servers, which may be replaced. */
interface Fixtures {
  readonly cluster: EmbeddedCluster;
  readonly plane: DataPlane;
  readonly gateway: Gateway;
}

interface Ground extends Fixtures {
  readonly hosted: HostedAPIServer;
}

/** Hosted API servers, with whoever may use them. */
interface Tenant {
  readonly hosted: HostedAPIServer;
  readonly credentials: readonly [Credential, Credential];
}

async function startGround(options: StageOptions): Promise<Ground> {
  const { progress } = options;
  const cluster = await startCluster({ controllerManager: "run", progress });
  try {
    const plane = await startDataPlane(cluster, { zones: ["zone-1"], progress });
    const [gateway, hosted] = await Promise.all([
      plane.addGateway({
        namespace: GATEWAY_NAMESPACE,
        name: "istio-ingressgateway",
        labels: GATEWAY_LABELS,
        zones: Array.from({ length: options.gatewayPods }, () => "zone-1"),
      }),
      addServers(plane, options),
    ]).catch(async (error: unknown) => {
      await plane.stop();
      throw error;
    });
    return { cluster, plane, gateway, hosted };
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

async function addServers(
  plane: DataPlane,
  { zones, flags }: Pick<StageOptions, "zones" | "flags">,
): Promise<HostedAPIServer> {
  return plane.addHostedAPIServer({
    namespace: CONTROL_PLANE,
    zones,
    flags,
    dnsNames: [HOST],
    // Until a restarted one refuses connections; what is measured begins when it is back.
    shutdownDelaySeconds: 2,
  });
}

/** Starts everything, and ends it where it fails. */
export async function setStage(options: StageOptions): Promise<Stage> {
  const ground = await startGround(options);
  try {
    return await stageOn(ground, options);
  } catch (error) {
    await ground.plane.stop();
    await ground.cluster.stop();
    throw error;
  }
}

async function stageOn({ hosted, ...fixtures }: Ground, options: StageOptions): Promise<Stage> {
  const { cluster, plane } = fixtures;
  const routeSecret = randomBytes(16).toString("hex");
  const admit = async (servers: HostedAPIServer): Promise<Tenant> => {
    await applyAll(cluster, await staticObjects(servers, routeSecret));
    return { hosted: servers, credentials: await prepareLoad(servers) };
  };
  let tenant = await admit(hosted);
  const client = await addClient(fixtures);
  const ground = (): Ground => ({ ...fixtures, hosted: tenant.hosted });
  return {
    client,
    get hosted() {
      return tenant.hosted;
    },
    async configure(mode, algorithm) {
      await applyAll(cluster, configurationOf({ mode, algorithm, routeSecret }));
      await untilSeen(ground(), mode, ALGORITHMS[algorithm].isSeen);
    },
    restartFirst: async (mode, as) => restartFirst(ground(), mode, as),
    restartAll: async (mode) => restartAll(ground(), mode),
    async replaceServers(flags) {
      await tenant.hosted.remove();
      tenant = await admit(await addServers(plane, { zones: options.zones, flags }));
    },
    targetOf: (connections, entry = "service") =>
      targetOf(tenant, { connections, addresses: addressesOf(ground(), entry) }),
    counts: async () => countsOf(tenant.hosted),
    programs: () => {
      const names = [...plane.memory().keys()];
      const idsOf = (name: string): readonly number[] =>
        names
          .filter((one) => one.startsWith(`${name}-`))
          .map((one) => Number(one.split("-").pop()));
      const apiServers = tenant.hosted.replicas.map(({ pid }) => pid);
      return { gateways: idsOf("envoy"), etcd: idsOf("etcd"), apiServers };
    },
    async stop() {
      await plane.stop();
      await cluster.stop();
    },
  };
}

type Address = NonNullable<LoadConnection["at"]>;

function addressesOf({ gateway, hosted }: Ground, entry: Entry): readonly Address[] {
  switch (entry) {
    case "service":
      return [];
    case "gateway":
      return gateway.replicas.map(({ place: { address } }) => ({ address, port: gatewayPort }));
    case "servers":
      return hosted.replicas.map(({ place: { address } }) => ({ address, port: 443 }));
  }
}

function targetOf(
  { hosted, credentials }: Tenant,
  { connections, addresses }: { connections: number; addresses: readonly Address[] },
): LoadTarget {
  const [certificate, token] = credentials;
  return {
    host: HOST,
    // It signed what the gateway serves, and the API servers' own certificate.
    caPem: hosted.keys.serverCA.certificatePem,
    connections: Array.from({ length: connections }, (_, index) => {
      const at = addresses[index % addresses.length];
      const credential = index % 2 === 0 ? certificate : token;
      return at === undefined ? { credential } : { credential, at };
    }),
  };
}

async function applyAll(cluster: EmbeddedCluster, items: readonly object[]): Promise<void> {
  const input = JSON.stringify({ apiVersion: "v1", kind: "List", items });
  const { exitCode, stderr } = await cluster.kubectl(["apply", "-f", "-"], { input });
  if (exitCode !== 0) throw new Error(`the configuration was refused: ${stderr}`);
}

/** What is the same in every mode: Secrets, as credentials writes them, the internal Service, and the shared filter. */
async function staticObjects({ keys }: HostedAPIServer, routeSecret: string): Promise<object[]> {
  const { serverCA, clientCA, frontProxyCA } = keys;
  const served = await issue(serverCA, { commonName: HOST, dnsNames: [HOST], usages: ["server"] });
  const commonName = "system:istio-gateway";
  const proxy = await issue(frontProxyCA, { commonName, usages: ["client"] });
  const secret = (name: string, pair: KeyPair, ca: KeyPair) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: GATEWAY_NAMESPACE },
    stringData: { cert: pair.certificatePem, key: pair.privateKeyPem, cacert: ca.certificatePem },
  });
  return [
    secret(CREDENTIALS.server, served, clientCA),
    secret(CREDENTIALS.upstream, proxy, serverCA),
    {
      apiVersion: "v1",
      kind: "Service",
      metadata: { name: internalService, namespace: GATEWAY_NAMESPACE },
      spec: { selector: GATEWAY_LABELS, ports: [{ name: "tls", port: 443, targetPort: 9443 }] },
    },
    withoutOwner(envoyFilterOf(internalGateway, routeSecret)),
  ];
}

async function addClient({ cluster, plane }: Fixtures): Promise<Client> {
  const path = "jsonpath={.spec.clusterIP}";
  const args = ["get", "service", internalService, "-n", GATEWAY_NAMESPACE, "-o", path];
  const { stdout: ip } = await cluster.kubectl(args);
  const hostAliases = [{ ip, hostnames: [HOST] }];
  return plane.addClient({ name: "client", zone: "zone-1", hostAliases });
}

/** Makes what the load works on, and who may. */
async function prepareLoad(hosted: HostedAPIServer): Promise<readonly [Credential, Credential]> {
  const token = await hosted.tokenFor({ namespace: LOAD_NAMESPACE, name: "load" });
  const rbac = "rbac.authorization.k8s.io";
  const items = [
    {
      apiVersion: `${rbac}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name: "load" },
      roleRef: { apiGroup: rbac, kind: "ClusterRole", name: "cluster-admin" },
      subjects: [{ kind: "ServiceAccount", name: "load", namespace: LOAD_NAMESPACE }],
    },
    {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "subject", namespace: LOAD_NAMESPACE },
      data: { text: "x".repeat(512) },
    },
  ];
  const input = JSON.stringify({
    apiVersion: "v1",
    kind: "List",
    items: [...items, ...listedObjects()],
  });
  const { exitCode, stderr } = await hosted.kubectl(["apply", "--server-side", "-f", "-"], {
    input,
  });
  if (exitCode !== 0) throw new Error(`the load's objects were refused: ${stderr}`);
  const certificate = await hosted.issueClient({ name: "load", groups: ["system:masters"] });
  return [certificate, { token }];
}

function listedObjects(): readonly object[] {
  const namespace = LISTED_NAMESPACE;
  const objects = Array.from({ length: listed.count }, (_, index) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: `listed-${index}`, namespace },
    data: { text: "x".repeat(listed.characters) },
  }));
  return [{ apiVersion: "v1", kind: "Namespace", metadata: { name: namespace } }, ...objects];
}

async function restartFirst(ground: Ground, mode: Mode, as: "same" | "moved"): Promise<void> {
  const { cluster, hosted } = ground;
  const label = async (role: string): Promise<void> => {
    const pod = ["pod", `${hosted.name}-0`, "-n", CONTROL_PLANE];
    const { exitCode, stderr } = await cluster.kubectl(["label", ...pod, role, "--overwrite"]);
    if (exitCode !== 0) throw new Error(stderr);
  };
  await hosted.stopReplica(0);
  // Without the Service's labels it is no endpoint, not even one that is not ready.
  if (as === "moved") await label("role=away");
  await hosted.startReplica(0);
  if (as === "moved") await label("role=apiserver");
  await untilSeen(ground, mode, () => true);
}

async function restartAll(ground: Ground, mode: Mode): Promise<void> {
  const { hosted } = ground;
  const all = hosted.replicas.map((_, index) => index);
  await Promise.all(all.map(async (index) => hosted.stopReplica(index)));
  await Promise.all(all.map(async (index) => hosted.startReplica(index)));
  await untilSeen(ground, mode, () => true);
}

type GatewayReplica = Gateway["replicas"][number];

async function untilSeen(
  { gateway, hosted }: Ground,
  mode: Mode,
  isSeen: Algorithm["isSeen"],
): Promise<void> {
  await eventually(
    async () => {
      for (const replica of gateway.replicas) {
        const problem = await findProblem(replica, { mode, isSeen, count: hosted.replicas.length });
        if (problem !== undefined) throw new Error(problem);
      }
    },
    { timeoutMs: 60_000 },
  );
}

/** Why a gateway's Pod does not balance over all API servers yet. */
async function findProblem(
  replica: GatewayReplica,
  wanted: { mode: Mode; isSeen: Algorithm["isSeen"]; count: number },
): Promise<string | undefined> {
  const listeners = await replica.admin("GET", "/config_dump?resource=dynamic_listeners");
  const isL4 = listeners.includes(`"${clusterNameOf(SUBSETS.passthrough)}"`);
  if (isL4 !== (wanted.mode === "L4")) return `a Pod of the gateway is not in ${wanted.mode} yet`;
  const [clusters, ready] = await Promise.all([clustersOf(replica), readyServersOf(replica)]);
  for (const name of BALANCED[wanted.mode].map(clusterNameOf)) {
    const cluster = clusters.find((one) => one.name === name);
    if (cluster === undefined || !wanted.isSeen(cluster)) return `${name} balances otherwise yet`;
    if (ready.get(name) !== wanted.count) return `${name} does not have all API servers yet`;
  }
  return undefined;
}

async function clustersOf(replica: GatewayReplica): Promise<readonly BalancedCluster[]> {
  const text = await replica.admin("GET", "/config_dump?resource=dynamic_active_clusters");
  const { configs = [] } = JSON.parse(text) as {
    readonly configs?: readonly { readonly cluster: BalancedCluster }[];
  };
  return configs.map(({ cluster }) => cluster);
}

interface ClusterStatus {
  readonly name: string;
  readonly host_statuses?: readonly {
    readonly health_status?: { readonly eds_health_status?: string };
  }[];
}

/** How many API servers a gateway's Pod sends to, by cluster. */
async function readyServersOf(replica: GatewayReplica): Promise<ReadonlyMap<string, number>> {
  const text = await replica.admin("GET", "/clusters?format=json");
  const { cluster_statuses: statuses } = JSON.parse(text) as {
    readonly cluster_statuses: readonly ClusterStatus[];
  };
  const isReady = ({ health_status: health }: { health_status?: { eds_health_status?: string } }) =>
    health?.eds_health_status === "HEALTHY";
  return new Map(
    statuses.map(({ name, host_statuses: hosts = [] }) => [name, hosts.filter(isReady).length]),
  );
}

// Not what the API servers do among themselves, which is of the whole cluster.
const isLoad = ({ scope }: Sample["labels"]): boolean =>
  scope === "namespace" || scope === "resource";

async function countsOf({ replicas }: HostedAPIServer): Promise<Counts> {
  const isRequest = (of: Sample["labels"]): boolean =>
    of.resource === "configmaps" && of.verb !== "WATCH" && isLoad(of);
  const isWatch = (of: Sample["labels"]): boolean =>
    of.resource === "secrets" && of.verb === "WATCH" && isLoad(of);
  const [requests, watches] = await Promise.all([
    Promise.all(replicas.map(async (replica) => replica.requestCount(isRequest))),
    Promise.all(replicas.map(async (replica) => replica.watchCount(isWatch))),
  ]);
  return { requests, watches };
}
