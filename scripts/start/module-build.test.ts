import { isStale } from "./module-build";

describe("a build is needed", () => {
  test.each([
    { when: "an output is missing", outputs: [5, undefined], sources: [1] },
    { when: "there is none at all", outputs: [undefined, undefined], sources: [1] },
    { when: "a source is newer than the older output", outputs: [5, 9], sources: [1, 7] },
  ])("when $when", ({ outputs, sources }) => {
    expect(isStale(outputs, sources)).toBe(true);
  });

  test.each([
    { when: "both outputs are newer", outputs: [8, 9], sources: [1, 7] },
    { when: "they are as old", outputs: [7, 7], sources: [7] },
  ])("not when $when", ({ outputs, sources }) => {
    expect(isStale(outputs, sources)).toBe(false);
  });
});
