import { Waves } from "./waves";

const gateway = "istio-ingress/default";

function written(times: Readonly<Record<string, number>>, at = gateway): Waves {
  const waves = new Waves();
  for (const [server, atMs] of Object.entries(times)) waves.wrote(server, { gateway: at, atMs });
  return waves;
}

describe("waves", () => {
  it("wake those that wait and were written before the one that is served", () => {
    const waves = written({ a: 1, b: 2, c: 3, d: 4 });
    for (const server of ["a", "b", "d"]) waves.missed(server);
    expect(waves.served("c")).toEqual(["a", "b"]);
  });

  it("wake nobody twice for the same write", () => {
    const waves = written({ a: 1, b: 2, c: 3 });
    waves.missed("a");
    expect(waves.served("b")).toEqual(["a"]);
    waves.missed("a");
    expect(waves.served("c")).toEqual([]);
  });

  it("wake one again that was written again", () => {
    const waves = written({ a: 1, b: 2, c: 4 });
    waves.missed("a");
    expect(waves.served("b")).toEqual(["a"]);
    waves.wrote("a", { gateway, atMs: 3 });
    waves.missed("a");
    expect(waves.served("c")).toEqual(["a"]);
  });

  it("wake nobody who is served, gone or at another gateway", () => {
    const waves = written({ a: 1, b: 1, c: 3 });
    waves.wrote("elsewhere", { gateway: "other/default", atMs: 1 });
    for (const server of ["a", "b", "elsewhere"]) waves.missed(server);
    waves.served("a");
    waves.forget("b");
    expect(waves.served("c")).toEqual([]);
  });

  it("are nothing to one that nothing was written for", () => {
    const waves = written({ a: 1 });
    waves.missed("unknown");
    expect(waves.served("a")).toEqual([]);
    expect(waves.served("unknown")).toEqual([]);
  });
});
