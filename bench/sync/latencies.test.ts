import { latenciesOf, type Change } from "./latencies";

const change = (tenant: string, version: number, answeredMs: number): Change => ({
  tenant,
  certificate: `${tenant}-${version}`,
  resourceVersion: version,
  answeredMs,
});

const seen = (certificate: string, atMs: number) => ({ certificate, atMs });

describe("how long changes took", () => {
  it("is from the answer until the copy was seen", () => {
    const changes = [change("a", 1, 100), change("b", 2, 105)];
    expect(latenciesOf(changes, [seen("a-1", 130), seen("b-2", 125)])).toEqual([30, 20]);
  });

  it("is until a newer copy, where there is none of the change itself", () => {
    const changes = [change("a", 1, 100), change("a", 2, 110)];
    expect(latenciesOf(changes, [seen("a-2", 150)])).toEqual([50, 40]);
  });

  it("goes by the API server's order, not by that of the answers", () => {
    const changes = [change("a", 7, 100), change("a", 5, 110)];
    expect(latenciesOf(changes, [seen("a-7", 140), seen("a-5", 120)])).toEqual([40, 10]);
  });

  it("is nothing where the copy was seen before the answer", () => {
    expect(latenciesOf([change("a", 1, 100)], [seen("a-1", 99)])).toEqual([0]);
  });

  it("is not told where the last change of a tenant was not copied", () => {
    const changes = [change("a", 1, 100), change("a", 2, 110)];
    expect(() => latenciesOf(changes, [seen("a-1", 120)])).toThrow("was not copied");
  });
});
