import { judgeLiveness, Liveness, type LivenessFacts } from "./liveness";
import { silentLogger } from "./logger";

const nowMs = 1_000_000;
/** A watch that may be silent for 100 s, of which this many milliseconds are over. */
const watch = (silentMs: number, kind = "Service") => ({
  kind,
  lastSeenMs: nowMs - silentMs,
  limitMs: 100_000,
});
const judge = (facts: Partial<LivenessFacts>) =>
  judgeLiveness({ watches: [], nowMs, answeredMs: nowMs, graceMs: 20_000, ...facts });

describe("a process", () => {
  it.each<[string, Partial<LivenessFacts>]>([
    ["it watches nothing", {}],
    ["all its watches are heard of", { watches: [watch(0), watch(99_000)] }],
    ["a watch is overdue for less than the grace", { watches: [watch(120_000)] }],
    [
      "the API server has not answered since a watch should have been heard of",
      { watches: [watch(900_000)], answeredMs: nowMs - 780_000 },
    ],
  ])("is alive where %s", (_, facts) => {
    expect(judge(facts)).toEqual({ kind: "alive" });
  });

  it("is dead where a watch is overdue, and the API server has answered since", () => {
    const watches = [watch(0, "Secret"), watch(120_001), watch(500_000), watch(120_001, "Node")];

    expect(judge({ watches })).toEqual({ kind: "dead", watches: ["Node", "Service"] });
  });

  it("is dead once the API server answers again, but the watch does not come back", () => {
    const watches = [watch(900_000)];
    const clock = { nowMs: () => nowMs };
    const list = () => watches;
    const log = silentLogger;
    const liveness = new Liveness({ clock, log, watches: { list }, graceMs: 20_000 });

    expect(liveness.check().kind).toBe("alive");
    liveness.noteAnswer();
    expect(liveness.check().kind).toBe("dead");
    watches[0] = watch(0);
    expect(liveness.check().kind).toBe("alive");
  });
});
