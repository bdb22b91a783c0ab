import { silentLogger, type Clock } from "../../lib/cluster";
import {
  serverAddresses,
  VersionSource,
  type ServerAddress,
  type VersionReader,
} from "./version-source";

const settings = { settleMs: 120_000, intervalMs: 60_000, restMs: 300_000 };
const info = (minor: number) => ({
  major: "1",
  minor: String(minor),
  gitVersion: `v1.${minor}.0`,
});

/** A clock that jumps to its next timer. */
function stepClock() {
  const timers = new Set<{ run: () => void; dueMs: number }>();
  let now = 0;
  const clock: Clock = {
    nowMs: () => now,
    after: (delayMs, run) => {
      const timer = { run, dueMs: now + delayMs };
      timers.add(timer);
      return () => timers.delete(timer);
    },
  };
  const next = async (): Promise<number> => {
    const [due] = [...timers].sort((a, b) => a.dueMs - b.dueMs);
    if (due === undefined) throw new Error("no timer is set");
    timers.delete(due);
    const waitedMs = due.dueMs - now;
    now = due.dueMs;
    due.run();
    await settled();
    return waitedMs;
  };
  return { clock, next, hasTimer: () => timers.size > 0 };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

function setUp(addressesOf: Promise<readonly ServerAddress[]> = Promise.resolve([])) {
  const { clock, next, hasTimer } = stepClock();
  const asked: string[] = [];
  const servers: { general: (() => number)[]; at: Record<string, number> } = {
    general: [],
    at: {},
  };
  const unrest = { since: -1 };
  let turn = 0;
  const reader: VersionReader = {
    version: ({ fresh } = {}) => {
      asked.push(fresh === true ? "fresh" : "kept");
      const answer = servers.general[turn % servers.general.length];
      turn += 1;
      return answer === undefined
        ? Promise.reject(new Error("nobody is there"))
        : Promise.resolve(info(answer()));
    },
    versionAt: (host, port) => {
      asked.push(`${host}:${port}`);
      const minor = servers.at[host];
      return minor === undefined
        ? Promise.reject(new Error("unreachable"))
        : Promise.resolve(info(minor));
    },
  };
  const source = new VersionSource({
    reader,
    addresses: () => addressesOf,
    clock,
    log: silentLogger,
    settings,
    isUneasySince: (sinceMs) => unrest.since >= sinceMs,
    random: () => 0.5,
  });
  return { source, servers, asked, unrest, next, hasTimer };
}

describe("the source of the version", () => {
  it("asks eight times on new connections at first, so that a load balancer shows more than one", async () => {
    const { source, servers, asked } = setUp();
    servers.general = [() => 34, () => 33, () => 34];
    source.start();
    await source.ready;

    expect(asked).toEqual(Array.from({ length: 8 }, () => "fresh"));
    expect(source.minor).toBe(33);
  });

  it("asks the API servers at their own addresses and ignores the unreachable", async () => {
    const { source, servers, asked } = setUp(
      Promise.resolve([
        { address: "10.0.0.1", port: 6443 },
        { address: "10.0.0.2", port: 6443 },
      ]),
    );
    servers.general = [() => 34];
    servers.at = { "10.0.0.2": 33 };
    source.start();
    await source.ready;

    expect(asked).toEqual(expect.arrayContaining(["10.0.0.1:6443", "10.0.0.2:6443"]));
    expect(source.minor).toBe(33);
  });

  it("does not wait for the addresses for ever", async () => {
    const { source, servers, asked, next } = setUp(new Promise(() => undefined));
    servers.general = [() => 34];
    source.start();
    await settled();
    expect(asked).toEqual([]);

    await expect(next()).resolves.toBe(5_000);
    expect(source.minor).toBe(34);
  });

  it("looks once an interval once a change is on its way, and tells of a change alone", async () => {
    const { source, servers, asked, next } = setUp();
    let minor = 33;
    servers.general = [() => minor];
    const changes: (number | undefined)[] = [];
    source.onChange(() => changes.push(source.minor));
    source.start();
    await source.ready;
    await settled();
    minor = 34;
    const waits: number[] = [];
    for (let interval = 0; interval < 7; interval += 1) waits.push(await next());

    expect(waits).toEqual(Array.from({ length: 7 }, () => 60_000));
    // After five intervals of rest, and in the two after that.
    expect(asked).toHaveLength(8 + 3 * 3);
    expect(changes).toEqual([33, 34]);
  });

  it("looks less often while all agree and nothing hints at another server", async () => {
    const { source, servers, asked, next } = setUp();
    servers.general = [() => 34];
    source.start();
    await source.ready;
    await settled();
    for (const _minute of [1, 2, 3, 4]) await next();
    expect(asked).toHaveLength(8);

    await next();
    expect(asked).toHaveLength(8 + 3);
  });

  it("looks at the next interval's end once a watch has broken", async () => {
    const { source, servers, asked, unrest, next } = setUp();
    servers.general = [() => 34];
    source.start();
    await source.ready;
    await settled();
    await next();
    unrest.since = 60_000;
    await next();
    expect(asked).toHaveLength(8 + 3);

    await next();
    expect(asked).toHaveLength(8 + 3);
  });

  it("looks every interval while the servers do not agree", async () => {
    const { source, servers, asked, next } = setUp();
    servers.general = [() => 34, () => 33];
    source.start();
    await source.ready;
    await settled();
    for (const _minute of [1, 2, 3]) await next();

    expect(source.minor).toBe(33);
    expect(asked).toHaveLength(8 + 3 * 3);
  });

  it("tries again soon while no API server answers", async () => {
    const { source, servers, next } = setUp();
    source.start();
    await settled();
    const waits = [await next(), await next()];
    servers.general = [() => 34];
    waits.push(await next());

    expect(waits).toEqual([2_000, 4_000, 8_000]);
    expect(source.minor).toBe(34);
  });

  it("reads at once when it is asked to, and two wishes are one read", async () => {
    const { source, servers, asked } = setUp();
    let minor = 34;
    servers.general = [() => minor];
    source.start();
    await source.ready;
    await settled();
    minor = 33;
    await Promise.all([source.refresh(), source.refresh()]);

    expect(asked).toHaveLength(8 + 3);
    expect(source.minor).toBe(33);
  });

  it("sets no timer once it was stopped", async () => {
    const { source, servers, hasTimer } = setUp();
    servers.general = [() => 34];
    source.start();
    await source.ready;
    source.stop();
    await settled();

    expect(hasTimer()).toBe(false);
  });
});

describe("the addresses of API servers", () => {
  const slice = (addresses: readonly string[]) => ({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name: "kubernetes", namespace: "default" },
    endpoints: addresses.map((address) => ({ addresses: [address] })),
    ports: [{ name: "https", port: 6443 }],
  });

  it("are those of the slices", () => {
    expect(serverAddresses([slice(["10.0.0.1"]), slice(["fd00::1"])])).toEqual([
      { address: "10.0.0.1", port: 6443 },
      { address: "fd00::1", port: 6443 },
    ]);
  });

  it("are asked even where there is one, since the kubeconfig may lead to another", () => {
    expect(serverAddresses([slice(["10.0.0.1"])])).toEqual([{ address: "10.0.0.1", port: 6443 }]);
  });
});
