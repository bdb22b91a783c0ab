import { applyPatch, deepClone, type Operation as PatchOperation } from "fast-json-patch";
import {
  accepts,
  decodeBundle,
  isAcceptable,
  type Anchors,
  type Chain,
} from "../../capabilities/webhook/bundle";
import { issueServingCertificate } from "../../capabilities/webhook/issue";
import { servingNames } from "../../capabilities/webhook/names";
import {
  NOTHING_REMEMBERED,
  type Memory,
  type Observed,
  type ServingSecret,
  type WebhookConfiguration,
  type WebhookSettings,
} from "../../capabilities/webhook/observed";
import { planUnseen, planWebhook, type WebhookPlan } from "../../capabilities/webhook/plan";
import { parseCertificates } from "../../lib/domain/certificates";
import { webhookRules } from "../../lib/domain/webhook";
import type { KeyPair } from "../cluster";

/** A CA's certificate, and one that it issued. */
export interface Deployed {
  readonly caPem: string;
  readonly leaf: KeyPair;
}

export const settings: WebhookSettings = {
  validityMs: 90 * 86_400_000,
  drainMs: 120_000,
  propagationMs: 10_000,
  clusterDomain: "cluster.local",
};

const encode = (text: string): string => Buffer.from(text).toString("base64");

/** The webhook as Pepr makes it. */
export function peprWebhook(caPem: string): object {
  return {
    name: "pepr-fairlead.pepr.dev",
    admissionReviewVersions: ["v1", "v1beta1"],
    clientConfig: {
      caBundle: encode(caPem),
      service: { name: "pepr-fairlead", namespace: "pepr-system", path: "/mutate/x", port: 443 },
    },
    failurePolicy: "Fail",
    matchPolicy: "Equivalent",
    reinvocationPolicy: "Never",
    sideEffects: "None",
    timeoutSeconds: 5,
    rules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
  };
}

interface Version {
  readonly configuration: WebhookConfiguration;
  readonly trusted: Anchors;
  /** When it was replaced by the next one; Infinity for the last. */
  untilMs: number;
}

/** A cluster as the webhook sees it: an API server, a Secret, and replicas with a copy of it each. */
export class World {
  nowMs: number;
  readonly #versions: Version[];
  #secret: ServingSecret;
  readonly #replicas: Chain[];
  #version = 1;
  /** Writes that changed something, of whomever. */
  writes = 0;

