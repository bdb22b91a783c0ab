import { silentProgress } from "../../test/cluster/progress";
import { chooseByOptions, preparePrograms, ProgramsError } from "./data-plane";

const none = { dataPlane: "run", kubeconfig: undefined, version: undefined } as const;

describe("the data plane is left out", () => {
  test.each([
    ["on request", { ...none, dataPlane: "leave-out" as const }, /--no-data-plane/],
    ["on an existing cluster", { ...none, kubeconfig: "k" }, /not with yours/],
    ["for a version whose controllers are not there", { ...none, version: "1.32" }, /1\.33 or la/],
  ])("%s, and it is said why", (_, options, reason) => {
    const choice = chooseByOptions(options);
    expect(choice).toEqual({
      kind: "left-out",
      reason: [expect.stringMatching(reason) as unknown],
    });
  });

  test.each([none, { ...none, version: "1.36.3" }])(
    "else only this machine can say so",
    (options) => {
      expect(chooseByOptions(options)).toBeUndefined();
    },
  );

  test("a program that can't be had leads to what runs without", async () => {
    const signal = new AbortController().signal;
    const preparing = preparePrograms("1.31", { progress: silentProgress, signal });
    await expect(preparing).rejects.toThrow(ProgramsError);
    await expect(preparing).rejects.toThrow(/--no-data-plane/);
  });

  test("a version that nobody knows is not left out but refused", () => {
    expect(() => chooseByOptions({ ...none, version: "9.9" })).toThrow(/9\.9/);
  });
});
