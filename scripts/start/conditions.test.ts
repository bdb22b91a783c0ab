import { conditionRows, findStatus } from "./conditions";

const condition = (type: string, message = "Fine.") => ({
  type,
  status: "True" as const,
  reason: type,
  message,
  lastTransitionTime: "2026-01-01T00:00:00Z",
});

describe("conditions", () => {
  test("are in a reader's order, whatever the object's", () => {
    const object = { status: { conditions: ["Ready", "Accepted"].map((type) => condition(type)) } };
    expect(conditionRows(object).map(([type]) => type)).toEqual(["Accepted", "Ready"]);
  });

  test("with a long message go on in rows of their own", () => {
    const message = "A sentence that is so long that it does not fit into the column of messages.";
    const rows = conditionRows({ status: { conditions: [condition("Accepted", message)] } });
    expect(rows).toHaveLength(2);
    expect(rows[1]?.slice(0, 3)).toEqual(["", "", ""]);
    expect(rows.map((row) => row[3]).join(" ")).toBe(message);
  });

  test("that are not there have no status", () => {
    expect(findStatus(undefined, "Ready")).toBeUndefined();
    expect(findStatus({ status: {} }, "Ready")).toBeUndefined();
  });
});
