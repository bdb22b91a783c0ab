import { interleave } from "../framework/statistics";
import { CHOSEN } from "./algorithms";
import type { RequestReport } from "./load";
import { startLoad, type Load } from "./load-client";
import { cpuMsOf, machineUsage } from "../framework/process-usage";
import { MIX } from "./scenes";
import { evenly, type Shape } from "./shapes";
import type { Programs, Stage } from "./stage";

/** How requests go to the API servers: to them themselves, or through the gateway. */
export const WAYS = ["direct", "L4", "L7"] as const;
export type Way = (typeof WAYS)[number];

/** CPU time that one request costs, in µs, by program. What is left is the kernel's and the bench's own. */
export interface RequestCost {
  readonly client: number;
  readonly gateway: number;
  readonly apiServers: number;
  readonly etcd: number;
  readonly rest: number;
}

/** What one round gives for one way. */
export interface Speed {
  /** As many requests as are answered, many at once. */
  readonly full: RequestReport;
  readonly requestsPerSecond: number;
  readonly cost: RequestCost;
  /** Of the machine's cores together, while that ran. */
  readonly idleShare: number;
  /** One request at a time, on one connection. */
  readonly serial: RequestReport;
}

/** How much is measured. */
export interface SpeedPlan {
  readonly rounds: number;
  readonly fullRequests: number;
  readonly serialRequests: number;
}

/** Two to each API server when they go there directly. */
const full: Shape = evenly(6);
const serial: Shape = { ...evenly(1), inFlight: 1 };
/** Opens the connections, before anything is timed. */
const openingRequests = 10 * full.connections;

async function send(load: Load, shape: Shape, count: number): Promise<RequestReport> {
  const { turns, inFlight } = shape;
  const report = await load.request({ count, turns, inFlight, requests: MIX });
  const answered = report.outcomes["200"] ?? 0;
  if (answered === count) return report;
  throw new Error(`${count - answered} requests failed: ${JSON.stringify(report.outcomes)}`);
}

interface Cpu extends RequestCost {
  readonly idle: number;
}

function cpuNow(load: Load, { gateways, apiServers, etcd }: Programs): Cpu {
  const [client, gateway] = [cpuMsOf([load.pid]), cpuMsOf(gateways)];
  const [servers, store] = [cpuMsOf(apiServers), cpuMsOf(etcd)];
  const { busyMs, idleMs } = machineUsage();
  const rest = busyMs - client - gateway - servers - store;
  return { client, gateway, apiServers: servers, etcd: store, rest, idle: idleMs };
}

function busyOf({ client, gateway, apiServers, etcd, rest }: Cpu): number {
  return client + gateway + apiServers + etcd + rest;
}

function costOf(before: Cpu, after: Cpu, requests: number): RequestCost {
  const microseconds = (of: keyof RequestCost): number =>
    ((after[of] - before[of]) * 1000) / requests;
  return {
    client: microseconds("client"),
    gateway: microseconds("gateway"),
    apiServers: microseconds("apiServers"),
    etcd: microseconds("etcd"),
    rest: microseconds("rest"),
  };
}

/** One way in one round, on new connections. */
async function measure(load: Load, programs: Programs, plan: SpeedPlan): Promise<Speed> {
  await load.close();
  await send(load, full, openingRequests);
  const single = await send(load, serial, plan.serialRequests);
  const before = cpuNow(load, programs);
  const report = await send(load, full, plan.fullRequests);
  const after = cpuNow(load, programs);
  const idleMs = after.idle - before.idle;
  const busyMs = busyOf(after) - busyOf(before);
  return {
    full: report,
    requestsPerSecond: (plan.fullRequests / report.elapsedMs) * 1000,
    cost: costOf(before, after, plan.fullRequests),
    idleShare: idleMs / (idleMs + busyMs),
    serial: single,
  };
}

/**
 * Measures all three ways once a round. The clients live through all of it, so that they are warm; connections are new
 * each time. No other client is there, and no watch is open.
 * @throws when a request fails: then it would not be the same work.
 */
export async function measureSpeed(
  stage: Stage,
  plan: SpeedPlan,
  onRound: (done: number) => void,
): Promise<readonly Readonly<Record<Way, Speed>>[]> {
  const direct = startLoad(stage.client, stage.targetOf(full.connections, "servers"));
  const through = startLoad(stage.client, stage.targetOf(full.connections, "gateway"));
  const programs = stage.programs();
  const throughGateway = (mode: "L4" | "L7") => async () => {
    await stage.configure(mode, CHOSEN[mode]);
    return measure(through, programs, plan);
  };
  try {
    return await interleave({
      rounds: plan.rounds,
      warmUpRounds: 1,
      variants: {
        direct: async () => measure(direct, programs, plan),
        L4: throughGateway("L4"),
        L7: throughGateway("L7"),
      },
      onRound,
    });
  } finally {
    await Promise.all([direct.stop(), through.stop()]);
  }
}
