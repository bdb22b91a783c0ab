import { setTimeout as sleep } from "node:timers/promises";
import { connect } from "node:tls";
import {
  startCluster,
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
  type GatewayReplica,
  type Progress,
  type Rest,
} from "../../test/cluster";
import { metricSum } from "../../test/cluster/metrics";
import { eventually } from "../../test/harness/eventually";
import { inParallel } from "../../test/harness/parallel";
import { usageOf } from "../../test/cluster/processes";
import { cpuMsOf } from "../framework/process-usage";
import { GATEWAY_LABELS, GATEWAY_NAMESPACE, GATEWAY_PORT, type Way } from "./control-plane";

/** A cluster with an istiod and a gateway of one Pod that is programmed in one way. */
export interface Side {
  readonly way: Way;
  /** Creates objects, so many at a time; those that are there already stay. */
  create(objects: readonly object[], concurrency?: number): Promise<void>;
  remove(objects: readonly object[]): Promise<void>;
  /** Whether the gateway ends TLS for a host now, with a certificate of that name and CA. */
  serves(host: string, caPem: string): Promise<boolean>;
  /** Returns once istiod has pushed all there was to push, and the gateway has taken it. */
  untilQuiet(): Promise<void>;
  /** Counters since istiod and the gateway started. */
  counters(): Promise<Counters>;
  /** What is held for all control planes that are there. */
  holdings(): Promise<Holdings>;
  stop(): Promise<void>;
}

/** Counters, which only grow. */
export interface Counters {
  /** istiod's time to generate and send, of all resources, and how often (`pilot_xds_push_time`). */
  readonly pushMs: number;
  readonly pushes: number;
  /** From a change to what follows from it being sent to the gateway (`pilot_proxy_convergence_time`). */
  readonly convergenceMs: number;
  readonly convergences: number;
  /** `pilot_xds_config_size_bytes`. */
  readonly pushedBytes: number;
  readonly istiodCpuMs: number;
  readonly gatewayCpuMs: number;
}

/** Sizes, in bytes. */
export interface Holdings {
  /** Envoy's /config_dump, without endpoints. */
  readonly configDump: number;
  /** What Envoy has allocated, and its process. */
  readonly gatewayAllocated: number;
  readonly gatewayResident: number;
  readonly istiodResident: number;
}

const kinds: Readonly<Record<string, readonly [group: string, plural: string]>> = {
  Namespace: ["/api/v1", "namespaces"],
  Service: ["/api/v1", "services"],
  Secret: ["/api/v1", "secrets"],
  EndpointSlice: ["/apis/discovery.k8s.io/v1", "endpointslices"],
  Gateway: ["/apis/networking.istio.io/v1", "gateways"],
  VirtualService: ["/apis/networking.istio.io/v1", "virtualservices"],
  DestinationRule: ["/apis/networking.istio.io/v1", "destinationrules"],
  EnvoyFilter: ["/apis/networking.istio.io/v1alpha3", "envoyfilters"],
};

interface Named {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: { readonly name: string; readonly namespace?: string };
}

function collectionOf({ kind, metadata: { namespace } }: Named): string {
  const [group, plural] = kinds[kind] ?? [];
  if (group === undefined || plural === undefined) throw new Error(`no path is known of a ${kind}`);
  return namespace === undefined
    ? `${group}/${plural}`
    : `${group}/namespaces/${namespace}/${plural}`;
}

async function create(rest: Rest, object: Named): Promise<void> {
  const [group = ""] = kinds[object.kind] ?? [];
  // Istio serves all of its versions alike.
  const body = { ...object, apiVersion: group.replace(/^\/apis?\//, "") };
  const { status, body: answer } = await rest.call({
    method: "POST",
    path: collectionOf(object),
    body,
    timeoutMs: 60_000,
  });
  if (status === 201 || status === 409) return;
  throw new Error(`${object.kind} ${object.metadata.name}: ${status} ${answer.slice(0, 300)}`);
}

async function remove(rest: Rest, object: Named): Promise<void> {
  const path = `${collectionOf(object)}/${object.metadata.name}`;
  const { status } = await rest.call({ method: "DELETE", path });
  if (status !== 200 && status !== 202 && status !== 404) {
    throw new Error(`${object.kind} ${object.metadata.name} could not be deleted: ${status}`);
  }
}

/** As fast as the API server takes them without failing, for what is not timed. */
const manyAtOnce = 8;
const handshakeLimitMs = 2_000;
/** istiod waits for 100 ms without a change before it pushes, and pushes Secrets apart. */
const quietMs = 700;
const quietLimitMs = 300_000;

async function serves(port: number, servername: string, ca: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port, servername, ca, timeout: handshakeLimitMs });
    const end = (isServed: boolean) => () => {
      socket.destroy();
      resolve(isServed);
    };
    // Only a certificate that verifies, for the name, gets so far.
    socket.once("secureConnect", end(true));
    socket.once("error", end(false));
    socket.once("timeout", end(false));
    socket.once("close", end(false));
  });
}

function envoyPidOf(plane: DataPlane): number {
  const names = [...plane.memory().keys()];
  const name = names.find((one) => one.startsWith("envoy-"));
  if (name === undefined) throw new Error("no Envoy runs");
  return Number(name.slice("envoy-".length));
}

