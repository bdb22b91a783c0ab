import { isDeepStrictEqual } from "node:util";
import type { HostedAPIServer, KubernetesObject } from "../../../lib/api";
import { stampCondition } from "../../../lib/domain/conditions";
import { FINALIZER_EXPOSURE } from "../../../lib/domain/names";
import { isOwnObject, type Write } from "../../../capabilities/exposure/objects";
import { targetName } from "../../../capabilities/exposure/servers/checks";
import type {
  ClientsSighting,
  DirectSighting,
  GatewaySightings,
  ObservedServer,
} from "../../../capabilities/exposure/servers/observed";
import { serverKeyOf } from "../../../capabilities/exposure/servers/own-index";
import {
  planServer,
  planSweep,
  type Need,
  type ServerPlan,
} from "../../../capabilities/exposure/servers/plan";
import type { ExposureStatus } from "../../../capabilities/exposure/servers/report";
import { planRoute } from "../../../capabilities/exposure/servers/routes";
import { lookAtGateway, lookDirectly } from "./sightings";
import {
  isHeld,
  isTerminating,
  ofKind,
  placeOf,
  routeOf,
  serviceOf,
  store,
  storeServer,
  TENANT,
  tick,
  type GatewayName,
  type ServerName,
  type World,
} from "./world";

/** What was found out about a HostedAPIServer. */
export interface Memory {
  sightings: GatewaySightings | undefined;
  direct: DirectSighting | undefined;
  /** Targets of the gateway → the moment when they were last looked at. */
  readonly seenAt: Map<string, number>;
}

interface Run {
  clients: ClientsSighting | undefined;
  routedPods: number | undefined;
  readonly asked: Set<string>;
}

/** A write of fairlead's, before it is carried out. */
export interface Step {
  readonly server: ServerName;
  readonly memory: Memory;
  readonly write: Write;
}

/** What looks at every step that fairlead takes. */
export interface Watcher {
  beforeWrite(step: Step): void;
  beforeKubeconfigs(server: ServerName, mode: "L7" | "L4"): void;
  beforeFinalizer(server: ServerName, wish: "add" | "remove"): void;
  /** All Pods of a gateway were looked at, and the filter as it is to be was found good. */
  afterVerified(gateway: GatewayName): void;
}

/** How bringing a HostedAPIServer in line ended. */
export interface Outcome {
  readonly kind: "done" | "again" | "failed";
  readonly needs: readonly string[];
}

/** A write that is to fail: `lost` was carried out, and only its answer did not arrive. */
export interface Failure {
  readonly afterWrites: number;
  readonly lost: boolean;
}

class FailedWrite extends Error {
  override readonly name = "FailedWrite";
}

const MAX_ROUNDS = 8;

function nameOfNeed(need: Need): string {
  switch (need.kind) {
    case "gateway":
    case "tunnel":
      return JSON.stringify([need.check.id, need.targets.map(targetName)]);
    case "direct":
      return need.look.id;
    case "clients":
      return `clients ${need.mode}`;
    case "routed-pods":
      return need.kind;
  }
}

/**
 * The process that brings HostedAPIServers in line, without I/O.
 * @see ServerReconciler in capabilities/exposure/servers/reconcile.ts, whose rounds these are.
 */
export class Fairlead {
  readonly #memories = new Map<ServerName, Memory>();
  /** The gateway → the route secret with which its filter was seen at work. */
  readonly #verified = new Map<string, string>();
  #failure: Failure | undefined;
  /** Writes of objects so far, the newest last. */
  readonly written: string[] = [];

  constructor(
    private readonly world: World,
    private readonly watcher: Watcher,
  ) {}

  /** Forgets what only a process knows. */
  restart(): void {
    this.#memories.clear();
    this.#verified.clear();
  }

  memoryOf(name: ServerName): Memory {
    const known = this.#memories.get(name);
    if (known !== undefined) return known;
    const memory: Memory = { sightings: undefined, direct: undefined, seenAt: new Map() };
    this.#memories.set(name, memory);
    return memory;
  }

  reconcile(name: ServerName, failure?: Failure): Outcome {
    this.#failure = failure;
    try {
      if (this.world.servers.has(name)) return this.#converge(name);
      this.#sweep(name);
      return { kind: "done", needs: [] };
    } catch (error) {
      if (error instanceof FailedWrite) return { kind: "failed", needs: [] };
      throw error;
    }
  }

