import type { KubernetesObject } from "../../../lib/api";
import { toCertificate } from "../../../lib/domain/certificates";
import { formatTime } from "../../../lib/domain/conditions";
import { WEBHOOK_NAME, webhookRules } from "../../../lib/domain/webhook";
import { decodeBundle, parseAnchors, type Anchors } from "../../../capabilities/webhook/bundle";
import type { Operation } from "../../../capabilities/webhook/fields";
import {
  NOTHING_REMEMBERED,
  type LiveWebhook,
  type Memory,
  type Observed,
  type ServingSecret,
  type WebhookConfiguration,
} from "../../../capabilities/webhook/observed";
import { planWebhook, type WebhookPlan } from "../../../capabilities/webhook/plan";
import { fillIn, makePairs, type CertificateSpec, type Pairs } from "../../credentials/symbols";
import { settings } from "../../webhook/simulation";
import type { CaseAdapter, Given } from "../runner";

/** What this watcher remembers; certificates by their names. */
interface Remembered {
  readonly candidate?: { readonly authority: string; readonly certificate: string };
  readonly stagedSince?: string;
  readonly unneededSince?: Readonly<Record<string, string>>;
  /** When the fields that differ were set the last times. */
  readonly mends?: readonly string[];
}

interface World {
  readonly now?: string;
  readonly certificates?: Readonly<Record<string, CertificateSpec>>;
  /** What each ready replica serves; `unseen` where it could not be looked at. */
  readonly replicas?: readonly string[];
  readonly remembered?: Remembered;
}

const DEFAULT_NOW = "2026-03-01T00:00:00Z";

const encode = (text: string): string => Buffer.from(text).toString("base64");

class Names {
  readonly #names: ReadonlyMap<string, string>;

  constructor(private readonly pairs: Pairs) {
    this.#names = new Map(
      [...pairs].map(([name, { certificatePem }]) => [toCertificate(certificatePem).sha256, name]),
    );
  }

  of(anchors: Anchors): readonly string[] {
    return anchors.map(({ sha256 }) => this.#names.get(sha256) ?? "unknown");
  }

  get(name: string) {
    const pair = this.pairs.get(name);
    if (pair === undefined) throw new Error(`certificate ${name} is not declared`);
    return toCertificate(pair.certificatePem);
  }

  /** A text with names in place of fingerprints. */
  clear(text: string): string {
    let cleared = text;
    for (const [sha256, name] of this.#names) {
      cleared = cleared.replaceAll(sha256.slice(0, 10), `<${name}>`);
    }
    return cleared;
  }
}

/** Fields that the case does not say are as desired. */
function complete(when: WebhookConfiguration): WebhookConfiguration {
  const webhooks = (when.webhooks ?? []).map((webhook): LiveWebhook => {
    const { caBundle } = webhook.clientConfig;
    const clientConfig = {
      ...webhook.clientConfig,
      ...(caBundle === undefined ? {} : { caBundle: encode(caBundle) }),
    };
    const desired = webhook.name === WEBHOOK_NAME ? webhookRules() : {};
    return { ...desired, ...webhook, clientConfig };
  });
  return { ...when, webhooks };
}

function secretOf(objects: readonly KubernetesObject[]): ServingSecret | undefined {
  const [secret] = objects as readonly (KubernetesObject & {
    stringData?: Readonly<Record<string, string>>;
  })[];
  if (secret === undefined) return undefined;
  const { stringData = {}, ...rest } = secret;
  const data = Object.entries(stringData).map(([key, text]) => [key, encode(text)] as const);
  return { ...rest, data: Object.fromEntries(data) };
}

