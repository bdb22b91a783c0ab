import fc from "fast-check";
import { change } from "./exposure-servers/changes";
import { calmBeginnings, courses, EXAMPLES, Stage } from "./exposure-servers/course";
import { expectedOutcome, mend, outcomeOf } from "./exposure-servers/outcome";
import { SERVERS, type ServerName } from "./exposure-servers/world";

/** Choices of a mode. */
const [L4, L7] = [1, 2];

function expectOutcome({ world }: Stage, name: ServerName): void {
  expect(outcomeOf(world, name)).toMatchObject(expectedOutcome(world, name) ?? {});
}

describe("the exposure of HostedAPIServers", () => {
  it("keeps its order with every write, and comes to rest, whatever happens", () => {
    fc.assert(
      fc.property(courses, ({ beginning, events }) => {
        const stage = new Stage(beginning);
        for (const event of events) stage.play(event);
        stage.rest();
        mend(stage.world);
        stage.rest();
        for (const name of SERVERS) expectOutcome(stage, name);
      }),
      { numRuns: 120, examples: EXAMPLES.map((course) => [course]) },
    );
  });

  it("is switched between L7 and L4 by one write of the gateway's configuration", () => {
    fc.assert(
      fc.property(calmBeginnings, fc.boolean(), (beginning, isRestarted) => {
        const stage = new Stage(beginning);
        const { world, fairlead } = stage;
        for (const choice of [L4, L7, L4, L7]) {
          if (isRestarted) fairlead.restart();
          const before = fairlead.written.length;
          change(world, "choose a mode", { server: "one", gateway: "istio-a", choice });
          stage.rest();
          const written = fairlead.written.slice(before);
          expect(written.filter((write) => !write.includes("ConfigMap"))).toEqual([
            "update Gateway/istio-a/tenant-a-one",
          ]);
          expectOutcome(stage, "one");
        }
      }),
      { numRuns: 15 },
    );
  });
});