  #converge(name: ServerName): Outcome {
    const run: Run = { clients: undefined, routedPods: undefined, asked: new Set() };
    const memory = this.memoryOf(name);
    for (let round = 0; round < MAX_ROUNDS; round += 1) {
      const plan = this.#plan(name, run);
      if (plan === undefined) return { kind: "done", needs: [...run.asked] };
      this.#act(name, plan);
      const needs = plan.needs.filter((need) => !run.asked.has(nameOfNeed(need)));
      for (const need of needs) {
        run.asked.add(nameOfNeed(need));
        this.#findOut(name, need, run);
      }
      if (needs.length === 0 && plan.writes.length === 0) {
        this.#writeStatus(name, plan.status);
        return { kind: plan.retry ? "again" : "done", needs: [...run.asked] };
      }
    }
    throw new Error(`no end of rounds for ${name}: ${[...memory.seenAt.keys()].join(", ")}`);
  }

  /** Plans, now and then twice from the same state; a HostedAPIServer may be gone with its finalizer. */
  #plan(name: ServerName, run: Run): ServerPlan | undefined {
    const server = this.world.servers.get(name);
    if (server === undefined) return undefined;
    const observed = this.#observe(server, run);
    const plan = planServer(observed);
    if (this.world.moment % 4 === 0 && !isDeepStrictEqual(planServer(observed), plan))
      throw new Error(`${name}: another plan`);
    return plan;
  }

  #observe(server: HostedAPIServer, run: Run): ObservedServer {
    const { world } = this;
    const name = server.metadata.name as ServerName;
    const memory = this.memoryOf(name);
    const ref = server.status?.gatewayRef?.namespace as GatewayName | undefined;
    const gateway = ref === undefined ? undefined : world.gateways[ref];
    const isOwn = (object: KubernetesObject): boolean =>
      serverKeyOf(object) === `${TENANT}/${name}`;
    return {
      server,
      namespace: world.namespace,
      gateway: gateway?.object,
      facts: gateway && {
        routeSecret: gateway.routeSecret,
        filterInLine: gateway.filter === "in line",
        podAddresses: gateway.pods.map(({ address }) => address).sort(),
        serviceAddresses:
          gateway.pods.length === 0 ? [] : gateway.addresses.map(({ address }) => address),
      },
      filterVerified:
        gateway?.filter === "in line" && this.#verified.get(ref ?? "") === gateway.routeSecret,
      own: {
        gateways: ofKind<ObservedServer["own"]["gateways"][0]>(world, "Gateway").filter(isOwn),
        virtualServices: ofKind<ObservedServer["own"]["virtualServices"][0]>(
          world,
          "VirtualService",
        ).filter(isOwn),
        destinationRules: ofKind<ObservedServer["own"]["destinationRules"][0]>(
          world,
          "DestinationRule",
        ).filter(isOwn),
        networkPolicies: [],
      },
      service: serviceOf(world, name),
      policies: [],
      routeConfigMap: routeOf(world),
      neighbours: [...world.servers.values()],
      sightings: memory.sightings,
      direct: memory.direct,
      clients: run.clients,
      routedPods: run.routedPods,
      clusterDomain: "cluster.local",
      nowMs: world.nowMs,
    };
  }

  #act(name: ServerName, plan: ServerPlan): void {
    if (plan.finalizer === "add") this.#setFinalizer(name, "add");
    for (const write of plan.writes) this.#write(name, write);
    if (plan.finalizer === "remove") this.#setFinalizer(name, "remove");
  }

  /** Carries something out, unless it is what is to fail. */
  #carryOut(carryOut: () => void): void {
    const failure = this.#failure;
    if (failure === undefined) {
      carryOut();
      return;
    }
    if (failure.afterWrites > 0) {
      this.#failure = { ...failure, afterWrites: failure.afterWrites - 1 };
      carryOut();
      return;
    }
    this.#failure = undefined;
    if (failure.lost) carryOut();
    throw new FailedWrite();
  }

  #setFinalizer(name: ServerName, wish: "add" | "remove"): void {
    const server = this.world.servers.get(name);
    if (server === undefined || isHeld(server) === (wish === "add")) return;
    this.watcher.beforeFinalizer(name, wish);
    const others = (server.metadata.finalizers ?? []).filter((each) => each !== FINALIZER_EXPOSURE);
    const finalizers = wish === "add" ? [...others, FINALIZER_EXPOSURE] : others;
    this.#carryOut(() => {
      storeServer(this.world, { ...server, metadata: { ...server.metadata, finalizers } });
    });
  }

  #write(name: ServerName, write: Write): void {
    const { world } = this;
    const { kind, object } = write;
    const place = placeOf(object);
    const current = world.objects.get(place);
    this.watcher.beforeWrite({ server: name, memory: this.memoryOf(name), write });
    if (kind === "create") {
      if (isTerminating(world)) throw new Error(`${place} is made in a terminating namespace`);
      if (current !== undefined) {
        if (!isOwnObject(current, object)) throw new Error(`${place} is somebody else's`);
        return;
      }
    } else if (current?.metadata.resourceVersion !== object.metadata.resourceVersion) {
      throw new Error(`${kind} of ${place}, which is not what was seen`);
    }
    this.#carryOut(() => {
      this.written.push(`${kind} ${place}`);
      if (kind !== "delete") {
        store(world, object);
        return;
      }
      world.objects.delete(place);
      tick(world);
    });
  }

  #findOut(name: ServerName, need: Need, run: Run): void {
    const { world } = this;
    const memory = this.memoryOf(name);
    switch (need.kind) {
      case "gateway":
        memory.sightings = lookAtGateway(world, need, memory.sightings);
        for (const target of need.targets) memory.seenAt.set(target.address, tick(world));
        this.#learn(name, need, memory.sightings);
        break;
      case "tunnel":
        throw new Error("there are no tunnels in this world");
      case "direct":
        memory.direct = lookDirectly(world, name, need.look);
        break;
      case "clients":
        run.clients = { mode: need.mode, state: this.#bringKubeconfigs(name, need.mode) };
        break;
      case "routed-pods": {
        const hosts = world.servers.get(name)?.spec.hosts ?? [];
        run.routedPods = world.routedPods.filter((pod) =>
          pod.hosts.some((host) => hosts.includes(host)),
        ).length;
        break;
      }
    }
  }

  #bringKubeconfigs(name: ServerName, mode: "L7" | "L4"): ClientsSighting["state"] {
    this.watcher.beforeKubeconfigs(name, mode);
    const { kubeconfigs } = this.world.surroundings[name];
    if (kubeconfigs.obstacle === undefined || kubeconfigs.mode === mode) {
      if (kubeconfigs.mode !== mode) tick(this.world);
      kubeconfigs.mode = mode;
      return { settled: true, problems: [], againMs: undefined };
    }
    const problem = {
      secret: "generic-token-kubeconfig",
      reason: "Conflict",
      message: "",
    } as const;
    const settled = kubeconfigs.obstacle === "for good";
    return { settled, problems: [problem], againMs: settled ? undefined : 1_000 };
  }

  #learn(
    name: ServerName,
    { check }: Extract<Need, { kind: "gateway" }>,
    { verdicts }: GatewaySightings,
  ): void {
    const gateway = this.world.servers.get(name)?.status?.gatewayRef?.namespace as GatewayName;
    const areGood = check.pods.every(
      (target) =>
        verdicts.has(targetName(target)) && verdicts.get(targetName(target)) === undefined,
    );
    if (check.mode !== "L7" || check.pods.length === 0 || !areGood) return;
    const { filter, routeSecret } = this.world.gateways[gateway];
    if (filter !== "in line") return;
    this.#verified.set(gateway, routeSecret);
    this.watcher.afterVerified(gateway);
  }

  #writeStatus(name: ServerName, wanted: ExposureStatus | undefined): void {
    const server = this.world.servers.get(name);
    if (server === undefined || wanted === undefined) return;
    const current = server.status?.conditions ?? [];
    const conditions = wanted.conditions.map((condition) =>
      stampCondition(condition, {
        current,
        generation: server.metadata.generation,
        nowMs: this.world.nowMs,
      }),
    );
    const types = new Set(conditions.map(({ type }) => type));
    const { loadBalancing: _before, ...rest } = server.status ?? {};
    const status = {
      ...rest,
      ...(wanted.loadBalancing === undefined ? {} : { loadBalancing: wanted.loadBalancing }),
      conditions: [...current.filter(({ type }) => !types.has(type)), ...conditions],
    };
    storeServer(this.world, { ...server, status });
  }

  /** @see ServerReconciler, for a HostedAPIServer that does not exist. */
  #sweep(name: ServerName): void {
    this.#memories.delete(name);
    const { world } = this;
    const own = ["Gateway", "VirtualService", "DestinationRule"]
      .flatMap((kind) => ofKind(world, kind))
      .filter((object) => serverKeyOf(object) === `${TENANT}/${name}`);
    for (const write of planSweep(own)) this.#write(name, write);
    const current = routeOf(world);
    if (current === undefined) return;
    const route = planRoute({
      namespace: TENANT,
      name,
      hosts: [],
      neighbours: [...world.servers.values()],
      namespaceUid: world.namespace.metadata.uid ?? "",
      current,
      published: undefined,
    });
    if (route !== undefined) this.#write(name, route);
  }
}
