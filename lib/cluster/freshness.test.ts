import { WatchList } from "./freshness";

const minuteMs = 60_000;

function setUp() {
  const time = { nowMs: 1_000_000 };
  const watches = new WatchList({ nowMs: () => time.nowMs });
  return { time, watches, tracker: watches.open("Secret", minuteMs) };
}

describe("the watches' unrest", () => {
  it("is none while all are heard of in time", () => {
    const { time, watches } = setUp();
    time.nowMs += minuteMs;
    expect(watches.isUneasySince(0)).toBe(false);
  });

  it("begins when one breaks, and is over for whoever has looked since", () => {
    const { time, watches, tracker } = setUp();
    tracker.broken(minuteMs);
    expect(watches.isUneasySince(time.nowMs)).toBe(true);
    tracker.heard(minuteMs);
    time.nowMs += 1;
    expect(watches.isUneasySince(time.nowMs - 1)).toBe(true);
    expect(watches.isUneasySince(time.nowMs)).toBe(false);
  });

  it("lasts for as long as one is overdue", () => {
    const { time, watches, tracker } = setUp();
    time.nowMs += minuteMs + 1;
    expect(watches.isUneasySince(time.nowMs)).toBe(true);
    tracker.heard(minuteMs);
    expect(watches.isUneasySince(time.nowMs)).toBe(false);
  });
});
