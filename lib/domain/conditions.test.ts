import { stampCondition } from "./conditions";

const decided = { type: "Ready", status: "True", reason: "Ready", message: "Good." } as const;
const nowMs = Date.parse("2026-11-21T12:00:00.250Z");

describe("a condition", () => {
  it("gets the time when it is set for the first time", () => {
    expect(stampCondition(decided, { current: undefined, generation: 3, nowMs })).toEqual({
      ...decided,
      observedGeneration: 3,
      lastTransitionTime: "2026-11-21T12:00:00Z",
    });
  });

  it("keeps its time while its status does, whatever else changes", () => {
    const lastTransitionTime = "2026-01-01T00:00:00Z";
    const current = [{ ...decided, reason: "Old", message: "Old.", lastTransitionTime }];
    const stamped = stampCondition(decided, { current, generation: 4, nowMs });
    expect(stamped).toEqual({ ...decided, observedGeneration: 4, lastTransitionTime });
  });

  it("gets a new time when its status changes", () => {
    const lastTransitionTime = "2026-01-01T00:00:00Z";
    const current = [{ ...decided, status: "False" as const, lastTransitionTime }];
    const stamped = stampCondition(decided, { current, generation: 4, nowMs });
    expect(stamped.lastTransitionTime).toBe("2026-11-21T12:00:00Z");
  });
});
