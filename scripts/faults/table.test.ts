import { NoPlaceError, parseResults, putTable, toTable, type FaultResult } from "./table";

const kill: FaultResult = { fault: "killed", did: "10 kills", lost: 0, convergedMs: 1_234 };
const fuzz: FaultResult = { fault: "fuzz", did: "a|b", lost: 2 };

const begin = "<!-- faults: begin (npm run test:faults -- --update-docs) -->";
const end = "<!-- faults: end -->";

describe("the table of faults", () => {
  it("has a row for each, sorted, with its figures", () => {
    expect(toTable([kill, fuzz])).toBe(
      [
        "| Fault | What was done | Lost | Converged after |",
        "| --- | --- | --- | --- |",
        "| fuzz | a\\|b | 2 | - |",
        "| killed | 10 kills | 0 | 1.2 s |",
      ].join("\n"),
    );
  });

  it("takes the last result of each fault", () => {
    const lines = [kill, fuzz, { ...kill, lost: 1 }].map((result) => JSON.stringify(result));
    expect(parseResults(`${lines.join("\n")}\n`)).toEqual([{ ...kill, lost: 1 }, fuzz]);
  });

  it("replaces what is between the markers, and nothing else", () => {
    const page = `before\n${begin}\nold\n${end}\nafter\n`;
    const once = putTable(page, "Measured.", [kill]);
    expect(once).toBe(`before\n${begin}\n\nMeasured.\n\n${toTable([kill])}\n\n${end}\nafter\n`);
    expect(putTable(once, "Measured.", [kill])).toBe(once);
  });

  it.each(["", begin, `${end}${begin}`])("finds no place in %j", (page) => {
    expect(() => putTable(page, "Measured.", [kill])).toThrow(NoPlaceError);
  });
});
