import {
  createQueue,
  describeError,
  isConflict,
  openCache,
  tellChange,
  tellKeep,
  type AdmissionMode,
  type Cache,
  type CacheContext,
  type Outcome,
  type Queue,
} from "../../lib/cluster";
import type { HostedAPIServer, PartialObjectMetadata } from "../../lib/api";
import {
  namedServices,
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_NAME,
  WEBHOOK_SERVICE,
  WEBHOOK_TLS_SECRET,
  webhookRules,
  type WebhookRules,
} from "../../lib/domain/webhook";
import { widthOf, type WebhookFields } from "../../lib/domain/webhook-state";
import { configurationRef, patchConfiguration, secretRef, writeServing } from "./execute";
import { issueServingCertificate } from "./issue";
import { servingNames } from "./names";
import {
  NOTHING_REMEMBERED,
  type Memory,
  type Observed,
  type ServingSecret,
  type WebhookConfiguration,
  type WebhookSettings,
} from "./observed";
import { planUnseen, planWebhook, type WebhookPlan } from "./plan";
import { lookAtReplica, readyAddresses, type EndpointSlice } from "./replicas";

/** What is watched, each by its name. */
interface WebhookCaches {
  readonly configurations: Cache<WebhookConfiguration>;
  /** Metadata alone: the key stays where it is. */
  readonly secrets: Cache<PartialObjectMetadata>;
  readonly endpointSlices: Cache<EndpointSlice>;
}

/** A cache, whatever it holds. */
interface Watched {
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
}

/** What the controller works with. */
export interface WebhookContext extends CacheContext {
  readonly hostedAPIServers: Cache<HostedAPIServer>;
  /** In the restricted mode: the only namespaces whose objects concern fairlead. */
  readonly namespaces?: readonly string[];
  /** By what Pods and Services are admitted: the less by the webhook, the less reaches it. */
  readonly mode: Pick<AdmissionMode, "current" | "onChange">;
  readonly settings: Pick<WebhookSettings, "validityMs" | "drainMs" | "clusterDomain">;
}

/** The capability at work. */
export interface WebhookController {
  readonly queue: Queue;
  /** The configuration, as it is watched. */
  readonly configurations: Cache<WebhookConfiguration>;
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
/** So many looks take three minutes: a kubelet would have brought it. */
const LONG_WAITS = 7;
/** What is in line is looked at again, all the same: a replica may have missed a change. */
const RECHECK_MS = 600_000;

type Rest = Extract<WebhookPlan, { step: "rest" }>;

function openWebhookCaches(context: CacheContext): WebhookCaches {
  return {
    configurations: openCache<WebhookConfiguration>(context, {
      ...configurationRef,
      fieldSelector: `metadata.name=${WEBHOOK_CONFIGURATION}`,
    }),
    secrets: openCache<PartialObjectMetadata>(context, {
      ...secretRef,
      fieldSelector: `metadata.name=${WEBHOOK_TLS_SECRET}`,
      metadataOnly: true,
    }),
    endpointSlices: openCache<EndpointSlice>(context, {
      apiVersion: "discovery.k8s.io/v1",
      kind: "EndpointSlice",
      namespace: SYSTEM_NAMESPACE,
      labelSelector: `kubernetes.io/service-name=${WEBHOOK_SERVICE}`,
    }),
  };
}

/** What of a HostedAPIServer says which Services it wants topology-aware. */
function servicesOf(hapi: HostedAPIServer | undefined): string {
  return JSON.stringify([hapi?.spec.service, hapi?.spec.topologyAware]);
}

class Webhook implements WebhookController {
  readonly queue: Queue;
  readonly configurations: Cache<WebhookConfiguration>;
  readonly #caches: WebhookCaches;
  readonly #watched: readonly Watched[];
  #memory: Memory = NOTHING_REMEMBERED;
  /** What all was at rest with: while that is so, nothing is read before its time. */
  #rest: { readonly versions: string; readonly nextAtMs: number } | undefined;
  /** How often replicas were waited for since something changed. */
  #waits = 0;
  #lastReason: Rest["reason"] | undefined;

