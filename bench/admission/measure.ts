import { quantile } from "../framework/statistics";
import { podOf, type PodKind } from "./pods";
import { reviewOf } from "./review";
import { NAMESPACE, type AdmissionStage, type Variant } from "./stage";

/** How many requests are under way at a time. */
export const FLIGHTS = { serial: 1, parallel: 16 } as const;

/** One of `FLIGHTS`. */
export type Flight = keyof typeof FLIGHTS;

/** What a variant is measured by. */
export interface Scene {
  readonly pod: PodKind;
  readonly flight: Flight;
  /** Whether Pods are created in earnest, and stay; else it is a server-side dry run. */
  readonly isKept: boolean;
}

/**
 * All scenes. In a dry run the API server does all that it does for a creation (decoding, admission by all plugins,
 * validation, encoding), and reads etcd instead of writing to it, whose writes would be the largest noise.
 */
export const SCENES = {
  "routed serial": { pod: "routed", flight: "serial", isKept: false },
  "routed parallel": { pod: "routed", flight: "parallel", isKept: false },
  "other serial": { pod: "other", flight: "serial", isKept: false },
  "other parallel": { pod: "other", flight: "parallel", isKept: false },
  "kept serial": { pod: "routed", flight: "serial", isKept: true },
} as const satisfies Readonly<Record<string, Scene>>;

/** The name of a scene. */
export type SceneName = keyof typeof SCENES;

/** How long each creation of a Pod took, in milliseconds, by scene. */
export type Latencies = Readonly<Record<SceneName, readonly number[]>>;

/** How much is measured. */
export interface Amounts {
  readonly rounds: number;
  readonly requests: Readonly<Record<Flight, number>>;
  readonly warmUp: Readonly<Record<Flight, number>>;
  /** Pods that are created in earnest; there are so many more of them with each round. */
  readonly keptRequests: number;
  /** Requests to a webhook's own server, for its throughput. */
  readonly directRequests: number;
}

/** The creation of a scene's Pod through the API server. */
function creation(stage: AdmissionStage, { pod, isKept }: Scene, isRouted: boolean) {
  const { apiServer, keys } = stage.cluster;
  return {
    url: `${apiServer.url}/api/v1/namespaces/${NAMESPACE}/pods${isKept ? "" : "?dryRun=All"}`,
    ca: apiServer.caPem,
    certificate: keys.admin.certificatePem,
    key: keys.admin.privateKeyPem,
    body: JSON.stringify(podOf(pod, NAMESPACE)),
    status: 201,
    ...(isRouted ? { contains: '"hostAliases"' } : { lacks: '"hostAliases"' }),
  };
}

/** Measures a variant once, in each scene. */
export async function measureVariant(
  stage: AdmissionStage,
  variant: Variant,
  { requests, warmUp, keptRequests }: Amounts,
): Promise<Latencies> {
  return stage.during(variant, async () => {
    const given: Partial<Record<SceneName, readonly number[]>> = {};
    for (const name of Object.keys(SCENES) as SceneName[]) {
      const scene = SCENES[name];
      const isRouted = scene.pod === "routed" && variant !== "none" && variant !== "control";
      const { latenciesMs } = await stage.load.send({
        ...creation(stage, scene, isRouted),
        workers: FLIGHTS[scene.flight],
        warmUp: scene.isKept ? 0 : warmUp[scene.flight],
        requests: scene.isKept ? keptRequests : requests[scene.flight],
      });
      given[name] = latenciesMs;
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
