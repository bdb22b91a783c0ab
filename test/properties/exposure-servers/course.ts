import fc from "fast-check";
import { change, CHANGES } from "./changes";
import { keepCredentials } from "./credentials";
import { Fairlead, type Outcome } from "./fairlead";
import { Rules } from "./rules";
import {
  GATEWAYS,
  newWorld,
  SERVERS,
  tell,
  type GatewayName,
  type ServerName,
  type World,
} from "./world";

/** How a course begins: what there is before anything happens, by choices among the changes of that name. */
const beginning = fc.record({
  "choose hosts": fc.nat({ max: 2 }),
  "choose certificates": fc.nat({ max: 2 }),
  "name kubeconfigs": fc.nat({ max: 1 }),
  "choose a mode": fc.constantFrom(0, 0, 0, 1),
  isAlone: fc.boolean(),
  isAtRest: fc.boolean(),
  routedPods: fc.nat({ max: 2 }),
  "change the API servers": fc.nat({ max: 3 }),
});

/** Something happens, and then fairlead and what surrounds it get on with it, or not yet. */
const event = fc.record({
  what: fc.constantFrom(...Object.keys(CHANGES)),
  server: fc.constantFrom(...SERVERS),
  gateway: fc.constantFrom<GatewayName[]>("istio-a", "istio-a", "istio-a", "istio-b"),
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

type Value<A> = A extends fc.Arbitrary<infer T> ? T : never;
type Beginning = Value<typeof beginning>;
type Event = Value<typeof event>;

/** What happens to HostedAPIServers, from the first one on. */
export const courses = fc.record({
  beginning,
  events: fc.array(event, { maxLength: 8 }),
});

const CALM: Beginning = {
  "choose hosts": 0,
  "choose certificates": 0,
  "name kubeconfigs": 0,
  "choose a mode": 0,
  isAlone: true,
  isAtRest: true,
  routedPods: 0,
  "change the API servers": 0,
};

function happening(what: string, more: Partial<Event> = {}): Event {
  return {
    ...{ what, server: "one", gateway: "istio-a", choice: 0, credentials: true, told: false },
    ...{ reconciled: [], failure: undefined, then: "nothing" },
    ...more,
  };
}

/** Courses that went wrong once, and that chance finds seldom. */
export const EXAMPLES: readonly Value<typeof courses>[] = [
  // What was seen of a VirtualService that somebody deleted says nothing about the one that was made in its place.
  ...[0, 1, 2].map((choice) => ({
    beginning: CALM,
    events: [happening("remove the route"), happening("remove an object", { choice })],
  })),
  // A filter that somebody edited: it works, and nobody knows by which secret.
  {
    beginning: CALM,
    events: [
      happening("change the filter", { choice: 1, then: "restart" }),
      happening("create", { server: "two", reconciled: ["two"] }),
      happening("nothing", { told: true, reconciled: ["two"] }),
    ],
  },
  // Deleted while it moves to another gateway: what is there is in the namespace of the old one.
  {
    beginning: CALM,
    events: [
      happening("move to another gateway", { gateway: "istio-b", then: "rest" }),
      happening("start a Pod"),
      happening("move to another gateway"),
      happening("delete"),
    ],
  },
];

/** HostedAPIServers that are served in L7, all in order. */
export const calmBeginnings: fc.Arbitrary<Beginning> = beginning.map((begun) => ({
  ...begun,
  "choose certificates": begun["choose certificates"] % 2,
  "choose a mode": 0,
  "change the API servers": 0,
  isAtRest: true,
}));

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

  /** @param beginning What there is before anything happens. */
  constructor(beginning: Beginning) {
    const {
      isAlone,
      isAtRest,
      routedPods,
      "change the API servers": state,
      ...choices
    } = beginning;
    const about = { server: "one", gateway: "istio-a", choice: 0 } as const;
    if (!isAlone) change(this.world, "create", { ...about, server: "two" });
    for (const [what, choice] of Object.entries(choices)) {
      change(this.world, what, { ...about, choice });
    }
    if (isAtRest) this.rest();
    for (let count = 0; count < routedPods; count += 1) change(this.world, "start a Pod", about);
    change(this.world, "change the API servers", { ...about, choice: state });
  }

  play({ what, reconciled, failure, then, ...event }: Event): void {
    change(this.world, what, event);
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