  constructor(private readonly context: WebhookContext) {
    const { clock, log, metrics, hostedAPIServers, mode } = context;
    this.#caches = openWebhookCaches(context);
    this.queue = createQueue({
      name: "webhook",
      reconcile: () => this.#reconcile(),
      clock,
      log,
      metrics,
    });
    const { configurations, secrets, endpointSlices } = this.#caches;
    this.configurations = configurations;
    this.#watched = [configurations, secrets, endpointSlices, hostedAPIServers];
    mode.onChange(() => {
      this.resync();
    });
    for (const cache of [configurations, secrets, endpointSlices]) {
      cache.onChange(() => {
        this.resync();
      });
    }
    hostedAPIServers.onChange(({ object, previous }) => {
      if (servicesOf(object) !== servicesOf(previous)) this.resync();
    });
    void Promise.all(this.#watched.map(({ synced }) => synced)).then(() => {
      this.resync();
    });
  }

  resync(): void {
    if (this.#watched.every(({ isSynced }) => isSynced)) this.queue.add(WEBHOOK_CONFIGURATION);
  }

  stop(): void {
    this.queue.stop();
    const { configurations, secrets, endpointSlices } = this.#caches;
    for (const cache of [configurations, secrets, endpointSlices]) cache.stop();
  }

  /** How the webhook is to be; undefined: as it is. */
  #desired(): WebhookRules | undefined {
    const { hostedAPIServers, namespaces, mode } = this.context;
    const scope = {
      serviceNames: namedServices(hostedAPIServers.list()),
      ...(namespaces === undefined ? {} : { namespaces }),
    };
    const admission = mode.current;
    if (admission?.by === "policies") {
      return webhookRules({ ...scope, policies: true, except: admission.except });
    }
    // Before it is known that policies can't be relied on, one that is narrow is not widened: it may be down.
    const isKept = admission === undefined && widthOf(this.#live(), scope) === "narrow";
    return isKept ? undefined : webhookRules(scope);
  }

  #live(): WebhookFields | undefined {
    const configuration = this.configurations.get(WEBHOOK_CONFIGURATION);
    return configuration?.webhooks?.find(({ name }) => name === WEBHOOK_NAME);
  }

