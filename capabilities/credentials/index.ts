import { equals } from "ramda";
import type {
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  PartialObjectMetadata,
} from "../../lib/api";
import {
  createQueue,
  describeError,
  describeRefusal,
  Freshest,
  isNotFound,
  type Cache,
  type Change,
  type Clock,
  type EventRecorder,
  type KubernetesClient,
  type Logger,
  tellChange,
  tellConditions,
  tellKeep,
  type Metrics,
  type Outcome,
  type Queue,
} from "../../lib/cluster";
import { findCondition, stampCondition, type DecidedCondition } from "../../lib/domain/conditions";
import { keyOf, splitKey } from "../../lib/domain/keys";
import { API_VERSION } from "../../lib/domain/names";
import { REFUSED_RETRY_MS, type NamespaceScope } from "../../lib/domain/namespace-scope";
import {
  decideAcceptance,
  refOfGateway,
  type Acceptance,
  type AcceptanceWorld,
  type Unreachable,
} from "./accept";
import { applyAction, deleteSecret, settleAction, writeStatus } from "./execute";
import { ClaimIndex } from "./index-of-claims";
import { describeInputs, type PlanInputs, type Version } from "./inputs";
import { namesToRead, readSecrets, readSources, wishedNames, type SecretName } from "./observe";
import { DEFAULT_SETTINGS, withContent, type CredentialsSettings, type Observed } from "./observed";
import { decidePhase } from "./phase";
import { planCredentials, type CredentialsPlan } from "./plan";
import { isInLine, ownStatus, type CredentialsStatus } from "./report";
import { resolve, type Resolution } from "./resolve";
import { sourceKey, sourceRefs, type Secret, type Sources } from "./sources";
import { decideSweep, markedKey } from "./sweep";
import { DerivedIndex, WatchIndex, type Watched } from "./watch-index";
import { makeWishes } from "./wishes";

export type { CredentialsSettings } from "./observed";

/** What is watched: metadata alone of Namespaces, Secrets and ConfigMaps. */
export interface CredentialsCaches {
  readonly hostedAPIServers: Cache<HostedAPIServer>;
  readonly internalGateways: Cache<InternalGateway>;
  readonly namespaces: Cache<PartialObjectMetadata>;
  readonly secrets: Cache<PartialObjectMetadata>;
  readonly configMaps: Cache<PartialObjectMetadata>;
}

/** Which Secrets (`namespace/name`) the gateway's configuration refers to. */
export interface CredentialReferences {
  /** The references in the configuration that was made for a HostedAPIServer. */
  of(key: string): ReadonlySet<string>;
  /** Calls back with the key of a HostedAPIServer whose references changed. */
  onChange(listener: (key: string) => void): void;
}

/** What the controller works with. */
export interface CredentialsContext {
  readonly client: KubernetesClient;
  readonly caches: CredentialsCaches;
  readonly clock: Clock;
  readonly log: Logger;
  readonly events: EventRecorder;
  readonly metrics?: Metrics | undefined;
  readonly settings?: Partial<CredentialsSettings>;
  /** In the restricted mode: the namespaces to work in. */
  readonly scope?: NamespaceScope;
  /** Absent: nothing refers to the Secrets but status. */
  readonly references?: CredentialReferences;
  /** Called when a HostedAPIServer has come to rest: for metrics and measurements. */
  readonly onSettled?: (key: string, plan: SettledPlan) => void;
}

/** A plan that brought a HostedAPIServer to rest. */
export type SettledPlan = Extract<CredentialsPlan, { step: "settle" }>;

/** The capability at work. */
export interface CredentialsController {
  readonly queue: Queue;
  /** Starts to work once every cache is in. */
  start(): Promise<void>;
  stop(): void;
}

/** How a HostedAPIServer came to rest. */
interface Converged {
  readonly plan: SettledPlan;
  readonly wished: readonly SecretName[];
  readonly sources: Sources;
  /** What the plan was made from. */
  readonly observed: Observed;
  /** As it is after the plan. */
  readonly hapi: HostedAPIServer;
}

interface Rest {
  /** See `describeInputs`; undefined: look again when anything changes. */
  readonly inputs: string | undefined;
  readonly nextAtMs: number | undefined;
}

/** What a run has to go by. */
interface Run {
  readonly hapi: HostedAPIServer;
  readonly acceptance: Acceptance;
  /** What the sources come to; parsed once a run, since private keys take long to read. */
  readonly resolution: Resolution;
  /** See `KnownSecrets.seen`. */
  readonly seen: Map<string, Secret>;
}

