import type { HostedAPIServer } from "../../lib/api";
import {
  applyStatus,
  createQueue,
  isNotFound,
  tellConditions,
  type CacheContext,
  type Outcome,
  type Queue,
  type WatchCaches,
} from "../../lib/cluster";
import { stampCondition } from "../../lib/domain/conditions";
import { keyOf, splitKey } from "../../lib/domain/keys";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import { decideReady, readyDelayMs } from "./decide";

/** What the status writer needs. */
export interface StatusContext extends CacheContext {
  readonly caches: Pick<WatchCaches, "hostedAPIServers">;
}

/** A running controller. */
export interface StatusController {
  readonly queue: Queue;
  resync(): void;
}

async function reconcile(context: StatusContext, key: string): Promise<Outcome> {
  const { namespace, name } = splitKey(key);
  const hapi = context.caches.hostedAPIServers.get(name, namespace);
  if (hapi === undefined || hapi.metadata.deletionTimestamp !== undefined) return { kind: "done" };
  const ready = decideReady(hapi);
  const { generation } = hapi.metadata;
  const condition = stampCondition(ready, {
    current: hapi.status?.conditions,
    generation,
    nowMs: context.clock.nowMs(),
  });
  const target = { client: context.client, fieldManager: FIELD_MANAGERS.status, object: hapi };
  // The other capabilities have not all looked at this generation while Ready is unknown.
  const observedGeneration =
    ready.status === "Unknown" ? hapi.status?.observedGeneration : generation;
  try {
    await applyStatus(target, { observedGeneration, conditions: [condition] });
  } catch (error) {
    // It went meanwhile.
    if (isNotFound(error)) return { kind: "done" };
    throw error;
  }
  // No Event: why it is not ready, the condition that is the cause says already.
  tellConditions(context, { capability: "status", object: hapi, after: [condition] });
  return { kind: "done" };
}

/** Starts the one writer of `Ready` and `observedGeneration` on a cache that is synced. */
export function statusController(context: StatusContext): StatusController {
  const { caches, clock, log, metrics } = context;
  const queue = createQueue({
    name: "status",
    reconcile: (key) => reconcile(context, key),
    clock,
    log,
    metrics,
  });
  const note = (hapi: HostedAPIServer): void => {
    queue.add(keyOf(hapi), readyDelayMs(hapi));
  };
  caches.hostedAPIServers.onChange(({ object }) => {
    note(object);
  });
  const resync = (): void => {
    caches.hostedAPIServers.list().forEach(note);
  };
  resync();
  return { queue, resync };
}
