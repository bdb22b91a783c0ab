import { execFile } from "node:child_process";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { type ChildProgram, launchUntilReady } from "./child-program";
import { istiodHost, rootCertificate, serviceAccountToken } from "./istiod";
import { ensure, ensureNamespace, nodeName, playPod, type PlayedPod } from "./kubelet";
import type { Network, PodPlace } from "./network";
import type { Relay } from "./relay";
import { createRest, type Rest } from "./rest";
import type { Watchdog } from "./watchdog";

/** A gateway as a Deployment would run it. */
export interface GatewayRequest {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  /** One replica in each (default: one zone "zone-1"). */
  readonly zones?: readonly string[];
  /** How long connections of what was replaced go on; default: Istio's, 45 s. */
  readonly drainSeconds?: number;
}

/** One Pod of a gateway: pilot-agent and Envoy. */
export interface GatewayReplica {
  readonly pod: PlayedPod;
  readonly place: PodPlace;
  /** Of pilot-agent, which runs Envoy; the process that runs now, or that ran last. */
  readonly pid: number;
  readonly logPath: string;
  /** Envoy's /config_dump, of all resources; endpoints too. */
  configDump(): Promise<unknown>;
  /** Envoy's statistics by name. */
  stats(): Promise<ReadonlyMap<string, number>>;
  /** Configuration updates that Envoy refused (`….update_rejected`), by name, where above 0. */
  rejectedUpdates(): Promise<Readonly<Record<string, number>>>;
  /** A request to Envoy's admin interface, as `pilot-agent request` sends it. */
  admin(method: "GET" | "POST", path: string): Promise<string>;
  /** SIGTERM drains; the Pod is not ready then, but stays. */
  stop(signal?: NodeJS.Signals): Promise<void>;
  start(): Promise<void>;
}

/** A gateway that runs. */
export interface Gateway {
  readonly namespace: string;
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly replicas: readonly GatewayReplica[];
  /** Ends the replicas and deletes their Pods. */
  remove(): Promise<void>;
}

/** What gateways are started with. */
export interface GatewayGround {
  readonly rest: Rest;
  readonly network: Network;
  readonly relay: Relay;
  readonly watchdog: Watchdog;
  readonly directory: string;
  readonly programs: { readonly agent: string; readonly envoy: string; readonly template: string };
  readonly setZone: (address: string, zone: string) => void;
}

const readyTimeoutMs = 60_000;
const probePeriodMs = 500;
// The agent lets Envoy drain for 5 s.
const stopTimeoutMs = 30_000;

/**
 * Starts a gateway's replicas and waits until they are ready: its ServiceAccount with the right to
 * read Secrets of its namespace, and per replica a Pod object, pilot-agent and Envoy.
 * @throws what `launchUntilReady` throws, and {RestError}.
 */
export async function startGateway(
  ground: GatewayGround,
  request: GatewayRequest,
): Promise<Gateway> {
  await ensureNamespace(ground.rest, request.namespace);
  await ensureAccount(ground.rest, request);
  const replicas = await Promise.all(
    (request.zones ?? ["zone-1"]).map(async (zone, index) =>
      startReplica(ground, request, { zone, name: `${request.name}-${index}` }),
    ),
  );
  return {
    namespace: request.namespace,
    name: request.name,
    labels: request.labels,
    replicas,
    async remove() {
      await Promise.all(
        replicas.map(async (replica) => {
          await replica.pod.remove();
          await replica.stop();
          await replica.place.remove();
        }),
      );
    },
  };
}

interface ReplicaRequest {
  readonly zone: string;
  readonly name: string;
}

async function startReplica(
  ground: GatewayGround,
  gateway: GatewayRequest,
  replica: ReplicaRequest,
): Promise<GatewayReplica> {
  const { network, watchdog, rest } = ground;
  const place = await network.addPod({
    name: `${gateway.namespace}-${replica.name}`,
    hostAliases: [{ ip: network.address, hostnames: [istiodHost] }],
  });
  ground.setZone(place.address, replica.zone);
  const directory = join(ground.directory, "gateways", gateway.namespace, replica.name);
  await writeAgentFiles(ground, gateway, directory);
  const health = createRest({ url: `http://${place.address}:15021`, dial: ground.relay.dial });
  const isReady = async () => (await health.call({ path: "/healthz/ready" })).status === 200;
  const logPath = join(directory, "gateway.log");
  const run = async () =>
    launchUntilReady(
      {
        program: ground.programs.agent,
        within: place.prefix,
        directory,
        watchdog,
        logPath,
        stopTimeoutMs,
        environment: agentEnvironment(ground, gateway, { ...replica, address: place.address }),
        args: agentFlags(ground, gateway),
      },
      { isReady, timeoutMs: readyTimeoutMs },
    );
  // istiod finds the gateway's labels by its Pod, so that has to be there first.
  const pod = await playPod(rest, {
    namespace: gateway.namespace,
    name: replica.name,
    labels: gateway.labels,
    zone: replica.zone,
    address: place.address,
    ports: [{ name: "status-port", containerPort: 15021 }],
    serviceAccountName: gateway.name,
    isReady,
    periodMs: probePeriodMs,
  });
  let program: ChildProgram = await run();
  await pod.probe();
  return {
    ...readersOf(ground, place),
    pod,
    place,
    get pid() {
      return program.pid;
    },
    logPath,
    async stop(signal) {
      await program.stop(signal);
      await pod.probe().catch(() => undefined);
    },
    async start() {
      if (program.ending() === undefined) throw new Error(`${replica.name} runs already.`);
      program = await run();
      await pod.probe();
    },
  };
}

