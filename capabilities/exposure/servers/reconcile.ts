import type { HostedAPIServer, KubernetesObject } from "../../../lib/api";
import {
  applyStatus,
  Backoff,
  describeRefusal,
  Freshest,
  isConflict,
  isNotFound,
  setFinalizer,
  tellConditions,
  tellKeep,
  type CacheContext,
  type EventRecorder,
  type Outcome,
} from "../../../lib/cluster";
import { findCondition, stampCondition } from "../../../lib/domain/conditions";
import { keyOf, splitKey } from "../../../lib/domain/keys";
import { FIELD_MANAGERS, FINALIZER_EXPOSURE, ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import { findOutOfScope, type OutOfScope } from "../../../lib/domain/namespace-scope";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { ExposureCaches } from "../caches";
import type { KubeconfigSecrets } from "../clients";
import type { GatewayFactsSource } from "../gateways/facts";
import type { Write } from "../objects";
import { serviceOf } from "../resources";
import { executeWrite, ForeignObjectError } from "../writes";
import { targetName, type GatewayCheck, type GatewayTarget } from "./checks";
import { programmed } from "./goal";
import { lookAtGateway, lookDirectly } from "./look";
import type { ClientsSighting, DirectSighting, GatewaySightings, ObservedServer } from "./observed";
import type { OwnIndex } from "./own-index";
import { planServer, planSweep, type Need, type ServerPlan } from "./plan";
import { planRoute } from "./routes";
import type { ExposureStatus } from "./report";
import { countRoutedPods } from "./routed-pods";
import { tunnelParts } from "./tunnel";
import { Waves } from "./waves";

/** What a HostedAPIServer is exposed with. */
export interface ServerContext extends CacheContext {
  readonly caches: ExposureCaches;
  readonly events: EventRecorder;
  readonly facts: GatewayFactsSource;
  readonly own: OwnIndex;
  readonly clients: KubeconfigSecrets;
  readonly clusterDomain: string;
  /** Told whether a cluster IP of an InternalGateway (by key) was seen to answer. */
  readonly noteAddress: (gateway: string, address: string, answered: boolean) => void;
  /** Told the key of a HostedAPIServer that is to be looked at now. */
  readonly wake: (key: string) => void;
}

/** What was found out about a HostedAPIServer besides what the API server says. */
interface Memory {
  sightings: GatewaySightings | undefined;
  direct: DirectSighting | undefined;
  /** Of the tunnel. */
  tunnel: GatewaySightings | undefined;
  readonly backoff: Backoff;
}

/** What is found out anew in each run. */
interface Run {
  clients: ClientsSighting | undefined;
  routedPods: number | undefined;
  readonly asked: Set<string>;
}

function nameOfNeed(need: Need): string {
  switch (need.kind) {
    case "gateway":
    case "tunnel":
      return JSON.stringify([need.kind, need.check.id, need.targets.map(targetName)]);
    case "direct":
      return need.look.id;
    case "clients":
      return `clients ${need.mode}`;
    case "routed-pods":
      return need.kind;
  }
}

/** What was found out in vain in a run is not asked again before a wait. */
function isNew(need: Need, { asked }: Run): boolean {
  const name = nameOfNeed(need);
  if (asked.has(name)) return false;
  asked.add(name);
  return true;
}

/** Whether all was as it should be where it was looked. */
function isGood(target: GatewayTarget, { verdicts }: GatewaySightings): boolean {
  const name = targetName(target);
  return verdicts.has(name) && verdicts.get(name) === undefined;
}

const isServedBy = ({ pods }: GatewayCheck, sightings: GatewaySightings): boolean =>
  pods.length > 0 && pods.every((target) => isGood(target, sightings));

const configurationKinds = ["Gateway", "VirtualService", "DestinationRule"];

/** What istiod has to push before it is served. */
const isConfiguration = ({ kind }: KubernetesObject): boolean => configurationKinds.includes(kind);

const RETRY = { initialDelayMs: 100, maxDelayMs: 30_000 };
/** A plan leads to the next within one run only through what is found out: that is a handful of steps. */
const MAX_ROUNDS = 8;
const FOREIGN_RETRY_MS = 60_000;
/** A namespace that can't be read may be readable by then. */
const REFUSED_RETRY_MS = 5_000;

const fieldManager = FIELD_MANAGERS.exposure;
const done: Outcome = { kind: "done" };

/** Brings the exposure of HostedAPIServers in line. */
export class ServerReconciler {
  readonly #memories = new Map<string, Memory>();
  readonly #servers: Freshest<HostedAPIServer>;
  readonly #routes: Freshest<ConfigMap>;
  /** InternalGateway key → the route secret with which its filter was seen at work. */
  readonly #verified = new Map<string, string>();
  readonly #waves = new Waves();

  /** @param context Caches that are synced, and what looks and writes. */
  constructor(private readonly context: ServerContext) {
    this.#servers = new Freshest(context.caches.hostedAPIServers);
    this.#routes = new Freshest(context.caches.routeConfigMaps);
  }

  /** Brings one HostedAPIServer in line. */
  async reconcile(key: string): Promise<Outcome> {
    const { namespace, name } = splitKey(key);
    const server = this.#servers.get(name, namespace);
    if (server === undefined) return this.#sweep(key);
    const outOfScope = this.#findOutOfScope(server);
    if (outOfScope !== undefined) return this.#leaveAlone(server, outOfScope);
    try {
      return await this.#converge(server);
    } catch (error) {
      if (error instanceof ForeignObjectError) {
        await this.#report(server, "ForeignObject", error.message);
        return { kind: "again", afterMs: FOREIGN_RETRY_MS };
      }
      const refusal = describeRefusal(error);
      if (refusal !== undefined) await this.#report(server, refusal.reason, refusal.message);
      // Another writer was first, or the object went: the next round sees what there is now.
      if (isConflict(error) || isNotFound(error)) return { kind: "again", afterMs: 50 };
      throw error;
    }
  }

  #findOutOfScope({ metadata, status }: HostedAPIServer): OutOfScope | undefined {
    const { scope } = this.context;
    const ref = status?.gatewayRef;
    return (
      findOutOfScope(scope, metadata.namespace ?? "", "controlPlanes") ??
      (ref === undefined ? undefined : findOutOfScope(scope, ref.namespace, "gateways"))
    );
  }

  /** What it has can be neither read nor written: only its status can say so. */
  async #leaveAlone(server: HostedAPIServer, { reason, message }: OutOfScope): Promise<Outcome> {
    await this.#writeStatus(server, {
      loadBalancing: server.status?.loadBalancing,
      conditions: [programmed("False", reason, message)],
    });
    return reason === "ReadRefused" ? { kind: "again", afterMs: REFUSED_RETRY_MS } : done;
  }

  async #converge(first: HostedAPIServer): Promise<Outcome> {
    const key = keyOf(first);
    const memory = this.#memoryOf(key);
    const run: Run = { clients: undefined, routedPods: undefined, asked: new Set() };
    let server = first;
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const plan = planServer(this.#observe(server, memory, run));
      server = await this.#act(server, plan);
      const needs = plan.needs.filter((need) => isNew(need, run));
      await Promise.all(needs.map((need) => this.#findOut(need, { server, memory, run })));
      if (needs.length === 0 && plan.writes.length === 0) {
        await this.#writeStatus(server, plan.status);
        return this.#outcomeOf(plan, memory, run);
      }
    }
    throw new Error("somebody else keeps writing the same objects");
  }

  #outcomeOf(plan: ServerPlan, memory: Memory, run: Run): Outcome {
    const clientsMs = run.clients?.state.againMs;
    if (!plan.retry) memory.backoff.reset();
    const retryMs = plan.retry ? memory.backoff.nextMs() : undefined;
    const waits = [clientsMs, retryMs].filter((ms) => ms !== undefined);
    return waits.length === 0 ? done : { kind: "again", afterMs: Math.min(...waits) };
  }

  #memoryOf(key: string): Memory {
    const known = this.#memories.get(key);
    if (known !== undefined) return known;
    const memory: Memory = {
      sightings: undefined,
      direct: undefined,
      tunnel: undefined,
      backoff: new Backoff(RETRY),
    };
    this.#memories.set(key, memory);
    return memory;
  }

  #observe(server: HostedAPIServer, memory: Memory, run: Run): ObservedServer {
    const { caches, facts, own, clusterDomain, clock } = this.context;
    const { namespace = "" } = server.metadata;
    const ref = server.status?.gatewayRef;
    const gatewayKey = ref === undefined ? "" : `${ref.namespace}/${ref.name}`;
    const gatewayFacts = ref === undefined ? undefined : facts.of(gatewayKey);
    const filter = gatewayFacts === "unseen" ? undefined : gatewayFacts;
    return {
      server,
      namespace: caches.namespaces.get(namespace),
      gateway: ref === undefined ? undefined : caches.internalGateways.get(ref.name, ref.namespace),
      facts: gatewayFacts,
      filterVerified:
        filter?.filterInLine === true && this.#verified.get(gatewayKey) === filter.routeSecret,
      own: own.of(keyOf(server)),
      tunnel: {
        own: own.tunnelOf(keyOf(server)),
        others: server.spec.tunnel === undefined ? [] : own.otherTunnels(keyOf(server)),
        sightings: memory.tunnel,
      },
      service: caches.services.get(serviceOf(server).name, namespace),
      policies: [
        ...caches.networkPolicies.list(namespace),
        ...(ref === undefined || ref.namespace === namespace
          ? []
          : caches.networkPolicies.list(ref.namespace)),
      ],
      routeConfigMap: this.#routes.get(ROUTE_CONFIG_MAP, namespace),
      neighbours: caches.hostedAPIServers.list(namespace),
      sightings: memory.sightings,
      direct: memory.direct,
      clients: run.clients,
      routedPods: run.routedPods,
      clusterDomain,
      nowMs: clock.nowMs(),
    };
  }

  async #act(server: HostedAPIServer, plan: ServerPlan): Promise<HostedAPIServer> {
    let current = server;
    if (plan.finalizer === "add") current = await this.#setFinalizer(current, true);
    const key = keyOf(server);
    for (const write of plan.writes) await this.#write(key, write);
    const ref = server.status?.gatewayRef;
    if (ref !== undefined && plan.writes.some(({ object }) => isConfiguration(object))) {
      const gateway = `${ref.namespace}/${ref.name}`;
      this.#waves.wrote(key, { gateway, atMs: this.context.clock.nowMs() });
    }
    if (plan.finalizer === "remove") current = await this.#setFinalizer(current, false);
    return current;
  }

  async #setFinalizer(server: HostedAPIServer, present: boolean): Promise<HostedAPIServer> {
    const wish = { finalizer: FINALIZER_EXPOSURE, present, fieldManager };
    const written = await setFinalizer(this.context.client, server, wish);
    this.#servers.wrote(written);
    return written;
  }

  async #write(key: string, write: Write): Promise<void> {
    const written = await executeWrite(this.context, key, write);
    const { object } = write;
    if (object.kind !== "ConfigMap") this.context.own.wrote(object, written);
    else if (written === undefined) this.#routes.removed(object as ConfigMap);
    else this.#routes.wrote(written as ConfigMap);
  }

  async #findOut(
    need: Need,
    { server, memory, run }: { server: HostedAPIServer; memory: Memory; run: Run },
  ): Promise<void> {
    const { client, clock, clients } = this.context;
    switch (need.kind) {
      case "gateway":
        memory.sightings = await lookAtGateway(need.check, need.targets, {
          sightings: memory.sightings,
          nowMs: clock.nowMs(),
        });
        this.#noteServed(keyOf(server), need.check, memory.sightings);
        this.#learn(server, need, memory.sightings);
        break;
      case "tunnel":
        memory.tunnel = await lookAtGateway(need.check, need.targets, {
          sightings: memory.tunnel,
          nowMs: clock.nowMs(),
        });
        break;
      case "direct":
        memory.direct = await lookDirectly(need.look, clock);
        break;
      case "clients":
        run.clients = { mode: need.mode, state: await clients.bring(need.target) };
        break;
      case "routed-pods":
        run.routedPods = await countRoutedPods(client, server, need.gateway);
        break;
    }
  }

  /** What one host's look says about others that wait. */
  #noteServed(key: string, check: GatewayCheck, sightings: GatewaySightings): void {
    if (!isServedBy(check, sightings)) this.#waves.missed(key);
    else for (const other of this.#waves.served(key)) this.context.wake(other);
  }

  /** What one host's look says about the gateway as a whole. */
  #learn(
    server: HostedAPIServer,
    { check }: Extract<Need, { kind: "gateway" }>,
    sightings: GatewaySightings,
  ): void {
    const ref = server.status?.gatewayRef;
    if (ref === undefined) return;
    const key = `${ref.namespace}/${ref.name}`;
    if (check.mode !== "L7" || !isServedBy(check, sightings)) return;
    const facts = this.context.facts.of(key);
    if (facts !== "unseen" && facts?.filterInLine === true) {
      this.#verified.set(key, facts.routeSecret);
    }
    for (const target of check.services) {
      this.context.noteAddress(key, target.address, isGood(target, sightings));
    }
  }

  async #writeStatus(server: HostedAPIServer, status: ExposureStatus | undefined): Promise<void> {
    if (status === undefined) return;
    const conditions = status.conditions.map((condition) =>
      stampCondition(condition, {
        current: server.status?.conditions,
        generation: server.metadata.generation,
        nowMs: this.context.clock.nowMs(),
      }),
    );
    const { client } = this.context;
    const written = await applyStatus(
      { client, fieldManager, object: server },
      { loadBalancing: status.loadBalancing, conditions },
    );
    const { reason } = findCondition(conditions, "Programmed") ?? {};
    if (reason !== undefined) {
      tellKeep(this.context, { capability: "exposure", key: keyOf(server), reason });
    }
    if (written === server) return;
    this.#servers.wrote(written);
    tellConditions(this.context, { capability: "exposure", object: server, after: conditions }, [
      "Programmed",
      "ClientsRouted",
    ]);
    this.#tellMode(server, status.loadBalancing);
  }

  #tellMode(server: HostedAPIServer, mode: ExposureStatus["loadBalancing"]): void {
    if (mode === undefined || mode === server.status?.loadBalancing) return;
    const balanced = mode === "L7" ? "requests are balanced" : "connections are balanced";
    this.context.events.event(server, {
      type: "Normal",
      reason: "LoadBalancingChanged",
      message: `Served in ${mode} now: ${balanced}.`,
    });
  }

  async #report(server: HostedAPIServer, reason: string, message: string): Promise<void> {
    await this.#writeStatus(server, {
      loadBalancing: server.status?.loadBalancing,
      conditions: [programmed("False", reason, message)],
    });
  }

  /** Objects of a HostedAPIServer that does not exist: nobody's plan will ever find them. */
  async #sweep(key: string): Promise<Outcome> {
    this.#memories.delete(key);
    this.#waves.forget(key);
    this.context.clients.forget(key);
    const { gateways, virtualServices, destinationRules, networkPolicies } =
      this.context.own.of(key);
    const writes = planSweep([
      ...tunnelParts(this.context.own.tunnelOf(key)),
      ...gateways,
      ...virtualServices,
      ...destinationRules,
      ...networkPolicies,
    ]);
    for (const write of writes) await this.#write(key, write);
    const { namespace, name } = splitKey(key);
    const current = this.#routes.get(ROUTE_CONFIG_MAP, namespace);
    const found = this.context.caches.namespaces.get(namespace);
    if (current === undefined || found?.metadata.uid === undefined) return done;
    const route = planRoute({
      namespace,
      name,
      hosts: [],
      neighbours: this.context.caches.hostedAPIServers.list(namespace),
      namespaceUid: found.metadata.uid,
      current,
      published: undefined,
    });
    if (route !== undefined) await this.#write(key, route);
    return done;
  }
}
