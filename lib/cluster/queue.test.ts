import fc from "fast-check";
import type { Clock } from "./clock";
import { ApiError, TerminalError } from "./errors";
import { silentLogger } from "./logger";
import { createQueue, type Outcome, type Queue } from "./queue";

interface ManualClock extends Clock {
  advance(ms: number): void;
}

function manualClock(): ManualClock {
  let nowMs = 0;
  const timers = new Set<{ dueMs: number; run: () => void }>();
  return {
    nowMs: () => nowMs,
    after: (delayMs, run) => {
      const timer = { dueMs: nowMs + delayMs, run };
      timers.add(timer);
      return () => timers.delete(timer);
    },
    advance: (ms) => {
      nowMs += ms;
      for (const timer of [...timers].filter(({ dueMs }) => dueMs <= nowMs)) {
        timers.delete(timer);
        timer.run();
      }
    },
  };
}

const done: Outcome = { kind: "done" };
const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

function queueOf(reconcile: (key: string) => Promise<Outcome>): {
  queue: Queue;
  clock: ManualClock;
} {
  const clock = manualClock();
  return { clock, queue: createQueue({ name: "test", reconcile, clock, log: silentLogger }) };
}

describe("a key that is added many times", () => {
  it("is worked on once", async () => {
    const seen: string[] = [];
    const { queue } = queueOf((key) => {
      seen.push(key);
      return Promise.resolve(done);
    });
    for (let i = 0; i < 100; i += 1) queue.add("a");
    await turn();
    await queue.idle();
    expect(seen).toEqual(["a"]);
    expect(queue.depth()).toEqual({ ready: 0, running: 0, waiting: 0 });
  });

  it("is worked on again when it was added while it was worked on, and never twice at once", async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const { queue } = queueOf(async () => {
      running += 1;
      most = Math.max(most, running);
      runs += 1;
      if (runs === 1) queue.add("a");
      await turn();
      running -= 1;
      return done;
    });
    queue.add("a");
    await turn();
    await queue.idle();
    expect({ runs, most }).toEqual({ runs: 2, most: 1 });
  });
});

describe("a key that failed", () => {
  it("is tried again after a wait that grows to a cap, for ever", async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      return Promise.reject(new Error("no"));
    });
    queue.add("a");
    await turn();
    await turn();
    for (let i = 0; i < 50; i += 1) {
      expect(queue.depth().waiting).toBe(1);
      clock.advance(30_000);
      await turn();
      await turn();
    }
    expect(runs).toBe(51);
  });

  it("keeps its wait however often it is added meanwhile: no hot loop", async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      for (let i = 0; i < 10; i += 1) queue.add("a");
      return Promise.reject(new Error("no"));
    });
    queue.add("a");
    for (let i = 0; i < 20; i += 1) await turn();
    expect(runs).toBe(1);
    clock.advance(30_000);
    for (let i = 0; i < 20; i += 1) await turn();
    expect(runs).toBe(2);
  });

  it("waits as long as the server asked", async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      const options = { status: 429, reason: "TooManyRequests", retryAfterMs: 60_000 };
      return runs === 1 ? Promise.reject(new ApiError("busy", options)) : Promise.resolve(done);
    });
    queue.add("a");
    await turn();
    await turn();
    clock.advance(59_000);
    await turn();
    expect(runs).toBe(1);
    clock.advance(1_000);
    await turn();
    expect(runs).toBe(2);
  });

  it("waits for its inputs to change when a retry can't mend it", async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      return Promise.reject(new TerminalError("no"));
    });
    queue.add("a");
    await turn();
    await turn();
    clock.advance(86_400_000);
    await turn();
    expect(runs).toBe(1);
    queue.add("a");
    await turn();
    expect(runs).toBe(2);
  });
});

describe("a key that is to be looked at later", () => {
  it("is looked at then, and the earlier of two wishes counts", async () => {
    let runs = 0;
    const { queue, clock } = queueOf(() => {
      runs += 1;
      return Promise.resolve(runs === 1 ? { kind: "again", afterMs: 1_000 } : done);
    });
    queue.add("a", 5_000);
    queue.add("a", 2_000);
    clock.advance(2_000);
    await turn();
    await turn();
    expect(runs).toBe(1);
    clock.advance(999);
    await turn();
    expect(runs).toBe(1);
    clock.advance(1);
    await turn();
    expect(runs).toBe(2);
  });
});

describe("whatever order keys are added in", () => {
  it("every key is worked on after its last addition", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.boolean()), { maxLength: 60 }),
        async (steps) => {
          let tick = 0;
          const added = new Map<string, number>();
          const started = new Map<string, number>();
          const { queue } = queueOf(async (key) => {
            started.set(key, (tick += 1));
            await turn();
            return done;
          });
          for (const [key, pause] of steps) {
            added.set(key, (tick += 1));
            queue.add(key);
            if (pause) await turn();
          }
          await turn();
          await queue.idle();
          for (const [key, at] of added) expect(started.get(key)).toBeGreaterThan(at);
        },
      ),
      { numRuns: 100 },
    );
  });
});
