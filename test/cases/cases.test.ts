import { join } from "node:path";
import { adapterNames, foldersIn, loadAdapter, modeOf, runCase } from "./runner";

const mode = modeOf(process.env);
const capabilities = foldersIn(__dirname).filter((name) => name !== "adapters");

/** Runs a case; thrown rather than compared, so that the diff is printed as it is. */
async function expectOutcome(capability: string, name: string): Promise<void> {
  const adapter = await loadAdapter(capability);
  const result = await runCase(adapter, join(__dirname, capability, name), mode);
  if (result.kind === "failed") throw new Error(result.message);
}

describe("the folders of cases", () => {
  it("have an adapter each, and every adapter has one", () => {
    expect(adapterNames()).toEqual(capabilities);
  });
});

describe.each(capabilities)("%s", (capability) => {
  const cases = foldersIn(join(__dirname, capability));

  it("has cases", () => {
    expect(cases).not.toEqual([]);
  });

  for (const name of cases) {
    it(`gives the outcome of ${name}`, async () => {
      await expectOutcome(capability, name);
    });
  }
});
