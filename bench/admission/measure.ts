import { quantile } from "../framework/statistics";
import type { LoadTarget } from "./load-client";
import { podOf, type PodKind } from "./pods";
import { reviewOf } from "./review";
import { namespaceOf, VARIANTS, type AdmissionStage, type Variant } from "./stage";

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

/** What the variants gave in one round. */
export type Round = Readonly<Record<Variant, Latencies>>;

/** How much is sent in a scene of a round: in each turn, so many requests to each variant. */
interface Amount {
  readonly warmUp: number;
  readonly turns: number;
  readonly requests: number;
}

/** How much is measured. */
export interface Amounts {
  readonly rounds: number;
  readonly scenes: Readonly<Record<Flight | "kept", Amount>>;
  readonly directRounds: number;
  /** To a webhook's own server, for its throughput. */
  readonly direct: Amount;
}

/** The creation of a scene's Pod through the API server. */
function creation(stage: AdmissionStage, { pod, isKept }: Scene, variant: Variant): LoadTarget {
  const { apiServer, keys } = stage.cluster;
  const namespace = namespaceOf(variant);
  const isRouted = pod === "routed" && variant !== "none" && variant !== "control";
  return {
    url: `${apiServer.url}/api/v1/namespaces/${namespace}/pods${isKept ? "" : "?dryRun=All"}`,
    ca: apiServer.caPem,
    certificate: keys.admin.certificatePem,
    key: keys.admin.privateKeyPem,
    body: JSON.stringify(podOf(pod, namespace)),
    status: 201,
    ...(isRouted ? { contains: '"hostAliases"' } : { lacks: '"hostAliases"' }),
  };
}

/** Every variant under one name each. */
function byVariant<T>(of: (variant: Variant) => T): Readonly<Record<Variant, T>> {
  return Object.fromEntries(VARIANTS.map((name) => [name, of(name)])) as Record<Variant, T>;
}

/** Measures every variant in every scene, a few requests at a time. */
export async function measureRound(
  stage: AdmissionStage,
  { scenes }: Amounts,
  seed: number,
): Promise<Round> {
  const given = byVariant((): Partial<Record<SceneName, readonly number[]>> => ({}));
  for (const name of Object.keys(SCENES) as SceneName[]) {
    const scene = SCENES[name];
    const results = await stage.load.send({
      targets: byVariant((variant) => creation(stage, scene, variant)),
      workers: FLIGHTS[scene.flight],
      ...(scene.isKept ? scenes.kept : scenes[scene.flight]),
      seed,
    });
    for (const variant of VARIANTS) given[variant][name] = results[variant].latenciesMs;
  }
  return given as Round;
}

/** A webhook's own server, of those that are compared. */
export type ServerName = keyof AdmissionStage["servers"];

/** How fast a webhook's server answers, with 16 requests in flight. */
export interface Answering {
  readonly perSecond: number;
  readonly p50Ms: number;
}

async function questionTo(stage: AdmissionStage, name: ServerName): Promise<LoadTarget> {
  const { port, path, caPem } = stage.servers[name];
  return {
    url: `https://127.0.0.1:${port}${path}`,
    ca: caPem,
    // By nobody's webhook on its way here.
    body: JSON.stringify(await reviewOf(stage.api, podOf("routed", namespaceOf("none")))),
    status: 200,
    contains: '"patch":',
  };
}

/** Asks webhooks' servers about a routed Pod, turn by turn, without an API server. */
export async function askServers<Name extends ServerName>(
  stage: AdmissionStage,
  names: readonly Name[],
  { direct, seed }: { readonly direct: Amount; readonly seed: number },
): Promise<Readonly<Record<Name, Answering>>> {
  const questions = await Promise.all(
    names.map(async (name) => [name, await questionTo(stage, name)] as const),
  );
  const targets = Object.fromEntries(questions) as Record<Name, LoadTarget>;
  const results = await stage.load.send({ targets, workers: FLIGHTS.parallel, ...direct, seed });
  const answerings = names.map((name) => {
    const { latenciesMs, elapsedMs } = results[name];
    const perSecond = (1_000 * latenciesMs.length) / elapsedMs;
    return [name, { perSecond, p50Ms: quantile(latenciesMs, 0.5) }] as const;
  });
  return Object.fromEntries(answerings) as Record<Name, Answering>;
}
