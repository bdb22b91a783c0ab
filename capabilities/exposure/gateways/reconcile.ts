import type { HostedAPIServer, InternalGateway } from "../../../lib/api";
import {
  applyStatus,
  refOf,
  setFinalizer,
  type CacheContext,
  type Outcome,
} from "../../../lib/cluster";
import { keyOf, splitKey } from "../../../lib/domain/keys";
import { FIELD_MANAGERS, FINALIZER_EXPOSURE } from "../../../lib/domain/names";
import type { ExposureCaches } from "../caches";
import { GatewayCacheSet } from "./caches";
import { planGateway, type GatewayAction, type ObservedGateway } from "./plan";

/** What an InternalGateway is brought in line with. */
export interface GatewayContext extends CacheContext {
  readonly caches: ExposureCaches;
}

const done: Outcome = { kind: "done" };
const fieldManager = FIELD_MANAGERS.exposure;

/** Brings InternalGateways in line: their internal Service, addresses and conditions. */
export class GatewayReconciler {
  readonly caches: GatewayCacheSet;
  /** InternalGateway key → how many HostedAPIServers are attached, kept up to date by their changes. */
  readonly #attached = new Map<string, Set<string>>();

  /** @param enqueue Told the key of an InternalGateway that something changed for. */
  constructor(
    private readonly context: GatewayContext,
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

  /** Brings one InternalGateway in line. */
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