function readersOf(
  ground: GatewayGround,
  place: PodPlace,
): Pick<GatewayReplica, "admin" | "configDump" | "stats" | "rejectedUpdates"> {
  const admin = async (method: "GET" | "POST", path: string) =>
    request(ground, place, [method, path.replace(/^\//, "")]);
  const stats = async () => parseStats(await admin("GET", "/stats"));
  const isRejection = ([name, count]: readonly [string, number]) =>
    name.endsWith(".update_rejected") && count > 0;
  return {
    admin,
    configDump: async () => JSON.parse(await admin("GET", "/config_dump?include_eds")) as unknown,
    stats,
    rejectedUpdates: async () => Object.fromEntries([...(await stats())].filter(isRejection)),
  };
}

async function request(
  ground: GatewayGround,
  place: PodPlace,
  args: readonly string[],
): Promise<string> {
  const [program = "", ...rest] = [...place.prefix, ground.programs.agent, "request", ...args];
  const { stdout } = await promisify(execFile)(program, rest, { maxBuffer: 512 * 1024 ** 2 });
  return stdout;
}

function parseStats(text: string): ReadonlyMap<string, number> {
  const stats = new Map<string, number>();
  for (const line of text.split("\n")) {
    const match = /^(.+): (\d+)$/.exec(line);
    if (match?.[1] !== undefined) stats.set(match[1], Number(match[2]));
  }
  return stats;
}

// As Istio's chart has it: the agent's account reads the certificates that Gateways name.
async function ensureAccount(rest: Rest, { namespace, name }: GatewayRequest): Promise<void> {
  const core = `/api/v1/namespaces/${namespace}/serviceaccounts`;
  const rbac = `/apis/rbac.authorization.k8s.io/v1/namespaces/${namespace}`;
  const metadata = { name, namespace };
  await ensure(rest, core, { apiVersion: "v1", kind: "ServiceAccount", metadata });
  await ensure(rest, `${rbac}/roles`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "Role",
    metadata,
    rules: [{ apiGroups: [""], resources: ["secrets"], verbs: ["get", "watch", "list"] }],
  });
  await ensure(rest, `${rbac}/rolebindings`, {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata,
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name },
    subjects: [{ kind: "ServiceAccount", name, namespace }],
  });
}

// What the kubelet mounts into a gateway's Pod.
async function writeAgentFiles(
  { rest }: GatewayGround,
  gateway: GatewayRequest,
  directory: string,
): Promise<void> {
  const [token, root] = await Promise.all([
    serviceAccountToken(rest, gateway, ["istio-ca"]),
    rootCertificate(rest, gateway.namespace),
  ]);
  const labels = Object.entries(gateway.labels).map(([key, value]) => `${key}="${value}"`);
  const files = {
    "var/run/secrets/tokens/istio-token": token,
    "var/run/secrets/istio/root-cert.pem": root,
    "etc/istio/pod/labels": labels.join("\n"),
    "etc/istio/pod/annotations": "",
  };
  for (const [path, text] of Object.entries(files)) {
    await mkdir(join(directory, path, ".."), { recursive: true });
    await writeFile(join(directory, path), text, { mode: 0o600 });
  }
}

function agentFlags(ground: GatewayGround, gateway: GatewayRequest): string[] {
  return [
    "proxy",
    "router",
    "--domain",
    `${gateway.namespace}.svc.cluster.local`,
    "--templateFile",
    ground.programs.template,
    "--concurrency",
    "2",
  ];
}

// Refused updates of all kinds, and connections and requests by listener and cluster.
const countedStats = [
  "update_rejected",
  "downstream_cx_total",
  "downstream_cx_active",
  "upstream_cx_total",
  "upstream_cx_active",
  "upstream_rq_total",
  "upstream_rq_active",
  "upstream_rq_retry",
];

function agentEnvironment(
  ground: GatewayGround,
  gateway: GatewayRequest,
  replica: ReplicaRequest & { readonly address: string },
): Readonly<Record<string, string>> {
  return {
    POD_NAME: replica.name,
    POD_NAMESPACE: gateway.namespace,
    INSTANCE_IP: replica.address,
    SERVICE_ACCOUNT: gateway.name,
    NODE_NAME: nodeName(replica.zone),
    CA_ADDR: `${istiodHost}:15012`,
    PILOT_CERT_PROVIDER: "istiod",
    TRUST_DOMAIN: "cluster.local",
    ISTIO_META_CLUSTER_ID: "Kubernetes",
    ISTIO_META_NODE_NAME: nodeName(replica.zone),
    ISTIO_META_WORKLOAD_NAME: gateway.name,
    ISTIO_META_OWNER: `kubernetes://apis/apps/v1/namespaces/${gateway.namespace}/deployments/${gateway.name}`,
    PROXY_CONFIG: JSON.stringify({
      discoveryAddress: `${istiodHost}:15012`,
      binaryPath: ground.programs.envoy,
      ...(gateway.drainSeconds === undefined ? {} : { drainDuration: `${gateway.drainSeconds}s` }),
      // Istio leaves most of Envoy's statistics out.
      proxyStatsMatcher: { inclusionSuffixes: countedStats },
    }),
  };
}
