import { setTimeout as sleep } from "node:timers/promises";
import type { Client, HostedAPIServer, HostedReplica } from "../../../test/cluster";
import { metricSum } from "../../../test/cluster/metrics";
import {
  startLoad,
  type Load,
  type LoadOptions,
  type LoadReport,
} from "../../../test/harness/load";
import type { BarState } from "./bars";
import type { LiveView } from "./live-view";
import { ratesOf, type Mode, type Part, type Sample, type Server } from "./spread";

/** A tenant's API servers, and who makes the load and how. */
export interface LoadSource {
  readonly tenant: string;
  readonly hosted: HostedAPIServer;
  readonly client: Client;
  readonly options: LoadOptions;
}

/** Whose load is run, and where it is shown meanwhile. */
export interface Showing {
  readonly sources: readonly LoadSource[];
  readonly openView: (servers: readonly Server[]) => LiveView;
  readonly signal: AbortSignal;
}

/** What is measured. */
export interface Measurement extends Showing {
  readonly mode: Mode;
  readonly durationMs: number;
}

/** A part, and what the clients' load generators reported, in the order of the sources. */
export interface Measured {
  readonly part: Part;
  readonly reports: readonly LoadReport[];
}

const SAMPLE_EVERY_MS = 1_000;

/** The API servers of all sources. */
export function serversOf(sources: readonly LoadSource[]): readonly Server[] {
  return sources.flatMap(({ tenant, hosted }) =>
    hosted.replicas.map(({ pod }) => ({ tenant, name: pod.name })),
  );
}

/** What the load asks for; next to nobody else asks for it. */
function isLoad(labels: Readonly<Record<string, string>>): boolean {
  return labels.resource === "configmaps" && labels.verb !== "WATCH";
}

const READ_ATTEMPTS = 3;

/** @throws Error when it does not answer, however often it is asked. */
async function countOf({ rest, pod }: HostedReplica): Promise<number> {
  for (let attempt = 0; attempt < READ_ATTEMPTS; attempt += 1) {
    const { status, body } = await rest.call({ path: "/metrics" });
    if (status === 200) return metricSum(body, "apiserver_request_total", isLoad);
  }
  throw new Error(`${pod.namespace}/${pod.name} does not show its metrics.`);
}

async function countAll(sources: readonly LoadSource[]): Promise<readonly number[]> {
  return Promise.all(sources.flatMap(({ hosted }) => hosted.replicas).map(countOf));
}

function statesOf(servers: readonly Server[], samples: readonly Sample[]): readonly BarState[] {
  const rates = ratesOf(samples.slice(-2)).at(-1)?.requests ?? [];
  const counts = samples.at(-1)?.requests ?? [];
  return servers.map((server, index) => ({
    server,
    requestsPerSecond: rates[index] ?? 0,
    requests: counts[index] ?? 0,
  }));
}

async function startLoads(sources: readonly LoadSource[]): Promise<readonly Load[]> {
  const started = await Promise.allSettled(
    sources.map(async ({ client, options }) => startLoad(client, options)),
  );
  const loads = started.flatMap((one) => (one.status === "fulfilled" ? [one.value] : []));
  const failed = started.find((one) => one.status === "rejected");
  if (failed === undefined) return loads;
  await Promise.allSettled(loads.map(async (load) => load.stop()));
  throw failed.reason;
}

/** Shows samples until there is nothing more to show; `samples` gets them. */
async function follow(
  { sources, openView, signal }: Showing,
  loads: readonly Load[],
  run: {
    readonly samples: Sample[];
    readonly take: () => Promise<void>;
    readonly ends: () => boolean;
  },
): Promise<void> {
  const servers = serversOf(sources);
  const broken = Promise.race(loads.map(async ({ done }) => done)).then(() => {
    throw new Error("a load generator has ended by itself");
  });
  // It is of interest only as long as this follows.
  broken.catch(() => undefined);
  const view = openView(servers);
  try {
    while (!run.ends()) {
      await Promise.race([sleep(SAMPLE_EVERY_MS, undefined, { signal }), broken]);
      await run.take();
      view.show(statesOf(servers, run.samples));
    }
  } catch (error) {
    await Promise.allSettled(loads.map(async (load) => load.stop()));
    throw signal.aborted ? signal.reason : error;
  } finally {
    view.stop();
  }
}

/** Counts from now on. */
async function startSampling(sources: readonly LoadSource[]) {
  const before = await countAll(sources);
  const loads = await startLoads(sources);
  const startMs = performance.now();
  const samples: Sample[] = [{ atMs: 0, requests: before.map(() => 0) }];
  const take = async (): Promise<void> => {
    // What is counted is of the beginning of the answer, which may take its time.
    const atMs = performance.now() - startMs;
    const counts = await countAll(sources);
    const requests = counts.map((count, index) => count - (before[index] ?? 0));
    samples.push({ atMs, requests });
  };
  return { loads, samples, take, elapsedMs: () => performance.now() - startMs };
}

/**
 * Runs the load of all sources at the same time and counts, by the API servers' own metrics, who gets it.
 * @throws Error when a load can't begin or breaks off; the signal's reason.
 */
export async function measure(measurement: Measurement): Promise<Measured> {
  const { mode, sources, durationMs } = measurement;
  const { loads, samples, take, elapsedMs } = await startSampling(sources);
  await follow(measurement, loads, { samples, take, ends: () => elapsedMs() >= durationMs });
  const reports = await Promise.all(loads.map(async (load) => load.stop()));
  await take();
  const clients = countClients(sources, reports);
  return { part: { mode, servers: serversOf(sources), samples, clients }, reports };
}

/**
 * Runs the load and shows who gets it, until the signal.
 * @throws Error when a load can't begin or breaks off; the signal's reason.
 */
export async function showLoad(showing: Showing): Promise<void> {
  const { loads, samples, take } = await startSampling(showing.sources);
  await follow(showing, loads, { samples, take, ends: () => false });
}

function countClients(
  sources: readonly LoadSource[],
  reports: readonly LoadReport[],
): Part["clients"] {
  return sources.map(({ tenant }, index) => {
    const report = reports[index];
    const { requests = 0, failed = 0, connections = [] } = report ?? {};
    return { tenant, connections: connections.length, succeeded: requests - failed, failed };
  });
}
