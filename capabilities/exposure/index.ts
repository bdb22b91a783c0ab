import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";
import {
  createQueue,
  type CacheContext,
  type Change,
  type EventRecorder,
  type Queue,
} from "../../lib/cluster";
import { findCondition } from "../../lib/domain/conditions";
import { keyOf, splitKey } from "../../lib/domain/keys";
import { isManaged } from "../../lib/domain/names";
import type { ExposureCaches } from "./caches";
import { KubeconfigSecrets } from "./clients";
import { GatewayReconciler } from "./gateways/reconcile";
import { serviceOf } from "./resources";
import { OwnIndex } from "./servers/own-index";
import { ServerReconciler } from "./servers/reconcile";
import { referencedSecrets, serverFacts } from "./servers/references";

export { openExposureCaches, type ExposureCaches } from "./caches";
export { exposureCapability } from "./capability";

/** What the exposure controller needs. */
export interface ExposureContext extends CacheContext {
  readonly caches: ExposureCaches;
  readonly events: EventRecorder;
  readonly clusterDomain: string;
}

/** A running controller. */
export interface ExposureController {
  readonly gateways: Queue;
  readonly servers: Queue;
  /** Which Secrets the gateway's configuration refers to. */
  readonly references: {
    of(key: string): ReadonlySet<string>;
    onChange(listener: (key: string) => void): void;
  };
  /** Looks at everything again. */
  resync(): void;
}

/** Many may be attached in a moment: how many there are is written once for all of them. */
const COUNT_DELAY_MS = 1_000;

const hasChanged = <T>({ kind, object, previous }: Change<T>, facts: (object: T) => string) =>
  kind !== "updated" || previous === undefined || facts(previous) !== facts(object);

/** What of an InternalGateway matters to the servers that use it. */
function gatewayFacts({ metadata, spec, status }: InternalGateway): string {
  const accepted = findCondition(status?.conditions, "Accepted");
  return JSON.stringify([metadata.uid, spec, accepted?.status]);
}

function namespaceFacts({ metadata }: KubernetesObject): string {
  return JSON.stringify([metadata.uid, metadata.deletionTimestamp, metadata.annotations]);
}

class Exposure implements ExposureController {
  readonly gateways: Queue;
  readonly servers: Queue;
  readonly #gatewayReconciler: GatewayReconciler;
  readonly #clients: KubeconfigSecrets;
  readonly #own: OwnIndex;
  readonly #listeners: ((key: string) => void)[] = [];

  constructor(private readonly context: ExposureContext) {
    const { caches, clock, log, metrics } = context;
    this.gateways = createQueue({
      name: "exposure-gateways",
      reconcile: (key) => this.#gatewayReconciler.reconcile(key),
      clock,
      log,
      metrics,
    });
    this.#gatewayReconciler = new GatewayReconciler(context, (key) => {
      this.gateways.add(key);
    });
    this.#own = new OwnIndex(caches, (key) => {
      this.#noteOwn(key);
    });
    this.#clients = new KubeconfigSecrets({ ...context, secrets: caches.secrets });
    const servers = new ServerReconciler({
      ...context,
      facts: this.#gatewayReconciler.facts,
      own: this.#own,
      clients: this.#clients,
      noteAddress: (gateway, address, answered) => {
        this.#gatewayReconciler.noteAddress(gateway, address, answered);
      },
      wake: (key) => {
        this.servers.add(key);
      },
    });
    this.servers = createQueue({
      name: "exposure-servers",
      reconcile: (key) => servers.reconcile(key),
      clock,
      log,
      metrics,
    });
    this.#listen();
    this.resync();
  }

  readonly references = {
    of: (key: string): ReadonlySet<string> =>
      referencedSecrets(this.#own.of(key), this.#own.tunnelOf(key)),
    onChange: (listener: (key: string) => void): void => {
      this.#listeners.push(listener);
    },
  };

  resync(): void {
    const { caches } = this.context;
    for (const hapi of caches.hostedAPIServers.list()) this.#noteServer(hapi, false);
    // What was made for a HostedAPIServer that went while nobody watched.
    for (const key of this.#own.keys()) this.servers.add(key);
    for (const route of caches.routeConfigMaps.list()) this.#wakeNamespace(route);
    for (const gateway of caches.internalGateways.list()) this.gateways.add(keyOf(gateway));
  }

  #noteServer(hapi: HostedAPIServer, gone: boolean): void {
    const key = keyOf(hapi);
    this.servers.add(key);
    // One that lost consent is attached until its objects are gone: they need the shared filter.
    const lingers = hapi.status?.gatewayRef === undefined && this.#own.of(key).gateways.length > 0;
    if (lingers && !gone) return;
    const changed = this.#gatewayReconciler.noteAttachment(key, gone ? undefined : hapi);
    for (const gateway of changed) this.gateways.add(gateway, COUNT_DELAY_MS);
  }

  #noteOwn(key: string): void {
    const { namespace, name } = splitKey(key);
    const hapi = this.context.caches.hostedAPIServers.get(name, namespace);
    if (hapi === undefined) this.servers.add(key);
    else this.#noteServer(hapi, false);
    for (const listener of this.#listeners) listener(key);
  }

  #listen(): void {
    const { caches } = this.context;
    caches.hostedAPIServers.onChange((change) => {
      if (hasChanged(change, serverFacts)) {
        this.#noteServer(change.object, change.kind === "deleted");
      }
    });
    caches.internalGateways.onChange((change) => {
      if (hasChanged(change, gatewayFacts)) this.#wakeAttached(keyOf(change.object));
    });
    this.#gatewayReconciler.facts.onChange((key) => {
      this.#wakeAttached(key);
    });
    caches.namespaces.onChange((change) => {
      if (!hasChanged(change, namespaceFacts)) return;
      const { name } = change.object.metadata;
      for (const hapi of caches.hostedAPIServers.list(name)) this.servers.add(keyOf(hapi));
    });
    caches.services.onChange(({ object }) => {
      const { namespace = "", name } = object.metadata;
      for (const hapi of caches.hostedAPIServers.list(namespace)) {
        if (serviceOf(hapi).name === name) this.servers.add(keyOf(hapi));
      }
    });
    caches.routeConfigMaps.onChange(({ object }) => {
      this.#wakeNamespace(object);
    });
    caches.secrets.onChange(({ object }) => {
      const { namespace = "", name } = object.metadata;
      for (const key of this.#clients.keysOf(namespace, name)) this.servers.add(key);
    });
    caches.networkPolicies.onChange(({ object }) => {
      // fairlead's own are told by their index.
      if (isManaged(object)) return;
      this.#wakeNamespace(object);
      for (const gateway of caches.internalGateways.list(object.metadata.namespace)) {
        this.#wakeAttached(keyOf(gateway));
      }
    });
  }

  #wakeNamespace({ metadata }: KubernetesObject): void {
    for (const hapi of this.context.caches.hostedAPIServers.list(metadata.namespace)) {
      this.servers.add(keyOf(hapi));
    }
  }

  #wakeAttached(gateway: string): void {
    for (const hapi of this.context.caches.hostedAPIServers.list()) {
      const ref = hapi.status?.gatewayRef;
      if (ref !== undefined && `${ref.namespace}/${ref.name}` === gateway) {
        this.servers.add(keyOf(hapi));
      }
    }
  }
}

/** Starts the exposure controller on caches that are synced. */
export function exposureController(context: ExposureContext): ExposureController {
  return new Exposure(context);
}
