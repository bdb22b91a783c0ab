import fc from "fast-check";
import { change, CHANGES } from "./changes";
import { keepCredentials } from "./credentials";
import { Fairlead, type Outcome } from "./fairlead";
import { Rules } from "./rules";
import { GATEWAYS, newWorld, SERVERS, tell, type ServerName, type World } from "./world";

/** What happens: something changes, and then fairlead and what surrounds it get on with it, or not yet. */
const event = fc.record({
  what: fc.constantFrom(...Object.keys(CHANGES)),
  server: fc.constantFrom(...SERVERS),
  gateway: fc.constantFrom("istio-a", "istio-a", "istio-a", "istio-b"),
  choice: fc.nat({ max: 11 }),
  /** Whether credentials and the gateway's Pods follow at once. */
  credentials: fc.boolean(),
  told: fc.boolean(),
  reconciled: fc.subarray<ServerName>([...SERVERS]),
  failure: fc.option(fc.record({ afterWrites: fc.nat({ max: 4 }), lost: fc.boolean() }), {
    nil: undefined,
  }),
  then: fc.constantFrom("nothing", "nothing", "restart", "rest"),
});

type Event = typeof event extends fc.Arbitrary<infer T> ? T : never;

/** A course of events. */
export const courses: fc.Arbitrary<readonly Event[]> = fc.array(event, {
  minLength: 1,
  maxLength: 12,
});

const MAX_PASSES = 16;
/** Longer than a failure may last before it counts, and than a failed look is remembered. */
const PASS_MS = 11_000;
/** Longer than what was seen is relied on. */
const FORGET_MS = 660_000;

/** Everything that there is but the time. */
function stateOf({ objects, servers, surroundings }: World): string {
  const status = [...servers.values()].map(({ metadata, spec, status: each }) => [
    metadata.finalizers,
    spec,
    each,
  ]);
  const versions = [...objects].map(([place, { metadata }]) => [place, metadata.resourceVersion]);
  return JSON.stringify([versions, status, surroundings]);
}

/** A cluster, and fairlead at work in it. */
export class Stage {
  readonly world = newWorld();
  readonly fairlead = new Fairlead(this.world, new Rules(this.world));

  play({ what, reconciled, failure, then, ...event }: Event): void {
    change(this.world, what, { ...event, gateway: event.gateway as "istio-a" });
    if (event.credentials) this.#keepCredentials();
    if (event.told) this.#tellAll();
    for (const name of reconciled) this.fairlead.reconcile(name, failure);
    if (then === "restart") this.fairlead.restart();
    if (then === "rest") this.rest();
  }

  /** Goes on until nothing changes any more; then it must stay so, even if fairlead is started anew. */
  rest(): void {
    this.#tellAll();
    this.world.nowMs += FORGET_MS;
    let last: readonly Outcome[] = [];
    for (let pass = 0; pass < MAX_PASSES; pass += 1) {
      const before = stateOf(this.world);
      const outcomes = this.#pass();
      if (stateOf(this.world) === before && isSame(outcomes, last)) {
        this.#expectRest(before);
        return;
      }
      last = outcomes;
    }
    throw new Error("it never comes to rest");
  }

  #expectRest(state: string): void {
    const count = this.fairlead.written.length;
    this.fairlead.restart();
    this.#pass();
    this.#pass();
    const written = this.fairlead.written.slice(count);
    if (written.length > 0) throw new Error(`at rest, a restart leads to ${written.join(", ")}`);
    const now = stateOf(this.world);
    if (now !== state) throw new Error(`at rest, a restart changes ${state} to ${now}`);
  }

  #pass(): readonly Outcome[] {
    this.world.nowMs += PASS_MS;
    this.#keepCredentials();
    const outcomes = SERVERS.map((name) => this.fairlead.reconcile(name));
    this.#tellAll();
    return outcomes;
  }

  #keepCredentials(): void {
    for (const name of SERVERS) keepCredentials(this.world, name);
  }

  #tellAll(): void {
    for (const name of GATEWAYS) {
      for (const pod of this.world.gateways[name].pods) tell(this.world, name, pod);
    }
  }
}

const isSame = (a: readonly Outcome[], b: readonly Outcome[]): boolean =>
  JSON.stringify(a) === JSON.stringify(b);
