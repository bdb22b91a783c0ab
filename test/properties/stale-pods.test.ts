import fc from "fast-check";
import { planStalePods } from "../../capabilities/stale-pods/plan";
import { statusOf } from "../../capabilities/stale-pods/report";
import { server, World, type OwnerSpec, type Step } from "./stale-pods/world";

const ownerSpec: fc.Arbitrary<OwnerSpec> = fc.record({
  kind: fc.constantFrom("Deployment", "StatefulSet", "DaemonSet"),
  pods: fc.integer({ min: 1, max: 3 }),
  stubborn: fc.boolean(),
  paused: fc.boolean(),
  hasBudget: fc.boolean(),
});

const owner = fc.nat({ max: 3 });
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 6, arbitrary: fc.constant<Step>({ kind: "look" }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constant("replace" as const), owner }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("budget" as const),
      owner,
      allowed: fc.integer({ min: 0, max: 1 }),
    }),
  },
  fc.constant<Step>({ kind: "kill" }),
  fc.record({
    kind: fc.constant("reroute" as const),
    address: fc.constantFrom("10.0.0.7", "10.0.0.8"),
  }),
  fc.record({ kind: fc.constant("prune" as const), owner }),
  fc.record({ kind: fc.constant("others-roll" as const), owner }),
);

const course = fc.tuple(
  fc.array(ownerSpec, { minLength: 1, maxLength: 4 }),
  fc.array(step, { maxLength: 60 }),
);

describe("restarts of stale Pods' owners", () => {
  it("come one at a time, as budgets allow, and once for a route; and they come to an end", () => {
    fc.assert(
      fc.property(course, ([specs, steps]) => {
        const world = new World(specs);
        for (const each of steps) world.take(each);
        const { counts, restart } = world.settle();

        expect(restart.kind).toBe("rest");
        const left = world.owners.filter(
          ({ stubborn, paused, kind }) => stubborn || (paused && kind === "Deployment"),
        );
        const names = new Set(left.map(({ name }) => name));
        const stale = counts.get("main")?.stale.map(({ pod }) => pod.metadata.labels?.app) ?? [];
        // Whoever is left alone is said so, with a reason.
        expect(stale.filter((app) => !names.has(app ?? ""))).toEqual([]);
        const said = restart.kind === "rest" ? restart.left.map(({ what }) => what) : [];
        expect(said.map((what) => what.split(" ")[1]).sort()).toEqual([...new Set(stale)].sort());
      }),
      { numRuns: 500 },
    );
  });

  it("follow from what is there: the same state gives the same plan, and nothing is modified", () => {
    fc.assert(
      fc.property(course, ([specs, steps]) => {
        const world = new World(specs);
        for (const each of steps) world.take(each);
        const observed = world.observe();
        const before = JSON.stringify(observed);
        const plan = planStalePods(observed);

        expect(planStalePods(observed)).toEqual(plan);
        expect(JSON.stringify(observed)).toBe(before);
        const count = plan.counts.get("main");
        const { condition } = statusOf(server, {
          route: world.route,
          count,
          restart: plan.restart,
        });
        expect(condition.status === "True").toBe(count?.stale.length === 0);
      }),
    );
  });

  it("are none where nobody asks for them", () => {
    fc.assert(
      fc.property(course, ([specs, steps]) => {
        const world = new World(specs);
        for (const each of steps) world.take(each);
        const { clients: _clients, ...spec } = server.spec;
        const observed = { ...world.observe(), servers: [{ ...server, spec }] };

        expect(planStalePods(observed).restart).toEqual({ kind: "rest", left: [] });
      }),
    );
  });
});