  #versions(): string {
    const { configurations, secrets, endpointSlices } = this.#caches;
    return JSON.stringify([
      this.#desired(),
      configurations.list().map(({ metadata }) => metadata.resourceVersion),
      secrets.list().map(({ metadata }) => metadata.resourceVersion),
      readyAddresses(endpointSlices.list()),
    ]);
  }

  async #reconcile(): Promise<Outcome> {
    const { clock, log } = this.context;
    const versions = this.#versions();
    const isSame = this.#rest?.versions === versions;
    const leftMs = (this.#rest?.nextAtMs ?? 0) - clock.nowMs();
    if (isSame && leftMs > 0) return { kind: "again", afterMs: leftMs };
    if (!isSame) this.#waits = 0;
    for (let step = 0; step < MAX_STEPS; step += 1) {
      const read = await this.#read();
      if (read === undefined) {
        log.debug({ name: WEBHOOK_CONFIGURATION }, "there is no such webhook configuration");
        return { kind: "done" };
      }
      const { observed, plan } = await this.#plan(read);
      if (plan.step === "rest") return this.#comeToRest(observed, plan, versions);
      await this.#execute(observed, plan);
    }
    throw new Error("somebody else keeps writing the webhook's configuration or Secret");
  }

  /** What the API server says; nobody is looked at. */
  async #read(): Promise<Observed | undefined> {
    const { client, clock, settings } = this.context;
    if (this.#caches.configurations.get(WEBHOOK_CONFIGURATION) === undefined) return undefined;
    const configuration = await client.get<WebhookConfiguration>(configurationRef);
    if (configuration === undefined) return undefined;
    const secret = await client.get<ServingSecret>(secretRef);
    return {
      nowMs: clock.nowMs(),
      configuration,
      desired: this.#desired(),
      secret,
      replicas: [],
      settings: { ...settings, propagationMs: PROPAGATION_MS },
    };
  }

  async #plan(
    read: Observed,
  ): Promise<{ readonly observed: Observed; readonly plan: WebhookPlan }> {
    const unseen = planUnseen(read, this.#memory);
    if (unseen !== undefined) {
      this.#memory = unseen.memory;
      return { observed: read, plan: unseen.plan };
    }
    const addresses = readyAddresses(this.#caches.endpointSlices.list());
    const replicas = await Promise.all(addresses.map(lookAtReplica));
    const observed = { ...read, nowMs: this.context.clock.nowMs(), replicas };
    const { plan, memory } = planWebhook(observed, this.#memory);
    this.#memory = memory;
    return { observed, plan };
  }

  async #execute(observed: Observed, plan: Exclude<WebhookPlan, Rest>): Promise<void> {
    try {
      await this.#take(observed, plan);
    } catch (error) {
      // Somebody was faster: what is true now is looked at next.
      if (!isConflict(error)) throw error;
      this.context.log.debug({ error: describeError(error) }, "the webhook changed meanwhile");
    }
  }

  async #take(observed: Observed, plan: Exclude<WebhookPlan, Rest>): Promise<void> {
    const { client, clock, settings } = this.context;
    const { nowMs, configuration, secret } = observed;
    if (plan.step === "issue") {
      const { validityMs, clusterDomain } = settings;
      const dnsNames = servingNames(clusterDomain);
      const candidate = await issueServingCertificate({ dnsNames, nowMs, validityMs });
      this.#memory = { ...this.#memory, candidate };
      this.#tellChange({ action: "issue", reason: plan.reason });
    } else if (plan.step === "patch") {
      await patchConfiguration(client, configuration, plan.operations);
      if (plan.mend !== undefined) {
        const mend = { what: plan.mend, atMs: clock.nowMs() };
        this.#memory = { ...this.#memory, mends: [...this.#memory.mends, mend] };
      }
      this.#tellChange({ action: "patch", reason: "OutOfLine" }, { changes: plan.changes });
    } else if (secret !== undefined) {
      await writeServing(client, secret, plan.candidate);
      const { sha256, notAfterMs } = plan.candidate.certificate;
      const notAfter = new Date(notAfterMs).toISOString();
      this.#tellChange({ action: "serve", reason: "Renewed" }, { sha256, notAfter });
    }
  }

  #tellChange(what: { readonly action: string; readonly reason: string }, details?: object): void {
    const key = `/${WEBHOOK_CONFIGURATION}`;
    tellChange(this.context, { capability: "webhook", key, ...what }, details);
  }

  #comeToRest(observed: Observed, plan: Rest, versions: string): Outcome {
    this.#tell(observed, plan.reason);
    if (plan.reason === "FieldsInLine") {
      this.#rest = { versions, nextAtMs: Infinity };
      return { kind: "done" };
    }
    const { nowMs, replicas } = observed;
    const isWaiting = plan.reason === "AwaitingReplicas" && replicas.length > 0;
    const waitMs = Math.min(FIRST_LOOK_AGAIN_MS * 2 ** this.#waits, LAST_LOOK_AGAIN_MS);
    this.#waits += isWaiting ? 1 : 0;
    const lookAtMs = nowMs + (isWaiting ? waitMs : RECHECK_MS);
    const nextAtMs = Math.max(nowMs + 1, Math.min(plan.nextAtMs ?? Infinity, lookAtMs));
    this.#rest = { versions, nextAtMs };
    return { kind: "again", afterMs: nextAtMs - nowMs };
  }

  /** One line where it comes to another rest, and one where a replica takes too long. */
  #tell({ replicas }: Observed, reason: Rest["reason"]): void {
    const { log } = this.context;
    const serve = replicas.map(({ address, chain }) => ({ address, serves: chain?.[0]?.sha256 }));
    if (reason === "AwaitingReplicas" && this.#waits === LONG_WAITS) {
      log.warn({ replicas: serve }, "a replica has not taken up the serving certificate for long");
    }
    if (reason === this.#lastReason) return;
    this.#lastReason = reason;
    const key = `/${WEBHOOK_CONFIGURATION}`;
    tellKeep(this.context, { capability: "webhook", key, reason });
    const about = { capability: "webhook", key, action: "keep", reason, replicas: serve };
    log[reason === "Contested" ? "warn" : "info"](about, "at rest");
  }
}

/**
 * Keeps fairlead's own MutatingWebhookConfiguration and serving certificate in line, as cert-manager's cainjector does
 * for its own. Where there is no configuration of that name, nothing is done.
 */
export function webhookController(context: WebhookContext): WebhookController {
  return new Webhook(context);
}
