import {
  createQueue,
  describeError,
  isConflict,
  openCache,
  type Cache,
  type CacheContext,
  type Outcome,
  type Queue,
} from "../../lib/cluster";
import type { PartialObjectMetadata } from "../../lib/api";
import { configurationRef, patchConfiguration, secretRef, writeServing } from "./execute";
import { issueServingCertificate } from "./issue";
import { CONFIGURATION, NAMESPACE, SERVICE, servingNames, SERVING_SECRET } from "./names";
import {
  NOTHING_REMEMBERED,
  type DesiredWebhook,
  type Memory,
  type Observed,
  type ServingSecret,
  type WebhookConfiguration,
  type WebhookSettings,
} from "./observed";
import { planWebhook, type WebhookPlan } from "./plan";
import { lookAtReplica, readyAddresses, type EndpointSlice } from "./replicas";

/** What is watched, each by its name. */
interface WebhookCaches {
  readonly configurations: Cache<WebhookConfiguration>;
  /** Metadata alone: the key stays where it is. */
  readonly secrets: Cache<PartialObjectMetadata>;
  readonly endpointSlices: Cache<EndpointSlice>;
}

/** What the controller works with. */
export interface WebhookContext extends CacheContext {
  readonly desired: readonly DesiredWebhook[];
  readonly settings: Pick<WebhookSettings, "validityMs" | "drainMs" | "clusterDomain">;
}

/** The capability at work. */
export interface WebhookController {
  readonly queue: Queue;
  resync(): void;
  stop(): void;
}

/** Longer than a watch of the API server's own takes, by far. */
const PROPAGATION_MS = 10_000;
/** Each step makes way for the next; more mean that somebody else writes, too. */
const MAX_STEPS = 6;
/** A kubelet takes up to two minutes to bring a Secret to its Pods. */
const FIRST_LOOK_AGAIN_MS = 2_000;
const LAST_LOOK_AGAIN_MS = 60_000;
/** What is in line is looked at again, all the same: a replica may have missed a change. */
const RECHECK_MS = 600_000;

type Rest = Extract<WebhookPlan, { step: "rest" }>;

function openWebhookCaches(context: CacheContext): WebhookCaches {
  return {
    configurations: openCache<WebhookConfiguration>(context, {
      ...configurationRef,
      fieldSelector: `metadata.name=${CONFIGURATION}`,
    }),
    secrets: openCache<PartialObjectMetadata>(context, {
      ...secretRef,
      fieldSelector: `metadata.name=${SERVING_SECRET}`,
      metadataOnly: true,
    }),
    endpointSlices: openCache<EndpointSlice>(context, {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      namespace: NAMESPACE,
      labelSelector: `kubernetes.io/service-name=${SERVICE}`,
    }),
  };
}

class Webhook implements WebhookController {
  readonly queue: Queue;
  readonly #caches: WebhookCaches;
  #memory: Memory = NOTHING_REMEMBERED;
  /** What all was at rest with: while that is so, nothing is read before its time. */
  #rest: { readonly versions: string; readonly nextAtMs: number } | undefined;
  #waits = 0;
  #lastReason: Rest["reason"] | undefined;

