import fc from "fast-check";
import { change } from "./exposure-servers/changes";
import { courses, Stage } from "./exposure-servers/course";
import { expectedOutcome, mend, outcomeOf } from "./exposure-servers/outcome";
import { SERVERS } from "./exposure-servers/world";

/** Choices of a mode. */
const [L4, L7] = [1, 2];

describe("the exposure of HostedAPIServers", () => {
  it("keeps its order with every write, and comes to rest, whatever happens", () => {
    fc.assert(
      fc.property(courses, (course) => {
        const stage = new Stage();
        for (const event of course) stage.play(event);
        stage.rest();
        mend(stage.world);
        stage.rest();
        for (const name of SERVERS) {
          const expected = expectedOutcome(stage.world, name) ?? {};
          expect(outcomeOf(stage.world, name)).toMatchObject(expected);
        }
      }),
      {
        numRuns: Number(process.env.FC_RUNS ?? 300),
        ...(process.env.FC_SEED
          ? { seed: Number(process.env.FC_SEED), path: process.env.FC_PATH ?? "" }
          : {}),
      },
    );
  });

  const beginnings = fc.record({
    hosts: fc.nat({ max: 2 }),
    certificates: fc.nat({ max: 1 }),
    kubeconfigs: fc.nat({ max: 1 }),
    isAlone: fc.boolean(),
    isRestarted: fc.boolean(),
    routedPods: fc.nat({ max: 2 }),
  });

  it("is switched between L7 and L4 by one write of the gateway's configuration", () => {
    fc.assert(
      fc.property(beginnings, (beginning) => {
        const stage = new Stage();
        const { world, fairlead } = stage;
        const about = { server: "one", gateway: "istio-a" } as const;
        const choose = (what: string, choice: number): void => {
          change(world, what, { ...about, choice });
        };
        if (!beginning.isAlone) change(world, "create", { ...about, server: "two", choice: 0 });
        choose("choose hosts", beginning.hosts);
        choose("choose certificates", beginning.certificates);
        choose("name kubeconfigs", beginning.kubeconfigs);
        stage.rest();
        for (let count = 0; count < beginning.routedPods; count += 1) choose("start a Pod", 0);
        for (const mode of [L4, L7, L4, L7]) {
          if (beginning.isRestarted) fairlead.restart();
          const before = fairlead.written.length;
          choose("choose a mode", mode);
          stage.rest();
          const written = fairlead.written.slice(before);
          expect(written.filter((write) => !write.includes("ConfigMap"))).toEqual([
            "update Gateway/istio-a/tenant-a-one",
          ]);
          expect(outcomeOf(world, "one")).toMatchObject(expectedOutcome(world, "one") ?? {});
        }
      }),
      { numRuns: 20 },
    );
  });
});