async function countersOf(plane: DataPlane, envoyPid: number): Promise<Counters> {
  const metrics = await plane.istiod.get("/metrics");
  const sum = (name: string): number => metricSum(metrics, name);
  return {
    pushMs: 1000 * sum("pilot_xds_push_time_sum"),
    pushes: sum("pilot_xds_push_time_count"),
    convergenceMs: 1000 * sum("pilot_proxy_convergence_time_sum"),
    convergences: sum("pilot_proxy_convergence_time_count"),
    pushedBytes: sum("pilot_xds_config_size_bytes_sum"),
    istiodCpuMs: cpuMsOf([plane.istiod.pid]),
    gatewayCpuMs: cpuMsOf([envoyPid]),
  };
}

async function holdingsOf(
  plane: DataPlane,
  replica: GatewayReplica,
  envoyPid: number,
): Promise<Holdings> {
  const dump = await replica.admin("GET", "/config_dump");
  const memory = JSON.parse(await replica.admin("GET", "/memory")) as { allocated: string };
  return {
    configDump: Buffer.byteLength(dump),
    gatewayAllocated: Number(memory.allocated),
    gatewayResident: usageOf(envoyPid).residentBytes,
    istiodResident: usageOf(plane.istiod.pid).residentBytes,
  };
}

// Envoy counts what it took, and is at rest when it has no listener left to warm up or to drain.
const restingStats = [
  "listener_manager.lds.update_success",
  "cluster_manager.cds.update_success",
  "listener_manager.total_listeners_warming",
  "listener_manager.total_filter_chains_draining",
] as const;

async function untilQuiet(plane: DataPlane, replica: GatewayReplica): Promise<void> {
  const read = async () => {
    const metrics = await plane.istiod.get("/metrics");
    const stats = await replica.stats();
    const pushed = metricSum(metrics, "pilot_xds_push_time_count");
    const heard = metricSum(metrics, "pilot_inbound_updates");
    return JSON.stringify([pushed, heard, ...restingStats.map((name) => stats.get(name))]);
  };
  const limitMs = Date.now() + quietLimitMs;
  let last = await read();
  for (;;) {
    // Seldom, since to be asked is work, too.
    await sleep(quietMs);
    const next = await read();
    if (next === last) return;
    if (Date.now() > limitMs) throw new Error("istiod and its gateway do not come to rest");
    last = next;
  }
}

/** Starts a side. It ends with this process, too. */
export async function startSide(way: Way, progress: Progress): Promise<Side> {
  const cluster = await startCluster({ controllerManager: "run", progress });
  try {
    const plane = await startDataPlane(cluster, { zones: ["zone-1"], progress });
    return await sideOn({ way, cluster, plane });
  } catch (error) {
    await cluster.stop();
    throw error;
  }
}

interface Ground {
  readonly way: Way;
  readonly cluster: EmbeddedCluster;
  readonly plane: DataPlane;
}

async function startGateway(plane: DataPlane): Promise<Gateway> {
  return plane.addGateway({
    namespace: GATEWAY_NAMESPACE,
    name: "istio-ingressgateway",
    labels: GATEWAY_LABELS,
    // Else what was replaced stays in memory for 45 s, and rounds touch each other.
    drainSeconds: 1,
  });
}

async function sideOn({ way, cluster, plane }: Ground): Promise<Side> {
  try {
    const { rest } = plane;
    const gateway = await startGateway(plane);
    const [replica] = gateway.replicas;
    if (replica === undefined) throw new Error("the gateway has no Pod");
    const envoyPid = envoyPidOf(plane);
    const port = await plane.expose(`${replica.place.address}:${GATEWAY_PORT}`);
    await eventually(async () =>
      inParallel(way.shared as Named[], 1, async (one) => create(rest, one)),
    );
    return {
      way,
      create: async (objects, concurrency = manyAtOnce) =>
        inParallel(objects as Named[], concurrency, async (one) => create(rest, one)),
      remove: async (objects) =>
        inParallel(objects as Named[], manyAtOnce, async (one) => remove(rest, one)),
      serves: async (host, caPem) => serves(port, host, caPem),
      untilQuiet: async () => untilQuiet(plane, replica),
      counters: async () => countersOf(plane, envoyPid),
      holdings: async () => holdingsOf(plane, replica, envoyPid),
      async stop() {
        await plane.stop();
        await cluster.stop();
      },
    };
  } catch (error) {
    await plane.stop();
    throw error;
  }
}

const pollMs = 10;
const servedLimitMs = 120_000;

/**
 * Waits until a host is served.
 * @returns How long that took, in milliseconds, since `startMs` (`performance.now()`).
 * @throws Error when it never is.
 */
export async function untilServed(
  side: Side,
  { host, caPem, startMs }: { host: string; caPem: string; startMs: number },
): Promise<number> {
  while (!(await side.serves(host, caPem))) {
    if (performance.now() - startMs > servedLimitMs) throw new Error(`${host} is not served`);
    await sleep(pollMs);
  }
  return performance.now() - startMs;
}
