import { loadPart, partNames, partOrder } from "./parts";

describe("the parts", () => {
  test("are in the order in which they run", () => {
    const places = partNames().map((name) => partOrder.findIndex((one) => one === name));
    expect(places).toEqual([...places].sort((a, b) => a - b));
    expect(partNames()).toEqual(expect.arrayContaining(["start-up", "idle"]));
  });

  test("each load by their name, and have a title", async () => {
    for (const name of partNames()) {
      const part = await loadPart(name);
      expect(part.name).toBe(name);
      expect(part.title).not.toBe("");
    }
  });

  test("are named where another one is asked for", async () => {
    await expect(loadPart("speed")).rejects.toThrow(/there is no part "speed"; there are .*idle/);
  });
});