  constructor(private readonly context: WebhookContext) {
    const { clock, log } = context;
    this.#caches = openWebhookCaches(context);
    this.queue = createQueue({
      name: "webhook",
      reconcile: () => this.#reconcile(),
      clock,
      log,
    });
    const all = Object.values(this.#caches);
    for (const cache of all) {
      cache.onChange(() => {
        this.#waits = 0;
        this.resync();
      });
    }
    void Promise.all(all.map(({ synced }: Cache<never>) => synced)).then(() => {
      this.resync();
    });
  }

  resync(): void {
    if (Object.values(this.#caches).every(({ isSynced }: Cache<never>) => isSynced)) {
      this.queue.add(CONFIGURATION);
    }
  }

  stop(): void {
    this.queue.stop();
    for (const cache of Object.values(this.#caches)) cache.stop();
  }

  #versions(): string {
    const { configurations, secrets, endpointSlices } = this.#caches;
    return JSON.stringify([
      configurations.list().map(({ metadata }) => metadata.resourceVersion),
      secrets.list().map(({ metadata }) => metadata.resourceVersion),
      readyAddresses(endpointSlices.list()),
    ]);
  }

  async #reconcile(): Promise<Outcome> {
    const { clock, log } = this.context;
    const versions = this.#versions();
    const leftMs = (this.#rest?.nextAtMs ?? 0) - clock.nowMs();
    if (this.#rest?.versions === versions && leftMs > 0) return { kind: "again", afterMs: leftMs };
    this.#rest = undefined;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const observed = await this.#observe();
      if (observed === undefined) {
        log.debug({ name: CONFIGURATION }, "no webhook configuration of that name, nothing to do");
        return { kind: "done" };
      }
      const { plan, memory } = planWebhook(observed, this.#memory);
      this.#memory = memory;
      if (plan.step === "rest") return this.#comeToRest(observed, plan, versions);
      await this.#execute(observed, plan);
    }
    throw new Error("somebody else keeps writing the webhook's configuration or Secret");
  }

  async #observe(): Promise<Observed | undefined> {
    const { client, clock, desired, settings } = this.context;
    if (this.#caches.configurations.get(CONFIGURATION) === undefined) return undefined;
    const configuration = await client.get<WebhookConfiguration>(configurationRef);
    if (configuration === undefined) return undefined;
    const secret = await client.get<ServingSecret>(secretRef);
    const addresses =
      secret === undefined ? [] : readyAddresses(this.#caches.endpointSlices.list());
    const replicas = await Promise.all(addresses.map(lookAtReplica));
    return {
      nowMs: clock.nowMs(),
      configuration,
      desired,
      secret,
      replicas,
      settings: { ...settings, propagationMs: PROPAGATION_MS },
    };
  }

  async #execute(observed: Observed, plan: Exclude<WebhookPlan, Rest>): Promise<void> {
    try {
      await this.#take(observed, plan);
    } catch (error) {
      // Somebody was faster: what is true now is looked at next.
      if (!isConflict(error)) throw error;
      this.context.log.debug({ error: describeError(error) }, "webhook changed meanwhile");
    }
  }

  async #take(observed: Observed, plan: Exclude<WebhookPlan, Rest>): Promise<void> {
    const { client, clock, log, settings } = this.context;
    const { nowMs, configuration, secret } = observed;
    if (plan.step === "issue") {
      const { validityMs, clusterDomain } = settings;
      const dnsNames = servingNames(clusterDomain);
      const candidate = await issueServingCertificate({ dnsNames, nowMs, validityMs });
      this.#memory = { ...this.#memory, candidate };
      log.info({ reason: plan.reason }, "webhook's serving certificate is due, another is made");
    } else if (plan.step === "patch") {
      await patchConfiguration(client, configuration, plan.operations);
      const { mendedAtMs } = this.#memory;
      if (plan.mends) {
        this.#memory = { ...this.#memory, mendedAtMs: [...mendedAtMs, clock.nowMs()] };
      }
      log.info({ changes: plan.changes }, "webhook configuration brought in line");
    } else if (secret !== undefined) {
      await writeServing(client, secret, plan.candidate);
      const { sha256, notAfterMs } = plan.candidate.certificate;
      const notAfter = new Date(notAfterMs).toISOString();
      log.info({ sha256, notAfter }, "webhook's serving certificate renewed");
    }
  }

  #comeToRest({ nowMs, replicas }: Observed, plan: Rest, versions: string): Outcome {
    const { log } = this.context;
    if (plan.reason !== this.#lastReason) {
      log[plan.reason === "Contested" ? "warn" : "info"]({ reason: plan.reason }, "webhook at rest");
      this.#lastReason = plan.reason;
    }
    const dueMs = Math.min(plan.nextAtMs ?? Infinity, nowMs + RECHECK_MS);
    if (plan.reason !== "AwaitingReplicas" || replicas.length === 0) {
      this.#waits = 0;
      this.#rest = { versions, nextAtMs: dueMs };
      return { kind: "again", afterMs: Math.max(1, dueMs - nowMs) };
    }
    const unseen = replicas.filter(({ chain }) => chain === undefined);
    const waitMs = Math.min(FIRST_LOOK_AGAIN_MS * 2 ** this.#waits, LAST_LOOK_AGAIN_MS);
    this.#waits += 1;
    const about = { unseen: unseen.map(({ address }) => address), waitMs };
    log.debug(about, "a replica does not serve the certificate yet");
    return { kind: "again", afterMs: Math.min(waitMs, Math.max(1, dueMs - nowMs)) };
  }
}

/**
 * Keeps fairlead's own MutatingWebhookConfiguration and serving certificate in line, as cert-manager's cainjector does
 * for its own. Where there is no configuration of that name, nothing is done.
 */
export function webhookController(context: WebhookContext): WebhookController {
  return new Webhook(context);
}
