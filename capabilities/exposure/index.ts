import type { HostedAPIServer, InternalGateway } from "../../lib/api";
import {
  applyStatus,
  createQueue,
  type CacheContext,
  type Outcome,
  type Queue,
} from "../../lib/cluster";
import { stampCondition } from "../../lib/domain/conditions";
import { keyOf, splitKey } from "../../lib/domain/keys";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import type { ExposureCaches } from "./caches";
import { decideExposure } from "./decide";
import { GatewayReconciler } from "./gateways/reconcile";

export { openExposureCaches, type ExposureCaches } from "./caches";
export { exposureCapability } from "./capability";

/** What the exposure controller needs. */
export interface ExposureContext extends CacheContext {
  readonly caches: ExposureCaches;
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
