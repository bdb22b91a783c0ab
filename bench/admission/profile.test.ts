import { sharesOf, type CpuProfile } from "./profile";

const frame = (functionName: string, url = "") => ({ functionName, url });

const profile: CpuProfile = {
  nodes: [
    { id: 1, callFrame: frame("(root)"), children: [2, 3, 5] },
    { id: 2, callFrame: frame("(idle)") },
    {
      id: 3,
      callFrame: frame("json", "file:///a/node_modules/body-parser/lib/json.js"),
      children: [4],
    },
    { id: 4, callFrame: frame("parse") },
    { id: 5, callFrame: frame("(program)") },
  ],
  startTime: 1_000,
  samples: [5, 2, 3, 4, 5, 5],
  timeDeltas: [10, 10, 10, 20, 10, 10],
};

describe("the shares of a profile", () => {
  it("are of the time that was not idle, and a built-in counts for its caller", () => {
    expect(sharesOf(profile, { fromUs: 1_015, toUs: 1_060 })).toEqual([
      ["Pepr: body (body-parser, raw-body, iconv-lite)", 0.75],
      ["native code (system calls, cryptography, V8)", 0.25],
    ]);
  });

  it("are of the span alone", () => {
    expect(sharesOf(profile, { fromUs: 0, toUs: 1_020 })).toEqual([
      ["native code (system calls, cryptography, V8)", 1],
    ]);
  });
});