  constructor(deployed: Deployed, nowMs: number, replicas: number) {
    this.nowMs = nowMs;
    const metadata = { name: "pepr-fairlead", resourceVersion: "1" };
    const configuration = {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata,
      webhooks: [peprWebhook(deployed.caPem)],
    } as unknown as WebhookConfiguration;
    this.#versions = [versionOf(configuration)];
    this.#secret = {
      apiVersion: "v1",
      kind: "Secret",
      metadata: { name: "pepr-fairlead-tls", namespace: "pepr-system", resourceVersion: "1" },
      data: dataOf(deployed.leaf),
    };
    this.#replicas = Array.from({ length: replicas }, () => this.#mounted());
  }

  get configuration(): WebhookConfiguration {
    const last = this.#versions.at(-1);
    if (last === undefined) throw new Error("there is always a configuration");
    return last.configuration;
  }

  get secret(): ServingSecret {
    return this.#secret;
  }

  get replicas(): readonly Chain[] {
    return this.#replicas;
  }

  #mounted(): Chain {
    const pem = Buffer.from(this.#secret.data?.["tls.crt"] ?? "", "base64").toString("utf8");
    const parsed = parseCertificates(pem);
    if (parsed.kind === "malformed") throw new Error("the Secret cannot be served");
    return parsed.certificates;
  }

  /** A kubelet brings the Secret to a replica, or the replica starts anew. */
  bringTo(replica: number): void {
    this.#replicas[replica % this.#replicas.length] = this.#mounted();
  }

  /** Writes the configuration if it is still of that version; returns whether it was. */
  patch(seen: WebhookConfiguration, operations: readonly PatchOperation[]): boolean {
    const { configuration } = this;
    if (configuration.metadata.resourceVersion !== seen.metadata.resourceVersion) return false;
    const { newDocument } = applyPatch(
      deepClone(configuration) as WebhookConfiguration,
      operations,
    );
    this.#version += 1;
    const metadata = { ...newDocument.metadata, resourceVersion: String(this.#version) };
    // What no API server goes by any more is forgotten.
    while ((this.#versions[0]?.untilMs ?? Infinity) <= this.nowMs - settings.propagationMs) {
      this.#versions.shift();
    }
    const last = this.#versions.at(-1);
    if (last !== undefined) last.untilMs = this.nowMs;
    this.#versions.push(versionOf({ ...newDocument, metadata }));
    this.writes += 1;
    return true;
  }

  /** Writes the Secret if it is still of that version; returns whether it was. */
  writeSecret(seen: ServingSecret, pair: KeyPair): boolean {
    if (this.#secret.metadata.resourceVersion !== seen.metadata.resourceVersion) return false;
    this.#version += 1;
    const metadata = { ...seen.metadata, resourceVersion: String(this.#version) };
    this.#secret = { ...seen, metadata, data: dataOf(pair) };
    this.writes += 1;
    return true;
  }

  /**
   * Replicas that an API server would not accept though their certificate is in its validity; a server may still go by
   * any configuration that was replaced less than the time that it is given to hear of it ago.
   */
  refused(): readonly string[] {
    const inUse = this.#versions.filter(
      ({ untilMs }) => untilMs > this.nowMs - settings.propagationMs,
    );
    return this.#replicas
      .filter((chain) => isAcceptable(chain, this.nowMs))
      .filter((chain) => !inUse.every(({ trusted }) => accepts(trusted, chain, this.nowMs)))
      .map(([leaf]) => leaf.sha256);
  }
}

function versionOf(configuration: WebhookConfiguration): Version {
  const [webhook] = configuration.webhooks ?? [];
  return {
    configuration,
    trusted: decodeBundle(webhook?.clientConfig.caBundle),
    untilMs: Infinity,
  };
}

function dataOf({ certificatePem, privateKeyPem }: KeyPair): Record<string, string> {
  return { "tls.crt": encode(certificatePem), "tls.key": encode(privateKeyPem) };
}

/** A watcher, whose looks and deeds can be taken apart, so that others come in between. */
export class Watcher {
  memory: Memory = NOTHING_REMEMBERED;
  #seen: Observed | undefined;

  constructor(private readonly world: World) {}

  look(): Observed {
    const { nowMs, configuration, secret, replicas } = this.world;
    this.#seen = {
      nowMs,
      configuration,
      desired: webhookRules(),
      secret,
      replicas: replicas.map((chain, index) => ({ address: `10.0.0.${index}`, port: 3000, chain })),
      settings,
    };
    return this.#seen;
  }

  /** Does what follows from the last look, which may be an old one. */
  async act(): Promise<WebhookPlan> {
    const seen = this.#seen ?? this.look();
    this.#seen = undefined;
    const { plan, memory } = planUnseen(seen, this.memory) ?? planWebhook(seen, this.memory);
    this.memory = memory;
    if (plan.step === "issue") {
      const request = { dnsNames: servingNames("cluster.local"), validityMs: settings.validityMs };
      const candidate = await issueServingCertificate({ ...request, nowMs: seen.nowMs });
      this.memory = { ...memory, candidate };
    } else if (plan.step === "patch") {
      const done = this.world.patch(seen.configuration, plan.operations as PatchOperation[]);
      if (done && plan.mend !== undefined) {
        const mend = { what: plan.mend, atMs: seen.nowMs };
        this.memory = { ...memory, mends: [...memory.mends, mend] };
      }
    } else if (plan.step === "serve" && seen.secret !== undefined) {
      const { certificate, privateKeyPem } = plan.candidate;
      this.world.writeSecret(seen.secret, { certificatePem: certificate.pem, privateKeyPem });
    }
    return plan;
  }

  /** It is killed, and another one takes its place. */
  die(): void {
    this.memory = NOTHING_REMEMBERED;
    this.#seen = undefined;
  }
}

/**
 * Lets everybody go on for long enough: kubelets bring the Secret, watchers look and act, time passes.
 * @throws Error when they do not come to rest.
 */
export async function comeToRest(world: World, watchers: readonly Watcher[]): Promise<void> {
  for (let round = 0; round < 200; round += 1) {
    const rests: Extract<WebhookPlan, { step: "rest" }>[] = [];
    const before = world.writes;
    for (const watcher of watchers) {
      watcher.look();
      const plan = await watcher.act();
      if (plan.step === "rest") rests.push(plan);
    }
    if (rests.length < watchers.length || world.writes > before) continue;
    if (rests.every(({ reason }) => reason === "InLine")) return;
    world.replicas.forEach((_, replica) => {
      world.bringTo(replica);
    });
    const soonMs = Math.min(...rests.map(({ nextAtMs }) => nextAtMs ?? Infinity));
    world.nowMs = Math.min(Math.max(soonMs, world.nowMs), world.nowMs + 600_000);
  }
  throw new Error("no rest after 200 rounds");
}
