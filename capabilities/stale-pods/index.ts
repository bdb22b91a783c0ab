import type { HostedAPIServer, KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import {
  applyStatus,
  createQueue,
  describeError,
  Freshest,
  isConflict,
  isForbidden,
  isNotFound,
  openScopedCache,
  refOf,
  tellChange,
  type Cache,
  type CacheContext,
  type EventRecorder,
  type Outcome,
  type Queue,
  type ServiceObject,
} from "../../lib/cluster";
import { stampCondition } from "../../lib/domain/conditions";
import { keyOf } from "../../lib/domain/keys";
import { FIELD_MANAGERS, LABEL_ROUTE, ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import { RouteIndex } from "../../lib/domain/route-index";
import type { ConfigMap } from "../../lib/domain/route-config";
import { listPods, listWorkloads } from "./look";
import type { Observed, Route } from "./observed";
import { planStalePods, type Plan, type Restart } from "./plan";
import { countsByReason, describeLeft, statusOf } from "./report";
import { readRoute, routeHash } from "./route";

/** What the controller needs; caches that are synced. */
export interface StalePodsContext extends CacheContext {
  readonly caches: {
    readonly hostedAPIServers: Cache<HostedAPIServer>;
    readonly services: Cache<ServiceObject>;
    /** Of all namespaces, with their data. */
    readonly routeConfigMaps: Cache<ConfigMap>;
  };
  readonly events: EventRecorder;
  /** Told how many Pods of a HostedAPIServer (`namespace/name`) are stale, by reason. */
  readonly onCounted?: (key: string, counts: Readonly<Record<string, number>>) => void;
}

/** A running controller. */
export interface StalePodsController {
  readonly queue: Queue;
  /** Looks at everything again; what did not change costs no request. */
  resync(): void;
}

/** What is remembered of a namespace. To lose it costs a look. */
interface Memory {
  /** What the last run was made from; undefined where something may have changed unseen. */
  inputs: string | undefined;
  route: string;
  routeSinceMs: number;
  /** See `Observed.restarted`. */
  restarted: Set<string>;
  /** How long to wait before the next look at what is waited for. */
  waitMs: number;
  /** When Pods were listed last, and how many there were. */
  listedAtMs: number;
  listed: number;
}

const fieldManager = FIELD_MANAGERS.stalePods;
const done: Outcome = { kind: "done" };
/** Pods come and go in bursts: one look for all of a burst. */
const BURST_MS = 2_000;
/** The more Pods, the less often they are listed, however fast they come and go. */
const BURST_MS_PER_POD = 10;
const FIRST_WAIT_MS = 2_000;
const LONGEST_WAIT_MS = 30_000;
const REFUSED_RETRY_MS = 60_000;

/** Of a Pod nothing is kept but what tells a change that matters: aliases can't change. */
function projectPod({ apiVersion, kind, metadata }: PartialObjectMetadata): PartialObjectMetadata {
  const { name, namespace, deletionTimestamp, labels } = metadata;
  const route = labels?.[LABEL_ROUTE];
  return {
    apiVersion,
    kind,
    metadata: {
      name,
      ...(namespace === undefined ? {} : { namespace }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(route === undefined ? {} : { labels: { [LABEL_ROUTE]: route } }),
    },
  };
}

const podFacts = ({ metadata }: KubernetesObject): string =>
  JSON.stringify([metadata.deletionTimestamp !== undefined, metadata.labels]);

function serverFacts({ metadata, spec }: HostedAPIServer): unknown {
  return [metadata.uid, metadata.generation, spec.hosts, spec.clients?.restartStalePods];
}

class StalePods implements StalePodsController {
  readonly queue: Queue;
  readonly #memories = new Map<string, Memory>();
  readonly #servers: Freshest<HostedAPIServer>;
  readonly #routes = new RouteIndex();

  constructor(private readonly context: StalePodsContext) {
    const { caches, clock, log, metrics } = context;
    this.#servers = new Freshest(caches.hostedAPIServers);
    this.queue = createQueue({
      name: "stale-pods",
      reconcile: (namespace) => this.#reconcile(namespace),
      clock,
      log,
      metrics,
      // What is listed is held meanwhile.
      concurrency: 2,
    });
    this.#listen();
    this.resync();
  }

  resync(): void {
    for (const { metadata } of this.context.caches.hostedAPIServers.list()) {
      this.queue.add(metadata.namespace ?? "");
    }
  }

  #listen(): void {
    const { caches } = this.context;
    caches.hostedAPIServers.onChange(({ object, previous }) => {
      const facts = [object, previous].map((each) => each && JSON.stringify(serverFacts(each)));
      if (facts[0] !== facts[1]) this.queue.add(object.metadata.namespace ?? "");
    });
    for (const configMap of caches.routeConfigMaps.list()) this.#routes.put(configMap);
    caches.routeConfigMaps.onChange(({ kind, object }) => {
      const { namespace = "" } = object.metadata;
      if (kind === "deleted") this.#routes.remove(namespace);
      else this.#routes.put(object);
      this.queue.add(namespace);
    });
    caches.services.onChange(({ object }) => {
      for (const namespace of this.#routes.routedTo(keyOf(object))) this.queue.add(namespace);
    });
    // Metadata alone, of those that have not ended; aliases are listed where a Pod has come or gone.
    const pods = openScopedCache<PartialObjectMetadata>(this.context, {
      apiVersion: "v1",
      kind: "Pod",
      metadataOnly: true,
      fieldSelector: "status.phase!=Succeeded,status.phase!=Failed",
      project: projectPod,
    });
    pods.onChange(({ object, previous }) => {
      if (previous !== undefined && podFacts(previous) === podFacts(object)) return;
      this.#wakeByPod(object.metadata.namespace ?? "");
    });
  }

  #wakeByPod(namespace: string): void {
    const memory = this.#memories.get(namespace);
    // One that was not looked at yet is in the queue, or has no HostedAPIServer.
    if (memory === undefined) return;
    memory.inputs = undefined;
    memory.waitMs = FIRST_WAIT_MS;
    const pauseMs = BURST_MS + memory.listed * BURST_MS_PER_POD;
    const passedMs = this.context.clock.nowMs() - memory.listedAtMs;
    this.queue.add(namespace, Math.max(BURST_MS, pauseMs - passedMs));
  }

  async #reconcile(namespace: string): Promise<Outcome> {
    const { hostedAPIServers } = this.context.caches;
    const servers = hostedAPIServers
      .list(namespace)
      .flatMap(({ metadata }) => this.#servers.get(metadata.name, namespace) ?? []);
    if (servers.length === 0) {
      this.#memories.delete(namespace);
      return done;
    }
    const route = this.#routeOf(namespace);
    const memory = this.#remember(namespace, route);
    const inputs = JSON.stringify([servers.map(serverFacts), route]);
    if (memory.inputs === inputs) return done;
    // Whatever comes meanwhile makes another run.
    memory.inputs = inputs;
    try {
      return await this.#look(namespace, { servers, route, memory });
    } catch (error) {
      memory.inputs = undefined;
      throw error;
    }
  }

  #routeOf(namespace: string): Route {
    const { routeConfigMaps, services } = this.context.caches;
    return readRoute(routeConfigMaps.get(ROUTE_CONFIG_MAP, namespace), (name, inNamespace) =>
      services.get(name, inNamespace),
    );
  }

  #remember(namespace: string, route: Route): Memory {
    const nowMs = this.context.clock.nowMs();
    const hash = routeHash(route);
    const known = this.#memories.get(namespace);
    if (known?.route === hash) return known;
    const memory: Memory = {
      inputs: undefined,
      route: hash,
      routeSinceMs: nowMs,
      restarted: known?.restarted ?? new Set(),
      waitMs: FIRST_WAIT_MS,
      listedAtMs: known?.listedAtMs ?? nowMs,
      listed: known?.listed ?? 0,
    };
    this.#memories.set(namespace, memory);
    return memory;
  }

  async #look(
    namespace: string,
    known: Pick<Observed, "servers" | "route"> & { readonly memory: Memory },
  ): Promise<Outcome> {
    const { client, clock } = this.context;
    const { servers, route, memory } = known;
    const observe = async (workloads: Observed["workloads"]): Promise<Observed> => {
      const pods = await listPods(client, namespace);
      memory.listedAtMs = clock.nowMs();
      memory.listed = pods.length;
      const { routeSinceMs, restarted } = memory;
      const nowMs = clock.nowMs();
      return { servers, route, pods, workloads, routeSinceMs, restarted, nowMs };
    };
    const plan = planStalePods(await observe(undefined));
    if (plan.restart.kind !== "look") return this.#tell(plan, known);
    try {
      // Owners first: of one that is complete, no old Pod is listed afterwards.
      const workloads = await listWorkloads(client, namespace);
      const next = planStalePods(await observe(workloads));
      if (next.restart.kind === "roll") await this.#roll(next.restart, known);
      return await this.#tell(next, known);
    } catch (error) {
      // Somebody else changed the owner: the next look sees what he is now.
      if (isConflict(error)) return this.#again(memory, 0);
      if (!isForbidden(error)) throw error;
      await this.#tell(plan, { ...known, refusal: describeError(error) });
      return this.#again(memory, REFUSED_RETRY_MS);
    }
  }

  async #roll(
    { owner, pods, patch, mark }: Extract<Restart, { kind: "roll" }>,
    { servers, memory }: { readonly servers: readonly HostedAPIServer[]; readonly memory: Memory },
  ): Promise<void> {
    const { client, events } = this.context;
    await client.patch(refOf(owner), patch, { type: "merge", fieldManager });
    memory.restarted.add(mark);
    memory.waitMs = FIRST_WAIT_MS;
    const { kind, metadata } = owner;
    const { namespace = "", name } = metadata;
    const key = `${namespace}/${name}`;
    const decision = { capability: "stale-pods", key, action: "restart", reason: "StalePods" };
    tellChange(this.context, decision, { kind, pods });
    const named = pods.slice(0, 5).join(", ") + (pods.length > 5 ? ", …" : "");
    const message = `fairlead restarts ${kind} ${name}: Pods ${named} have host aliases that no longer match.`;
    for (const about of [owner, ...servers.filter(({ spec }) => spec.clients?.restartStalePods)]) {
      events.event(about, { type: "Normal", reason: "RestartedStalePods", message });
    }
  }

  async #tell(
    { counts, restart }: Plan,
    known: Pick<Observed, "servers" | "route"> & {
      readonly memory: Memory;
      readonly refusal?: string;
    },
  ): Promise<Outcome> {
    const { servers, route, memory, refusal } = known;
    for (const server of servers) {
      const count = counts.get(server.metadata.name);
      const { namespace = "", name } = server.metadata;
      this.context.onCounted?.(`${namespace}/${name}`, countsByReason(count));
      await this.#writeStatus(server, { route, count, restart }, refusal);
    }
    switch (restart.kind) {
      case "settle":
        return this.#again(memory, restart.untilMs - this.context.clock.nowMs());
      case "roll":
      case "wait":
      case "look": {
        const { waitMs } = memory;
        memory.waitMs = Math.min(2 * waitMs, LONGEST_WAIT_MS);
        return this.#again(memory, waitMs);
      }
      case "rest":
        return done;
    }
  }

  #again(memory: Memory, afterMs: number): Outcome {
    memory.inputs = undefined;
    return { kind: "again", afterMs: Math.max(1, afterMs) };
  }

  async #writeStatus(
    server: HostedAPIServer,
    judged: Parameters<typeof statusOf>[1],
    refusal: string | undefined,
  ): Promise<void> {
    const { client, clock, events } = this.context;
    const { pods, condition: decided } = statusOf(server, judged);
    const condition =
      refusal === undefined || decided.reason !== "Restarting"
        ? decided
        : { ...decided, reason: "RestartRefused", message: `The API server refuses: ${refusal}` };
    if (condition.reason === "LeftAlone" && judged.restart.kind === "rest") {
      const message = describeLeft(judged.restart.left);
      events.event(server, { type: "Warning", reason: "StalePodsLeftAlone", message });
    }
    const stamped = stampCondition(condition, {
      current: server.status?.conditions,
      generation: server.metadata.generation,
      nowMs: clock.nowMs(),
    });
    const target = { client, fieldManager, object: server };
    try {
      const written = await applyStatus(target, { pods, conditions: [stamped] });
      if (written !== server) this.#servers.wrote(written);
    } catch (error) {
      // One that went meanwhile has no status.
      if (!isNotFound(error)) throw error;
    }
  }
}

/** Starts the controller that counts stale Pods, and rolls their owners where that is asked for. */
export function stalePodsController(context: StalePodsContext): StalePodsController {
  return new StalePods(context);
}
