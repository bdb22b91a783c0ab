import { mkdir, mkdtemp, realpath } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { findPrograms } from "./binaries";
import { type Client, createClient } from "./client";
import type { EmbeddedCluster } from "./cluster";
import { startControllerManager } from "./controller-manager";
import { type Etcd, launchEtcd } from "./etcd";
import { type Gateway, type GatewayRequest, startGateway } from "./gateway";
import { type HostedAPIServer, type HostedRequest, startHosted } from "./hosted-api-server";
import { type Istiod, startIstiod } from "./istiod";
import { ensureNode } from "./kubelet";
import { type Kwok, startKwok } from "./kwok";
import { createNetwork, type HostAlias, type Network } from "./network";
import { findFreePort } from "./ports";
import { type Progress, silentProgress } from "./progress";
import { residentBytesOf } from "./processes";
import { type Relay, type Route, startRelay } from "./relay";
import { createRest, type Rest } from "./rest";
import { startScheduler } from "./scheduler";
import { type ServiceProxy, startServiceProxy } from "./service-proxy";
import { inStep } from "./start";
import { dataPlanePrograms, kwokStages, type ProgramName } from "./versions";
import { startWatchdog, type Watchdog } from "./watchdog";

/** How a data plane is started; everything has a default. */
export interface DataPlaneOptions {
  /** Zones that have a Node from the start; default "zone-1". More come with Pods in them. */
  readonly zones?: readonly string[];
  /** Added to istiod's environment, and winning. */
  readonly istiodEnvironment?: Readonly<Record<string, string>>;
  readonly progress?: Progress | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What a client Pod is made of. */
export interface ClientRequest {
  /** A DNS label, unique in the data plane. */
  readonly name: string;
  /** Default: none, so that it gets no endpoint of its zone. */
  readonly zone?: string;
  /** Such as a Pod's spec.hostAliases. */
  readonly hostAliases?: readonly HostAlias[];
}

/** A network, istiod and what belongs to them, beside an embedded cluster. */
export interface DataPlane {
  readonly istiod: Istiod;
  /** The node's network namespace; cluster IPs lead to endpoints there and in its Pods. */
  readonly network: Network;
  /** Plays the management cluster's Nodes and the Pods that are scheduled to them. */
  readonly kwok: Kwok;
  /** The management cluster's API, as the administrator. */
  readonly rest: Rest;
  readonly directory: string;
  addGateway(request: GatewayRequest): Promise<Gateway>;
  addHostedAPIServer(request: HostedRequest): Promise<HostedAPIServer>;
  addClient(request: ClientRequest): Promise<Client>;
  /**
   * A client of an address inside (`10.96.3.7:443`) for HTTP requests from this process; with
   * `serverName` for SNI.
   */
  restAt(request: Omit<Parameters<typeof createRest>[0], "dial">): Rest;
  /** A port of this machine's 127.0.0.1 (default: a free one) that leads to an address inside. */
  expose(address: string, port?: number): Promise<number>;
  /** A port of this machine's 127.0.0.1 can be reached inside, at the same address. */
  admit(port: number): Promise<void>;
  /** Resident memory of each program, in bytes, by `<name>-<pid>`. */
  memory(): ReadonlyMap<string, number>;
  /** Ends everything; the cluster goes on. */
  stop(): Promise<void>;
}

const serviceRanges = ["10.96.0.0/16", "fd00:10:96::/112"];

/**
 * Starts a data plane beside a cluster: a network namespace, a player of kube-proxy, istiod,
 * kube-scheduler, kwok, and kube-controller-manager unless the cluster has one. It ends with this
 * process, whatever way that ends, and keeps no process alive.
 * @throws {NetworkUnavailableError}, what `findPrograms` and `launchUntilReady` throw, or the
 * signal's reason; nothing is left running then.
 */
export async function startDataPlane(
  cluster: EmbeddedCluster,
  options: DataPlaneOptions = {},
): Promise<DataPlane> {
  const progress = options.progress ?? silentProgress;
  const programs = await locate(cluster, options);
  options.signal?.throwIfAborted();
  const directory = await mkdtemp(join(await realpath(tmpdir()), "fairlead-data-plane-"));
  const watchdog = startWatchdog(directory);
  const ended = new AbortController();
  try {
    return await inStep(progress, "start the data plane", async () =>
      startParts({ cluster, options, programs, directory, watchdog, ended }),
    );
  } catch (error) {
    ended.abort();
    await watchdog.close();
    throw error;
  }
}

type Locate = (program: ProgramName) => string;

async function locate(cluster: EmbeddedCluster, options: DataPlaneOptions): Promise<Locate> {
  const { paths } = await findPrograms({
    version: cluster.version,
    programs: ["etcd", "kube-scheduler", "kube-controller-manager", ...dataPlanePrograms],
    progress: options.progress ?? silentProgress,
    signal: options.signal,
  });
  return (program) => {
    const path = paths[program];
    if (path === undefined) throw new Error(`The place of ${program} was not asked for.`);
    return path;
  };
}

interface Parts {
  readonly cluster: EmbeddedCluster;
  readonly options: DataPlaneOptions;
  readonly programs: Locate;
  readonly directory: string;
  readonly watchdog: Watchdog;
  readonly ended: AbortController;
}

interface Ground extends Parts {
  readonly rest: Rest;
  readonly network: Network;
  readonly inside: Relay;
  readonly outside: Outside;
  readonly proxy: ServiceProxy;
}

async function startParts(parts: Parts): Promise<DataPlane> {
  const ground = await startGround(parts);
  const { rest, network, inside, directory, watchdog } = ground;
  const zones = parts.options.zones ?? ["zone-1"];
  await Promise.all(zones.map(async (zone) => ensureNode(rest, zone)));
  const [istiod, kwok, etcd] = await Promise.all([
    startIstiodPart(ground),
    startKwokPart(ground),
    startHostedEtcd(ground),
    startControllers(ground),
  ]);
  return {
    istiod,
    network,
    kwok,
    rest,
    directory,
    ...podStarters(ground, etcd),
    restAt: (request) => createRest({ ...request, dial: inside.dial }),
    expose: async (address, port) => expose(ground, address, port),
    admit: async (port) => admit(ground, port),
    memory: () => residentBytesOf(watchdog.guarded()),
    async stop() {
      parts.ended.abort();
      await watchdog.close();
    },
  };
}

/** A relay on this machine's side, with the routes that it has. */
interface Outside {
  readonly relay: Relay;
  readonly routes: Route[];
}

async function startGround(parts: Parts): Promise<Ground> {
  const { cluster, directory, watchdog, options } = parts;
  const { signal } = options;
  const network = await createNetwork({ directory, watchdog, serviceRanges, signal });
  const program = parts.programs("relay");
  const [inside, relay] = await Promise.all([
    startRelay({ program, name: "inside", directory, watchdog, within: network.prefix }),
    startRelay({ program, name: "outside", directory, watchdog }),
  ]);
  const rest = createRest({
    url: cluster.apiServer.url,
    caPem: cluster.apiServer.caPem,
    client: cluster.keys.admin,
  });
  const proxy = startServiceProxy({ rest, relay: inside, signal: parts.ended.signal });
  const ground = { ...parts, rest, network, inside, outside: { relay, routes: [] }, proxy };
  // All kubeconfigs say 127.0.0.1: they are right inside, too.
  await admit(ground, cluster.apiServer.port);
  return ground;
}

async function admit({ proxy, outside }: Ground, port: number): Promise<void> {
  const address = `127.0.0.1:${port}`;
  const via = outside.relay.socketPath;
  await proxy.setRoute({ listen: address, targets: [{ address, via }] });
}

async function expose(
  { outside, inside }: Ground,
  address: string,
  askedPort?: number,
): Promise<number> {
  const port = askedPort ?? (await findFreePort());
  const targets = [{ address, via: inside.socketPath }];
  outside.routes.push({ listen: `127.0.0.1:${port}`, targets });
  await outside.relay.setRoutes({ routes: outside.routes });
  return port;
}

async function startIstiodPart(ground: Ground): Promise<Istiod> {
  const { cluster, rest, network, inside, watchdog, programs, options } = ground;
  const directory = await ownDirectory(ground, "istiod");
  return startIstiod({
    cluster,
    rest,
    network,
    relay: inside,
    watchdog,
    directory,
    program: programs("pilot-discovery"),
    crdsPath: programs("crd-all.gen.yaml"),
    environment: options.istiodEnvironment,
    signal: options.signal,
    webhookPort: await expose(ground, `${network.address}:15017`),
  });
}

const kwokPort = 11_000;

async function startKwokPart(ground: Ground): Promise<Kwok> {
  const { cluster, network, inside, watchdog, programs } = ground;
  return startKwok({
    program: programs("kwok"),
    stages: kwokStages.map(programs),
    directory: await ownDirectory(ground, "kwok"),
    watchdog,
    within: network.prefix,
    relay: inside,
    kubeconfigPath: cluster.kubeconfigPath,
    nodeAddress: network.address,
    port: kwokPort,
    podRange: "10.245.0.0/16",
  });
}

// Of its own, so that the hosted clusters' load is not the management cluster's.
async function startHostedEtcd(ground: Ground): Promise<Etcd> {
  const { network, inside, watchdog, programs, options } = ground;
  const [address, port] = [network.address, 12_379];
  const rest = createRest({ url: `http://${address}:${port}`, dial: inside.dial });
  return launchEtcd(
    {
      program: programs("etcd"),
      directory: await ownDirectory(ground, "etcd"),
      watchdog,
      signal: options.signal,
    },
    {
      address,
      port,
      peerPort: 12_380,
      within: network.prefix,
      isReady: async () => (await rest.call({ path: "/health" })).status === 200,
    },
  );
}

async function startControllers(ground: Ground): Promise<void> {
  const { cluster, watchdog, programs } = ground;
  const directory = await ownDirectory(ground, "controllers");
  const { kubeconfigPath, files } = cluster;
  const program = programs("kube-scheduler");
  await startScheduler({ program, directory, kubeconfigPath, watchdog });
  // Endpoints come from it.
  if (cluster.controllerManager === "run") return;
  const manager = programs("kube-controller-manager");
  await startControllerManager({ program: manager, directory, kubeconfigPath, files, watchdog });
}

async function ownDirectory({ directory }: Ground, name: string): Promise<string> {
  const own = join(directory, name);
  await mkdir(own);
  return own;
}

function podStarters(
  ground: Ground,
  etcd: Etcd,
): Pick<DataPlane, "addGateway" | "addHostedAPIServer" | "addClient"> {
  const { cluster, rest, network, inside, watchdog, directory, programs, proxy } = ground;
  const { setZone } = proxy;
  const common = { rest, network, relay: inside, watchdog, directory, setZone };
  let hostedCount = 0;
  return {
    addGateway: async (request) =>
      startGateway(
        {
          ...common,
          programs: {
            agent: programs("pilot-agent"),
            envoy: programs("envoy"),
            template: programs("envoy_bootstrap.json"),
          },
        },
        request,
      ),
    async addHostedAPIServer(request) {
      hostedCount += 1;
      const kwok = {
        program: programs("kwok"),
        stages: kwokStages.map(programs),
        port: kwokPort + hostedCount,
      };
      return startHosted(
        {
          ...common,
          etcd,
          kwok,
          findPrograms: async (version) => kubernetesPrograms(ground, version ?? cluster.version),
        },
        request,
      );
    },
    async addClient({ name, zone, hostAliases }) {
      const place = await network.addPod({ name, hostAliases: hostAliases ?? [] });
      proxy.setZone(place.address, zone);
      return createClient(place, () => {
        proxy.setZone(place.address, undefined);
      });
    },
  };
}

async function kubernetesPrograms(ground: Ground, version: string) {
  const { options } = ground;
  const found = await findPrograms({
    version,
    programs: ["kube-apiserver", "kubectl"],
    progress: options.progress ?? silentProgress,
    signal: options.signal,
  });
  const { "kube-apiserver": apiServer = "", kubectl = "" } = found.paths;
  return { version: found.version, apiServer, kubectl };
}
