export { exposureCapability } from "./capability";
import type { HostedAPIServer, InternalGateway } from "../../lib/api";
import {
  applyStatus,
  createQueue,
  refOf,
  setFinalizer,
  type CacheContext,
  type Outcome,
  type Queue,
  type WatchCaches,
} from "../../lib/cluster";
import { stampCondition } from "../../lib/domain/conditions";
import { keyOf, splitKey } from "../../lib/domain/keys";
import { FIELD_MANAGERS, FINALIZER_EXPOSURE } from "../../lib/domain/names";
import { decideExposure } from "./decide";
import { GatewayCacheSet } from "./gateway-caches";
import { planGateway, type GatewayAction, type ObservedGateway } from "./plan";

/** What the exposure controller needs. */
export interface ExposureContext extends CacheContext {
  readonly caches: WatchCaches;
}

/** A running controller. */
export interface ExposureController {
  readonly gateways: Queue;
  readonly servers: Queue;
  /** Looks at everything again. */
  resync(): void;
}

const done: Outcome = { kind: "done" };
const fieldManager = FIELD_MANAGERS.exposure;

/** Brings InternalGateways in line: their internal Service, addresses and conditions. */
class GatewayReconciler {
  readonly caches: GatewayCacheSet;
  /** InternalGateway key → how many HostedAPIServers are attached, kept up to date by their changes. */
  readonly #attached = new Map<string, Set<string>>();

  constructor(
    private readonly context: ExposureContext,
    enqueue: (key: string) => void,
  ) {
    this.caches = new GatewayCacheSet(context, enqueue);
  }

  /** Notes which InternalGateway a HostedAPIServer is attached to; answers the keys whose count changed. */
  noteAttachment(hapiKey: string, hapi: HostedAPIServer | undefined): string[] {
    const ref = hapi?.status?.gatewayRef;
    const now = ref === undefined ? undefined : `${ref.namespace}/${ref.name}`;
    const changed: string[] = [];
    for (const [key, attached] of this.#attached) {
      if (key !== now && attached.delete(hapiKey)) changed.push(key);
    }
    if (now !== undefined) {
      const attached = this.#attached.get(now) ?? new Set<string>();
      if (!attached.has(hapiKey)) changed.push(now);
      this.#attached.set(now, attached.add(hapiKey));
    }
    return changed;
  }

  async reconcile(key: string): Promise<Outcome> {
    const { namespace, name } = splitKey(key);
    const gateway = this.context.caches.internalGateways.get(name, namespace);
    if (gateway === undefined) {
      this.caches.close(key);
      return done;
    }
    const { endpointSlices, pods } = this.caches.of(key, gateway);
    // Their first list enqueues this key again.
    if (!endpointSlices.isSynced || !pods.isSynced) return done;
    const plan = planGateway({
      gateway,
      services: this.context.caches.services.list(namespace),
      endpointSlices: endpointSlices.list(),
      pods: pods.list(),
      attached: this.#attached.get(key)?.size ?? 0,
      terminating: this.#isTerminating(namespace),
      nowMs: this.context.clock.nowMs(),
    } satisfies ObservedGateway);
    let current = gateway;
    for (const action of plan.actions) current = await this.#execute(action, current);
    if (plan.status !== undefined) {
      const { client } = this.context;
      await applyStatus({ client, fieldManager, object: current }, plan.status);
    }
    return done;
  }

  #isTerminating(namespace: string): boolean {
    const found = this.context.caches.namespaces.get(namespace);
    return found === undefined || found.metadata.deletionTimestamp !== undefined;
  }

  async #execute(action: GatewayAction, gateway: InternalGateway): Promise<InternalGateway> {
    const { client, log } = this.context;
    const finalizer = { finalizer: FINALIZER_EXPOSURE, fieldManager };
    const about = { gateway: keyOf(gateway), action: action.kind };
    switch (action.kind) {
      case "add-finalizer":
        return setFinalizer(client, gateway, { ...finalizer, present: true });
      case "remove-finalizer":
        return setFinalizer(client, gateway, { ...finalizer, present: false });
      case "create-service":
        await client.create(action.service, fieldManager);
        break;
      case "update-service": {
        const patch = [
          {
            op: "test",
            path: "/metadata/resourceVersion",
            value: action.service.metadata.resourceVersion,
          },
          ...Object.entries(action.spec).map(([field, value]) => ({
            op: "add",
            path: `/spec/${field}`,
            value,
          })),
        ];
        await client.patch(refOf(action.service), patch, { type: "json", fieldManager });
        break;
      }
      case "delete-service": {
        const { uid } = action.service.metadata;
        await client.delete(refOf(action.service), uid === undefined ? {} : { uid });
        break;
      }
    }
    log.info(about, "internal Service brought in line");
    return gateway;
  }
}

async function reconcileServer(context: ExposureContext, key: string): Promise<Outcome> {
  const { namespace, name } = splitKey(key);
  const hapi = context.caches.hostedAPIServers.get(name, namespace);
  const found = context.caches.namespaces.get(namespace);
  // A status of what is going is of no use, and a write could meet an object that is gone.
  if (hapi === undefined || hapi.metadata.deletionTimestamp !== undefined) return done;
  const { programmed, loadBalancing } = decideExposure(hapi, found?.metadata);
  const condition = stampCondition(programmed, {
    current: hapi.status?.conditions,
    generation: hapi.metadata.generation,
    nowMs: context.clock.nowMs(),
  });
  await applyStatus(
    { client: context.client, fieldManager, object: hapi },
    { loadBalancing, conditions: [condition] },
  );
  return done;
}

/**
 * Starts the exposure controller on caches that are synced. A change of an InternalGateway, its Service, endpoints,
 * Pods or attached HostedAPIServers concerns that InternalGateway alone.
 */
export function exposureController(context: ExposureContext): ExposureController {
  const { caches, clock, log } = context;
  const gateways: Queue = createQueue({
    name: "exposure-gateways",
    reconcile: (key) => reconciler.reconcile(key),
    clock,
    log,
  });
  const reconciler = new GatewayReconciler(context, (key) => {
    gateways.add(key);
  });
  const servers = createQueue({
    name: "exposure-servers",
    reconcile: (key) => reconcileServer(context, key),
    clock,
    log,
  });

  const noteServer = (hapi: HostedAPIServer, gone: boolean): void => {
    const key = keyOf(hapi);
    reconciler.noteAttachment(key, gone ? undefined : hapi).forEach((gateway) => {
      gateways.add(gateway);
    });
    servers.add(key);
  };
  const gatewaysOf = (namespace: string): readonly InternalGateway[] =>
    caches.internalGateways.list(namespace);

  caches.internalGateways.onChange(({ object }) => {
    gateways.add(keyOf(object));
  });
  caches.hostedAPIServers.onChange(({ kind, object }) => {
    noteServer(object, kind === "deleted");
  });
  caches.services.onChange(({ object }) => {
    for (const gateway of gatewaysOf(object.metadata.namespace ?? "")) gateways.add(keyOf(gateway));
  });
  caches.namespaces.onChange(({ object }) => {
    for (const hapi of caches.hostedAPIServers.list(object.metadata.name)) servers.add(keyOf(hapi));
    for (const gateway of gatewaysOf(object.metadata.name)) gateways.add(keyOf(gateway));
  });

  const resync = (): void => {
    for (const hapi of caches.hostedAPIServers.list()) noteServer(hapi, false);
    for (const gateway of caches.internalGateways.list()) gateways.add(keyOf(gateway));
  };
  resync();
  return { gateways, servers, resync };
}
