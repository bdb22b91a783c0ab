import { quantile } from "../framework/statistics";
import type { LoadOrder } from "./load-client";
import { podOf, type PodKind } from "./pods";
import { reviewOf } from "./review";
import { NAMESPACE, type AdmissionStage, type Variant } from "./stage";

/** How many requests are under way at a time. */
export const FLIGHTS = { serial: 1, parallel: 16 } as const;

/** One of `FLIGHTS`. */
export type Flight = keyof typeof FLIGHTS;

/** What a variant is measured by: Pods of a kind, created one after another or several at a time. */
export const SCENES = [
  { pod: "routed", flight: "serial" },
  { pod: "routed", flight: "parallel" },
  { pod: "other", flight: "serial" },
  { pod: "other", flight: "parallel" },
] as const satisfies readonly { readonly pod: PodKind; readonly flight: Flight }[];

/** The name of a scene. */
export type SceneName = `${PodKind} ${Flight}`;

/** How long each creation of a Pod took, in milliseconds, by scene. */
export type Latencies = Readonly<Record<SceneName, readonly number[]>>;

/** How much is measured. */
export interface Amounts {
  readonly rounds: number;
  readonly requests: Readonly<Record<Flight, number>>;
  readonly warmUp: Readonly<Record<Flight, number>>;
  /** Requests to a webhook's own server, for its throughput. */
  readonly directRequests: number;
}

/** The creation of a Pod through the API server: a server-side dry run, so nothing is kept. */
function creation(stage: AdmissionStage, pod: PodKind, isRouted: boolean): LoadOrder {
  const { apiServer, keys } = stage.cluster;
  return {
    url: `${apiServer.url}/api/v1/namespaces/${NAMESPACE}/pods?dryRun=All`,
    ca: apiServer.caPem,
    certificate: keys.admin.certificatePem,
    key: keys.admin.privateKeyPem,
    body: JSON.stringify(podOf(pod, NAMESPACE)),
    workers: 1,
    warmUp: 0,
    requests: 0,
    status: 201,
    ...(isRouted ? { contains: '"hostAliases"' } : { lacks: '"hostAliases"' }),
  };
}

/** Measures a variant once, in each scene. */
export async function measureVariant(
  stage: AdmissionStage,
  variant: Variant,
  { requests, warmUp }: Amounts,
): Promise<Latencies> {
  return stage.during(variant, async () => {
    const given: Partial<Record<SceneName, readonly number[]>> = {};
    for (const { pod, flight } of SCENES) {
      const isRouted = pod === "routed" && variant !== "none" && variant !== "control";
      const { latenciesMs } = await stage.load.send({
        ...creation(stage, pod, isRouted),
        workers: FLIGHTS[flight],
        warmUp: warmUp[flight],
        requests: requests[flight],
      });
      given[`${pod} ${flight}`] = latenciesMs;
    }
    return given as Latencies;
  });
}

/** A webhook's own server, of those that are compared. */
export type ServerName = keyof AdmissionStage["servers"];

/** Asks a webhook's server about a routed Pod, without an API server. */
export async function askServer(
  stage: AdmissionStage,
  name: ServerName,
  requests: number,
): Promise<{ readonly perSecond: number; readonly p50Ms: number }> {
  const { port, path, caPem } = stage.servers[name];
  const { latenciesMs, elapsedMs } = await stage.load.send({
    url: `https://localhost:${port}${path}`,
    ca: caPem,
    body: JSON.stringify(await reviewOf(stage.api, podOf("routed", NAMESPACE))),
    workers: FLIGHTS.parallel,
    warmUp: requests / 4,
    requests,
    status: 200,
    contains: '"patch":',
  });
  return {
    perSecond: (1_000 * latenciesMs.length) / elapsedMs,
    p50Ms: quantile(latenciesMs, 0.5),
  };
}