/** Each round makes what the one before found missing; two are enough unless somebody else writes too. */
const MAX_ROUNDS = 4;
const FULL_PASS_MS = 600_000;
const CACHE_LAG_MS = 1_000;
const NO_REFERENCES: ReadonlySet<string> = new Set();

/** What of a gateway matters: not how many are attached, which changes with each of them. */
function gatewayFacts({ metadata, spec, status }: InternalGateway): string {
  const accepted = findCondition(status?.conditions, "Accepted");
  return JSON.stringify([
    metadata.uid,
    metadata.deletionTimestamp,
    spec,
    accepted?.status,
    accepted?.reason,
    accepted?.message,
  ]);
}

function namespaceFacts({ metadata }: PartialObjectMetadata): string {
  const { uid, deletionTimestamp, labels, annotations } = metadata;
  return JSON.stringify([uid, deletionTimestamp, labels, annotations]);
}

function isNews<T>({ kind, object, previous }: Change<T>, facts: (object: T) => string): boolean {
  return kind !== "updated" || previous === undefined || facts(previous) !== facts(object);
}

class Credentials implements CredentialsController {
  readonly queue: Queue;
  readonly #claims = new ClaimIndex();
  readonly #watches = new WatchIndex();
  readonly #derived: DerivedIndex;
  readonly #hapis: Freshest<HostedAPIServer>;
  /** What each key was at rest with: while nothing of it changes, nothing is read. */
  readonly #rest = new Map<string, Rest>();
  readonly #settings: CredentialsSettings;
  readonly #world: AcceptanceWorld;
  #started = false;
  #cancelFullPass: () => void = () => undefined;

