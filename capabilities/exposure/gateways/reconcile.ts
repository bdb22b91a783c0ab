import { equals } from "ramda";
import type { HostedAPIServer, InternalGateway } from "../../../lib/api";
import {
  applyStatus,
  describeError,
  tellConditions,
  tellKeep,
  type EventRecorder,
  type Outcome,
} from "../../../lib/cluster";
import { findCondition, stampCondition } from "../../../lib/domain/conditions";
import { keyOf, splitKey } from "../../../lib/domain/keys";
import { FIELD_MANAGERS } from "../../../lib/domain/names";
import {
  findOutOfScope,
  REFUSED_RETRY_MS,
  type OutOfScope,
} from "../../../lib/domain/namespace-scope";
import { executeAction } from "./execute";
import type { GatewayFacts, GatewayFactsSource } from "./facts";
import { GatewayObserver, type GatewayContext } from "./observe";
import type { ObservedGateway } from "./observed";
import { factsOf, planGateway } from "./plan";
import { isRefusal } from "./refusals";

const done: Outcome = { kind: "done" };
/** A plan is made again after its writes: the route secret comes before the EnvoyFilter that holds it. */
const MAX_ROUNDS = 3;
/** What is observed, and what users are told by. */
export interface GatewayReconcilerContext extends GatewayContext {
  readonly events: EventRecorder;
}

/**
 * Brings InternalGateways in line: all that their HostedAPIServers share, addresses and conditions. It listens to all
 * that concerns them but for the HostedAPIServers themselves, which `noteAttachment` tells of.
 */
export class GatewayReconciler {
  readonly #observer: GatewayObserver;
  /** InternalGateway key → how many HostedAPIServers are attached, kept up to date by their changes. */
  readonly #attached = new Map<string, Set<string>>();
  /** InternalGateway key → addresses of its internal Service at which nobody answered. */
  readonly #deadAddresses = new Map<string, Set<string>>();
  readonly #facts = new Map<string, GatewayFacts | undefined>();
  readonly #listeners: ((key: string) => void)[] = [];

  /** @param enqueue Told the key of an InternalGateway that something changed for. */
  constructor(
    private readonly context: GatewayReconcilerContext,
    private readonly enqueue: (key: string) => void,
  ) {
    this.#observer = new GatewayObserver(context, enqueue);
  }

  /** What HostedAPIServers build on. */
  readonly facts: GatewayFactsSource = {
    of: (key) => (this.#facts.has(key) ? this.#facts.get(key) : "unseen"),
    onChange: (listener) => {
      this.#listeners.push(listener);
    },
  };

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

  /**
   * Notes whether a cluster IP of an InternalGateway's Service was seen to lead to the gateway. One that did not is left
   * out of its status, and stays in its facts, so that it is tried again.
   */
  noteAddress(key: string, address: string, answered: boolean): void {
    const dead = this.#deadAddresses.get(key) ?? new Set();
    if (dead.has(address) !== answered) return;
    if (answered) dead.delete(address);
    else dead.add(address);
    this.#deadAddresses.set(key, dead);
    this.enqueue(key);
  }

  /** Brings one InternalGateway in line. */
  async reconcile(key: string): Promise<Outcome> {
    const { caches, scope } = this.context;
    const { namespace, name } = splitKey(key);
    const outOfScope = findOutOfScope(scope, namespace, "gateways");
    if (outOfScope !== undefined) {
      return this.#leaveAlone(caches.internalGateways.get(name, namespace), outOfScope);
    }
    for (let round = 0; ; round += 1) {
      const look = await this.#observer.look(key);
      if (look.kind === "gone") this.#forget(key);
      if (look.kind !== "seen") return done;
      const observed: ObservedGateway = {
        ...look.seen,
        deadAddresses: this.#deadAddresses.get(key) ?? new Set(),
        attached: this.#attached.get(key)?.size ?? 0,
        refusal: undefined,
      };
      if (planGateway(observed).actions.length === 0 || round === MAX_ROUNDS) {
        await this.#report(observed);
        return done;
      }
      await this.#execute(observed);
    }
  }

  /** What it has can be neither read nor written: only its status can say so. */
  async #leaveAlone(
    gateway: InternalGateway | undefined,
    { reason, message }: OutOfScope,
  ): Promise<Outcome> {
    if (gateway === undefined) return done;
    const { client, clock } = this.context;
    const { conditions: current, ...kept } = gateway.status ?? {};
    const { generation } = gateway.metadata;
    const conditions = ["Accepted", "Programmed"].map((type) =>
      stampCondition(
        { type, status: "False", reason, message },
        { current, generation, nowMs: clock.nowMs() },
      ),
    );
    const target = { client, fieldManager: FIELD_MANAGERS.exposure, object: gateway };
    await applyStatus(target, { ...kept, conditions });
    return reason === "ReadRefused" ? { kind: "again", afterMs: REFUSED_RETRY_MS } : done;
  }

  async #execute(observed: ObservedGateway): Promise<void> {
    const { client, log, metrics } = this.context;
    try {
      for (const action of planGateway(observed).actions) {
        await executeAction({ client, log, metrics, observer: this.#observer }, observed, action);
      }
    } catch (error) {
      if (isRefusal(error)) await this.#report({ ...observed, refusal: describeError(error) });
      throw error;
    }
  }

  /** Tells what came of it: facts to HostedAPIServers, status to users. */
  async #report(observed: ObservedGateway): Promise<void> {
    const { gateway } = observed;
    const key = keyOf(gateway);
    this.#publish(key, factsOf(observed));
    const { status } = planGateway(observed);
    if (status === undefined) return;
    const target = {
      client: this.context.client,
      fieldManager: FIELD_MANAGERS.exposure,
      object: gateway,
    };
    const written = await applyStatus(target, status);
    const { reason = "Unknown" } = findCondition(status.conditions, "Programmed") ?? {};
    tellKeep(this.context, { capability: "exposure", key, reason });
    if (written === gateway) return;
    this.#observer.wrote(key, gateway, written);
    const reported = { capability: "exposure", object: gateway, after: status.conditions ?? [] };
    tellConditions(this.context, reported, ["Accepted", "Programmed"]);
  }

  #forget(key: string): void {
    this.#deadAddresses.delete(key);
    if (this.#facts.delete(key)) this.#tell(key);
  }

  #publish(key: string, facts: GatewayFacts | undefined): void {
    // That not everything is there is news, too, as long as nobody has looked.
    if (this.#facts.has(key) && equals(this.#facts.get(key), facts)) return;
    this.#facts.set(key, facts);
    this.#tell(key);
  }

  #tell(key: string): void {
    for (const listener of this.#listeners) listener(key);
  }
}
