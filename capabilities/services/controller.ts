import type { HostedAPIServer } from "../../lib/api";
import {
  applyStatus,
  createQueue,
  describeRefusal,
  isConflict,
  isInvalid,
  isNotFound,
  refOf,
  type Cache,
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
import { findCondition, stampCondition } from "../../lib/domain/conditions";
import {
  ANNOTATION_CONTESTED,
  ANNOTATION_TRAFFIC_DISTRIBUTION,
  FIELD_MANAGERS,
  LABEL_TOPOLOGY_AWARE,
} from "../../lib/domain/names";
import { TOPOLOGY_AWARE, topologyAwareCondition } from "./condition";
import { topologyOf, whenReady, type ServicesInputs, type ServicesSettings } from "./inputs";
import {
  NOTHING_REMEMBERED,
  planService,
  rememberWrite,
  type ServicePatch,
  type ServicePlan,
  type WatchMemory,
} from "./plan";
import type { Service } from "../../lib/domain/traffic-distribution";

/** What the watch of Services needs. */
export interface ServicesControllerOptions {
  readonly client: KubernetesClient;
  /** All Services of the cluster. */
  readonly services: Cache<Service>;
  readonly inputs: ServicesInputs;
  readonly events: EventRecorder;
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  readonly settings: ServicesSettings;
}

type Write = Exclude<ServicePlan, { kind: "keep" }>;

interface Remembered extends WatchMemory {
  readonly uid: string | undefined;
  /** A write had no effect: until then there is no other, whatever events come. */
  readonly quietUntilMs: number;
}

const DONE: Outcome = { kind: "done" };
/** When a write met another one: the cache will have caught up. */
const CONFLICT_RETRY_MS = 200;
const fieldManager = FIELD_MANAGERS.services;

/** The object's own name, without the kind that this queue's keys begin with. */
const keyWithin = (key: string): string => key.slice(key.indexOf("/") + 1);

const keyOf = ({ kind, metadata }: Service | HostedAPIServer): string =>
  [kind, metadata.namespace ?? "", metadata.name].join("/");

function isMarked({ metadata }: Service): boolean {
  const { labels, annotations } = metadata;
  return (
    labels?.[LABEL_TOPOLOGY_AWARE] !== undefined ||
    annotations?.[ANNOTATION_TRAFFIC_DISTRIBUTION] !== undefined ||
    annotations?.[ANNOTATION_CONTESTED] !== undefined
  );
}

/**
 * Brings existing Services in line with what admission would decide, and writes the condition `TopologyAware`. Its keys
 * are Services and HostedAPIServers; it reads caches alone and writes what differs.
 */
export class ServicesController {
  readonly queue: Queue;
  readonly #memories = new Map<string, Remembered>();
  /** Contested Services that an Event was written for. */
  readonly #told = new Set<string>();
  #isReady = false;
  #isStopped = false;
  #cancelResync: () => void = () => undefined;

  /** @param options What to watch and to write with. */
  constructor(readonly options: ServicesControllerOptions) {
    const { clock, log, metrics } = options;
    this.queue = createQueue({
      name: "services",
      reconcile: (key) => this.reconcile(key),
      clock,
      log,
      metrics,
    });
  }

  /** Starts once everything that decisions depend on is known. */
  async start(): Promise<void> {
    const { services, inputs } = this.options;
    services.onChange(({ kind, object, previous }) => {
      if (kind === "deleted") this.#forget(keyOf(object));
      const isRelevant = isMarked(object) || (previous !== undefined && isMarked(previous));
      this.#serviceChanged(object, isRelevant);
    });
    inputs.hostedAPIServers.onChange(({ kind, object, previous }) => {
      const isSame =
        kind === "updated" &&
        previous !== undefined &&
        serverFacts(previous) === serverFacts(object);
      if (!isSame) this.#namespaceChanged(object.metadata.namespace ?? "");
    });
    inputs.zones.onChange(() => {
      this.#everythingChanged();
    });
    inputs.versions.onChange(() => {
      this.#everythingChanged();
    });
    await Promise.all([services.synced, whenReady(inputs)]);
    this.#isReady = true;
    this.#resync();
  }

  /** Starts nothing any more. */
  stop(): void {
    this.#isStopped = true;
    this.#cancelResync();
    this.queue.stop();
  }

  /** Brings one Service or HostedAPIServer in line; the queue calls it. */
  async reconcile(key: string): Promise<Outcome> {
    const [kind, namespace = "", name = ""] = key.split("/");
    if (kind === "HostedAPIServer") return this.#reconcileCondition(namespace, name);
    const service = this.options.services.get(name, namespace);
    if (service !== undefined) return this.#reconcileService(key, service);
    this.#forget(key);
    return DONE;
  }

  #forget(key: string): void {
    this.#memories.delete(key);
    this.#told.delete(key);
  }

  #resync(): void {
    if (this.#isStopped) return;
    this.#everythingChanged();
    const { clock, settings } = this.options;
    this.#cancelResync = clock.after(settings.resyncMs, () => {
      this.#resync();
    });
  }

  #everythingChanged(): void {
    if (!this.#isReady) return;
    const { services, inputs } = this.options;
    for (const service of services.list()) this.#serviceChanged(service, isMarked(service));
    for (const hapi of inputs.hostedAPIServers.list()) this.queue.add(keyOf(hapi));
  }

  #namespaceChanged(namespace: string): void {
    if (!this.#isReady) return;
    const { services, inputs } = this.options;
    for (const service of services.list(namespace)) this.queue.add(keyOf(service));
    for (const hapi of inputs.hostedAPIServers.list(namespace)) this.queue.add(keyOf(hapi));
  }

  /** Most Services of a cluster are none of fairlead's: they cost this look and no more. */
  #serviceChanged(service: Service, isRelevant: boolean): void {
    if (!this.#isReady) return;
    const hapis = this.options.inputs.hostedAPIServers.list(service.metadata.namespace ?? "");
    if (isRelevant || hapis.length > 0) this.queue.add(keyOf(service));
    for (const hapi of hapis) this.queue.add(keyOf(hapi));
  }

  async #reconcileService(key: string, service: Service): Promise<Outcome> {
    const { inputs, clock, settings } = this.options;
    const { namespace = "", uid } = service.metadata;
    const known = this.#memories.get(key);
    const memory = known?.uid === uid ? known : undefined;
    const nowMs = clock.nowMs();
    const context = { ...topologyOf(inputs, namespace), nowMs, contest: settings.contest };
    const plan = planService(service, context, memory ?? NOTHING_REMEMBERED);
    const quietUntilMs = memory?.quietUntilMs ?? 0;
    if (plan.kind !== "keep" && quietUntilMs > nowMs) {
      return { kind: "again", afterMs: quietUntilMs - nowMs };
    }
    this.#remember(key, { ...plan.memory, uid, quietUntilMs: 0 });
    if (plan.kind !== "keep") return this.#write(key, service, plan);
    tellKeep(this.options, { capability: "services", key: keyWithin(key), reason: plan.reason });
    if (plan.reason === "Contested") this.#tellContested(key, service);
    else this.#told.delete(key);
    return DONE;
  }

  async #write(key: string, service: Service, plan: Write): Promise<Outcome> {
    const { clock, settings, log } = this.options;
    const { patch, reason } = plan;
    try {
      const after = await this.#patch(service, patch);
      const nowMs = clock.nowMs();
      const written = { before: service, patch, after, nowMs };
      const { memory, isEffective } = rememberWrite(plan.memory, written);
      const decision = { capability: "services", key: keyWithin(key), action: plan.kind, reason };
      tellChange(this.options, decision, { kind: "Service", patch, isEffective });
      // Not even fairlead's letting go was let be: that is not tried again before the rounds are forgotten.
      const pauseMs = plan.kind === "contest" ? settings.contest.windowMs : settings.retryMs;
      const quietUntilMs = isEffective ? 0 : nowMs + pauseMs;
      this.#remember(key, { ...memory, uid: service.metadata.uid, quietUntilMs });
      return isEffective ? DONE : { kind: "again", afterMs: pauseMs };
    } catch (error) {
      if (isNotFound(error)) return DONE;
      if (isConflict(error)) return { kind: "again", afterMs: CONFLICT_RETRY_MS };
      if (!isInvalid(error)) {
        this.#tellRefusal(service, error);
        throw error;
      }
      log.warn({ service: key, patch }, "the API server refuses the value");
      return this.#askForVersion(key, service, plan);
    }
  }

  /** What a retry won't mend is told where the Service's owner looks. */
  #tellRefusal(service: Service, error: unknown): void {
    const refusal = describeRefusal(error);
    if (refusal !== undefined) this.options.events.event(service, { type: "Warning", ...refusal });
  }

  /** An API server is older than those that were asked: ask again, and go down at once if that is so. */
  async #askForVersion(key: string, service: Service, { memory }: Write): Promise<Outcome> {
    const { clock, settings, inputs } = this.options;
    const before = inputs.versions.minor;
    await inputs.versions.refresh();
    if (inputs.versions.minor !== before) return { kind: "again", afterMs: 0 };
    const quietUntilMs = clock.nowMs() + settings.retryMs;
    this.#remember(key, { ...memory, uid: service.metadata.uid, quietUntilMs });
    return { kind: "again", afterMs: settings.retryMs };
  }

  #patch(service: Service, patch: ServicePatch): Promise<Service> {
    return this.options.client.patch<Service>(refOf(service), patch, {
      type: "merge",
      fieldManager,
    });
  }

  #remember(key: string, remembered: Remembered): void {
    const { isHeld, rounds, writtenOver, quietUntilMs } = remembered;
    const isWorthIt = isHeld || rounds.length > 0 || writtenOver !== undefined || quietUntilMs > 0;
    if (isWorthIt) this.#memories.set(key, remembered);
    else this.#memories.delete(key);
  }

  #tellContested(key: string, service: Service): void {
    if (this.#told.has(key)) return;
    this.#told.add(key);
    const by = service.metadata.annotations?.[ANNOTATION_CONTESTED] ?? "";
    this.options.events.event(service, {
      type: "Warning",
      reason: "Contested",
      message: `Another manager (${by}) keeps setting trafficDistribution back. fairlead leaves this Service alone until annotation fairlead.dev/contested is removed.`,
    });
  }

  async #reconcileCondition(namespace: string, name: string): Promise<Outcome> {
    const { client, services, inputs, clock } = this.options;
    const hapi = inputs.hostedAPIServers.get(name, namespace);
    if (hapi === undefined || hapi.metadata.deletionTimestamp !== undefined) return DONE;
    const topology = { ...topologyOf(inputs, namespace), services: services.list(namespace) };
    const decided = topologyAwareCondition(hapi, topology);
    if (decided === undefined) return DONE;
    const condition = stampCondition(decided, {
      current: hapi.status?.conditions,
      generation: hapi.metadata.generation,
      nowMs: clock.nowMs(),
    });
    try {
      await applyStatus({ client, fieldManager, object: hapi }, { conditions: [condition] });
      const reported = { capability: "services", object: hapi, after: [condition] };
      tellConditions(this.options, reported);
    } catch (error) {
      if (!isNotFound(error)) throw error;
    }
    return DONE;
  }
}

/** What of a HostedAPIServer matters to its Services, and to its own condition; what others report does not. */
function serverFacts({ metadata, spec, status }: HostedAPIServer): string {
  const { uid, generation, deletionTimestamp } = metadata;
  return JSON.stringify([
    [uid, generation, deletionTimestamp, spec],
    [status?.loadBalancing, findCondition(status?.conditions, TOPOLOGY_AWARE)],
  ]);
}

/** The watch of Services. It does nothing before `start`. */
export function servicesController(options: ServicesControllerOptions): ServicesController {
  return new ServicesController(options);
}