  constructor(private readonly context: CredentialsContext) {
    const { caches, clock, log, metrics } = context;
    this.#settings = { ...DEFAULT_SETTINGS, ...context.settings };
    this.#derived = new DerivedIndex(caches.secrets);
    this.#hapis = new Freshest(caches.hostedAPIServers);
    this.queue = createQueue({
      name: "credentials",
      clock,
      log,
      metrics,
      reconcile: (key) => this.#reconcile(key),
    });
    this.#world = {
      gateway: ({ namespace, name }) => caches.internalGateways.get(name, namespace),
      gateways: () => caches.internalGateways.list(),
      namespace: (name) => caches.namespaces.get(name),
      withHost: (host) => this.#claims.withHost(host),
      inNamespace: (namespace) => this.#claims.inNamespace(namespace),
      scope: context.scope,
    };
    this.#listen();
  }

  async start(): Promise<void> {
    const { hostedAPIServers, internalGateways, namespaces, secrets, configMaps } =
      this.context.caches;
    const all = [hostedAPIServers, internalGateways, namespaces, secrets, configMaps];
    await Promise.all(all.map(({ synced }) => synced));
    // What the caches held before this object listened.
    for (const hapi of hostedAPIServers.list()) this.#claims.put(hapi);
    for (const secret of secrets.list()) this.#derived.put(secret);
    this.#started = true;
    this.#fullPass();
  }

  stop(): void {
    this.#cancelFullPass();
    this.queue.stop();
  }

  /** Everything once: a lost event is found, and so are Secrets whose HostedAPIServer went while nobody watched. */
  #fullPass(): void {
    const keys = this.context.caches.hostedAPIServers.list().map(keyOf);
    this.#enqueue([...keys, ...this.#derived.keys()]);
    this.#cancelFullPass = this.context.clock.after(FULL_PASS_MS, () => {
      this.#fullPass();
    });
  }

  #enqueue(keys: Iterable<string>): void {
    if (!this.#started) return;
    for (const key of new Set(keys)) this.queue.add(key);
  }

  #listen(): void {
    const { caches, references } = this.context;
    caches.hostedAPIServers.onChange(({ kind, object }) => {
      const key = keyOf(object);
      this.#enqueue(kind === "deleted" ? this.#claims.remove(key) : this.#claims.put(object));
    });
    caches.internalGateways.onChange((change) => {
      if (!isNews(change, gatewayFacts)) return;
      this.#enqueue(this.#claims.affectedByGateway(refOfGateway(change.object)));
    });
    caches.namespaces.onChange((change) => {
      if (isNews(change, namespaceFacts)) this.#namespaceChanged(change.object.metadata.name);
    });
    caches.secrets.onChange(({ kind, object, previous }) => {
      const keys =
        kind === "deleted"
          ? this.#derived.remove(previous ?? object)
          : this.#derived.put(object, previous);
      this.#enqueue([...keys, ...this.#watches.keysOf(watchedName("Secret", object))]);
    });
    caches.configMaps.onChange(({ object }) => {
      this.#enqueue(this.#watches.keysOf(watchedName("ConfigMap", object)));
    });
    references?.onChange((key) => {
      this.#enqueue([key]);
    });
  }

  #namespaceChanged(name: string): void {
    const gateways = this.context.caches.internalGateways.list(name);
    const users = gateways.flatMap((gateway) => [
      ...this.#claims.affectedByGateway(refOfGateway(gateway)),
    ]);
    this.#enqueue([...this.#claims.affectedByNamespace(name), ...users]);
  }

  async #reconcile(key: string): Promise<Outcome> {
    const { namespace, name } = splitKey(key);
    const claimant = this.#claims.get(key);
    if (claimant === undefined) return this.#sweep(key);
    const hapi = this.#hapis.get(name, namespace) ?? claimant;
    const { clock } = this.context;
    const acceptance = decideAcceptance(hapi, this.#world);
    if (!acceptance.accepted && acceptance.consent === "unreachable") {
      return this.#leaveAlone(key, hapi, acceptance);
    }
    const sources = sourceRefs(hapi).map(sourceKey);
    // From before anything is read on: a change in the meantime is another run.
    this.#watches.set(key, new Set([...sources, ...this.#watches.watchedBy(key)]));
    const inputs = this.#inputsOf(hapi, acceptance);
    const rest = this.#rest.get(key);
    const isDue = rest?.nextAtMs !== undefined && clock.nowMs() >= rest.nextAtMs;
    if (rest?.inputs !== describeInputs(inputs) || isDue) {
      this.#rest.delete(key);
      const converged = await this.#tryToConverge(hapi, acceptance);
      const { plan, wished } = converged;
      this.#watches.set(key, new Set([...sources, ...this.#unmarked(key, wished)]));
      this.#rest.set(key, {
        inputs: this.#restInputs(inputs, converged),
        nextAtMs: plan.nextAtMs,
      });
      this.context.onSettled?.(key, plan);
      this.#tell(key, plan.status ?? ownStatus(hapi));
    } else if (isInLine(ownStatus(hapi))) {
      // Nothing that it depends on has changed since.
      this.context.metrics?.credentialsConfirmed(key);
    }
    const nextAtMs = this.#rest.get(key)?.nextAtMs;
    if (nextAtMs === undefined) return { kind: "done" };
    return { kind: "again", afterMs: Math.max(1, nextAtMs - clock.nowMs()) };
  }

  #tell(key: string, status: CredentialsStatus): void {
    const { reason } = findCondition(status.conditions, "CredentialsSynced") ?? {};
    if (reason !== undefined) tellKeep(this.context, { capability: "credentials", key, reason });
    if (isInLine(status)) this.context.metrics?.credentialsConfirmed(key);
  }

  /** What it has can be neither read nor written: only its status can say so. */
  async #leaveAlone(
    key: string,
    hapi: HostedAPIServer,
    { reason, message }: Unreachable,
  ): Promise<Outcome> {
    this.#rest.delete(key);
    this.#watches.set(key, new Set());
    const before = ownStatus(hapi);
    const after = this.#withConditions(hapi, [
      { type: "Accepted", status: "False", reason, message },
      { type: "ResolvedRefs", status: "Unknown", reason, message },
      { type: "CredentialsSynced", status: "False", reason, message },
    ]);
    if (!equals(before, after)) await writeStatus(this.context, hapi, after);
    return reason === "ReadRefused"
      ? { kind: "again", afterMs: REFUSED_RETRY_MS }
      : { kind: "done" };
  }

  /** The status with other conditions of these types. */
  #withConditions(hapi: HostedAPIServer, decided: readonly DecidedCondition[]): CredentialsStatus {
    const before = ownStatus(hapi);
    const context = {
      current: before.conditions,
      generation: hapi.metadata.generation,
      nowMs: this.context.clock.nowMs(),
    };
    const stamped = decided.map((condition) => stampCondition(condition, context));
    const types = decided.map(({ type }) => type);
    const kept = before.conditions.filter(({ type }) => !types.includes(type));
    return { ...before, conditions: [...kept, ...stamped] };
  }

  /** Everything that a plan depends on, as the caches and one's own writes have it. */
  #inputsOf(hapi: HostedAPIServer, acceptance: Acceptance): PlanInputs {
    const { caches } = this.context;
    const key = keyOf(hapi);
    const gateway = acceptance.accepted ? refOfGateway(acceptance.gateway) : undefined;
    const target = (gateway ?? hapi.status?.gatewayRef)?.namespace ?? "";
    return {
      hapi,
      planned: hapi,
      acceptance,
      namespaces: [hapi.metadata.namespace ?? "", target].map((name) =>
        caches.namespaces.get(name),
      ),
      looked: this.#watches.watchedBy(key).map((watched): Version => {
        const [kind, namespace, name = ""] = watched.split("/");
        const cache = kind === "Secret" ? caches.secrets : caches.configMaps;
        return [watched, cache.get(name, namespace)?.metadata.resourceVersion];
      }),
      derived: this.#derived.of(key),
      references: this.#referencesOf(key),
    };
  }

  /**
   * What the plan that brought a HostedAPIServer to rest was made from and came to: by what was read and written, since
   * the caches may show an earlier or a later state. What they show next is no news then, if it is this.
   */
  #restInputs(
    before: PlanInputs,
    { plan, sources, observed, hapi }: Converged,
  ): string | undefined {
    // They delete and mark: what comes of that is looked at once more.
    if (plan.actions.length > 0) return undefined;
    const key = keyOf(hapi);
    const read = new Map<Watched, KubernetesObject>(sources);
    for (const secret of observed.secrets) read.set(watchedName("Secret", secret), secret);
    return describeInputs({
      ...before,
      hapi,
      looked: this.#watches
        .watchedBy(key)
        .map((watched): Version => [watched, read.get(watched)?.metadata.resourceVersion]),
      derived: observed.secrets.filter((secret) => markedKey(secret) === key),
      references: observed.references,
    });
  }

  /** Names of Secrets that are wished for and bear no label of this key's: what stands there is somebody else's. */
  #unmarked(key: string, wished: readonly SecretName[]): readonly Watched[] {
    const marked = new Set(this.#derived.of(key).map((secret) => watchedName("Secret", secret)));
    return wished
      .map((name) => sourceKey({ kind: "Secret", ...name }))
      .filter((name) => !marked.has(name));
  }

  #referencesOf(key: string): ReadonlySet<string> {
    return this.context.references?.of(key) ?? NO_REFERENCES;
  }

  async #tryToConverge(hapi: HostedAPIServer, acceptance: Acceptance): Promise<Converged> {
    try {
      return await this.#converge(hapi, acceptance);
    } catch (error) {
      await this.#reportRefusal(hapi, error);
      throw error;
    }
  }

  async #converge(first: HostedAPIServer, acceptance: Acceptance): Promise<Converged> {
    const { client, clock } = this.context;
    const isGoing = first.metadata.deletionTimestamp !== undefined;
    const sources: Sources = isGoing ? new Map() : await readSources(client, first);
    const resolution = resolve({ hapi: first, sources, nowMs: clock.nowMs() });
    const seen = new Map<string, Secret>();
    let hapi = first;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const { observed, wished } = await this.#observe({ hapi, acceptance, resolution, seen });
      const plan = planCredentials(observed);
      if (plan.step === "settle") {
        const settled = await this.#settle(hapi, plan);
        return { plan, wished, sources, observed, hapi: settled };
      }
      hapi = await this.#apply(observed, plan, seen);
    }
    throw new Error("somebody else keeps writing the same Secrets");
  }

  async #observe({
    hapi,
    acceptance,
    resolution,
    seen,
  }: Run): Promise<{ observed: Observed; wished: readonly SecretName[] }> {
    const { client, caches, clock } = this.context;
    const key = keyOf(hapi);
    const base: Observed = {
      nowMs: clock.nowMs(),
      hapi,
      acceptance,
      resolution,
      namespace: caches.namespaces.get(hapi.metadata.namespace ?? ""),
      namespaceNamed: (name) => caches.namespaces.get(name),
      secrets: [],
      references: this.#referencesOf(key),
      settings: this.#settings,
    };
    const isGoing = hapi.metadata.deletionTimestamp !== undefined;
    const phase = decidePhase(base);
    const wished =
      phase.kind === "sync" && !isGoing
        ? wishedNames(makeWishes(base, phase.gatewayRef.namespace))
        : [];
    const marked = this.#derived.of(key);
    // What is not there need not be read; if it came this moment, its creation is refused.
    const there = wished.filter(
      ({ namespace, name }) => this.#derived.find(name, namespace) !== undefined,
    );
    const names = namesToRead(hapi, marked, there);
    const secrets = await readSecrets(client, names, { marked, seen });
    for (const secret of secrets) {
      const whole = withContent(secret);
      if (whole !== undefined) seen.set(keyOf(whole), whole);
    }
    return { observed: { ...base, secrets }, wished };
  }

  async #apply(
    observed: Observed,
    plan: Extract<CredentialsPlan, { step: "apply" }>,
    seen: Map<string, Secret>,
  ): Promise<HostedAPIServer> {
    let { hapi } = observed;
    for (const action of plan.actions) {
      const owner = { hapi, namespace: observed.namespace?.metadata };
      const answer = await applyAction(this.context, action, owner);
      if (answer.kind === "hapi") {
        ({ hapi } = answer);
        this.#hapis.wrote(hapi);
      } else {
        seen.set(keyOf(answer.secret), answer.secret);
        this.#derived.wrote(answer.secret);
      }
    }
    return hapi;
  }

  /** What the API server does not let happen is said where its owner looks; the queue tries again all the same. */
  async #reportRefusal(hapi: HostedAPIServer, error: unknown): Promise<void> {
    const refusal = describeRefusal(error);
    if (refusal === undefined) return;
    const type = "CredentialsSynced";
    const after = this.#withConditions(hapi, [{ type, status: "False", ...refusal }]);
    const [current, next] = [ownStatus(hapi), after].map(({ conditions }) =>
      findCondition(conditions, type),
    );
    if (next === undefined || equals(current, next)) return;
    try {
      await writeStatus(this.context, hapi, after);
      const { log, metrics } = this.context;
      tellConditions({ log, metrics }, { capability: "credentials", object: hapi, after: [next] });
    } catch (cause) {
      // What was refused first is what the queue tells.
      this.context.log.warn({ key: keyOf(hapi), error: describeError(cause) }, "no status written");
    }
  }

  /** @returns The HostedAPIServer as it is then. */
  async #settle(hapi: HostedAPIServer, plan: SettledPlan): Promise<HostedAPIServer> {
    const { events, log, metrics } = this.context;
    let settled = hapi;
    try {
      if (plan.status !== undefined) {
        settled = await writeStatus(this.context, hapi, plan.status);
        this.#hapis.wrote(settled);
        // Its Events are planned.
        const after = plan.status.conditions;
        tellConditions({ log, metrics }, { capability: "credentials", object: hapi, after });
      }
      for (const event of plan.events) events.event(hapi, event);
      for (const action of plan.actions) await settleAction(this.context, action, hapi);
    } catch (error) {
      // The object went meanwhile; its event brings the rest.
      if (!isNotFound(error)) throw error;
    }
    return settled;
  }

  /** Secrets of a HostedAPIServer that does not exist: nobody's plan will ever find them. */
  async #sweep(key: string): Promise<Outcome> {
    this.#rest.delete(key);
    this.#watches.set(key, new Set());
    const orphans = this.#derived
      .of(key)
      .filter((secret) => decideSweep(secret, () => false).kind === "delete");
    if (orphans.length === 0) return { kind: "done" };
    const { client } = this.context;
    const ref = { apiVersion: API_VERSION, kind: "HostedAPIServer", ...splitKey(key) };
    // The cache may lag behind one that was just made.
    if ((await client.get(ref)) !== undefined) return { kind: "again", afterMs: CACHE_LAG_MS };
    for (const secret of orphans) {
      await deleteSecret(client, secret);
      const decision = { capability: "credentials", key, action: "delete", reason: "OwnerGone" };
      tellChange(this.context, decision, { object: `Secret ${keyOf(secret)}` });
    }
    return { kind: "done" };
  }
}

function watchedName(kind: "Secret" | "ConfigMap", { metadata }: KubernetesObject): Watched {
  return sourceKey({ kind, namespace: metadata.namespace ?? "", name: metadata.name });
}

/**
 * Copies certificates and CAs of hosted API servers to their gateways' namespaces and keeps them in line. Construction
 * does no I/O; `start` does.
 */
export function credentialsController(context: CredentialsContext): CredentialsController {
  return new Credentials(context);
}