function memoryOf(remembered: Remembered, names: Names, observed: Observed): Memory {
  const { candidate, stagedSince, unneededSince = {}, mends = [] } = remembered;
  const made =
    candidate === undefined
      ? undefined
      : {
          authority: names.get(candidate.authority),
          certificate: names.get(candidate.certificate),
          privateKeyPem: "unread",
        };
  // What is mended now is what was mended then.
  const { plan } = planWebhook(observed, NOTHING_REMEMBERED);
  const what = plan.step === "patch" ? (plan.mend ?? "") : "";
  return {
    ...(made === undefined ? {} : { candidate: made }),
    ...(stagedSince === undefined ? {} : { stagedSinceMs: Date.parse(stagedSince) }),
    unneededSinceMs: new Map(
      Object.entries(unneededSince).map(([name, at]) => [names.get(name).sha256, Date.parse(at)]),
    ),
    mends: mends.map((at) => ({ what, atMs: Date.parse(at) })),
  };
}

function describeOperation({ path, value }: Operation, names: Names): string {
  if (path.endsWith("/caBundle")) {
    return `${path}: ${names.of(decodeBundle(String(value))).join(", ")}`;
  }
  if (path.startsWith("/metadata/annotations")) {
    const text = typeof value === "string" ? value : Object.values(value as object).join("");
    return `${path}: ${names.of(parseAnchors(text)).join(", ")}`;
  }
  return path;
}

function describePlan(plan: WebhookPlan, names: Names): object {
  switch (plan.step) {
    case "patch":
      return {
        step: plan.step,
        changes: plan.changes.map((change) => names.clear(change)),
        sets: plan.operations.map((operation) => describeOperation(operation, names)),
      };
    case "serve":
      return { step: plan.step, certificate: names.of([plan.candidate.certificate])[0] };
    case "issue":
      return plan;
    case "rest": {
      const { nextAtMs, ...rest } = plan;
      return { ...rest, ...(nextAtMs === undefined ? {} : { nextAt: formatTime(nextAtMs) }) };
    }
  }
}

function describeMemory(memory: Memory, names: Names): object {
  const { candidate, stagedSinceMs, unneededSinceMs } = memory;
  const unneeded = [...unneededSinceMs].map(([sha256, atMs]) => [
    names.clear(sha256.slice(0, 10)),
    formatTime(atMs),
  ]);
  return {
    ...(candidate === undefined ? {} : { candidate: names.of([candidate.certificate])[0] }),
    ...(stagedSinceMs === undefined ? {} : { stagedSince: formatTime(stagedSinceMs) }),
    ...(unneeded.length === 0 ? {} : { unneededSince: Object.fromEntries(unneeded) as object }),
  };
}

async function run({ world, objects }: Given, when: unknown): Promise<unknown> {
  const { now = DEFAULT_NOW, certificates = {}, replicas = [], remembered = {} } = world as World;
  if ((when as KubernetesObject).kind !== "MutatingWebhookConfiguration") {
    throw new Error("when.yaml: the subject is fairlead's MutatingWebhookConfiguration.");
  }
  const pairs = await makePairs(certificates);
  const names = new Names(pairs);
  const filled = <T>(value: T): T =>
    JSON.parse(JSON.stringify(value), (_key, each: unknown) =>
      typeof each === "string" ? fillIn(each, pairs) : each,
    ) as T;
  const observed: Observed = {
    nowMs: Date.parse(now),
    configuration: complete(filled(when as WebhookConfiguration)),
    desired: webhookRules(),
    secret: secretOf(filled(objects)),
    replicas: replicas.map((name, index) => ({
      address: `10.0.0.${index + 1}`,
      port: 3000,
      chain: name === "unseen" ? undefined : [names.get(name)],
    })),
    settings,
  };
  const { plan, memory } = planWebhook(observed, memoryOf(remembered, names, observed));
  if (JSON.stringify([plan, memory]).includes("PRIVATE KEY"))
    throw new Error("a private key is told");
  return { plan: describePlan(plan, names), remembers: describeMemory(memory, names) };
}

/**
 * `when.yaml` is fairlead's MutatingWebhookConfiguration, with PEM texts in place of their base64 in `caBundle`; what it
 * does not say of fairlead's webhook is as desired. `given.yaml` may hold the Secret.
 */
export const adapter: CaseAdapter = {
  capability: "webhook",
  kinds: ["Secret"],
  worldKeys: ["now", "certificates", "replicas", "remembered"],
  run,
};
