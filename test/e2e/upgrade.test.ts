import { networkInterfaces } from "node:os";
import { startCluster, type EmbeddedCluster } from "../cluster";
import { Api, type AnyObject } from "../harness/api";
import { eventually } from "../harness/eventually";
import { startFairlead, type Fairlead } from "../harness/fairlead";
import { endpointSlice, hostedAPIServer, namespace, node, service } from "../harness/objects";
import { reachedAt } from "../harness/reach";
import { speak, START_TIMEOUT_MS } from "../harness/stage";
import { inTurn, startTcpProxy, type TcpProxy } from "../harness/tcp-proxy";

// Some sixty runs of kubectl, one after the other.
jest.setTimeout(300_000);

// Any before 1.34 does, which knows no PreferSameZone; this one is built for other tests anyway.
const oldVersion = "1.31.14";
const newVersion = "1.34.4";
const rounds = 6;
const controlPlane = "control-plane";
const named = ["etcd-main-client", "etcd-events-client", "vpa-webhook"];
/** An EndpointSlice takes no loopback address, so the API servers get one of this machine's own. */
const ownAddress = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .find(({ family, internal }) => family === "IPv4" && !internal)?.address;
const whereAddressed = ownAddress === undefined ? it.skip : it;

const distributionOf = ({ spec }: AnyObject): unknown => spec?.trafficDistribution;

describe("two API servers of different versions on one etcd, as in an upgrade", () => {
  let older: EmbeddedCluster;
  let newer: EmbeddedCluster;
  let api: Api;
  let fairlead: Fairlead | undefined;
  let proxies: TcpProxy[] = [];

  const env = {
    FAIRLEAD_VERSION_SETTLE_SECONDS: "2",
    FAIRLEAD_VERSION_INTERVAL_SECONDS: "0.2",
  };

  const listen = async (...args: Parameters<typeof startTcpProxy>): Promise<TcpProxy> => {
    const proxy = await startTcpProxy(...args);
    proxies.push(proxy);
    return proxy;
  };

  const start = async (cluster: EmbeddedCluster): Promise<void> => {
    fairlead = await startFairlead(cluster, { env });
    const ref = { kind: "HostedAPIServer", namespace: controlPlane, name: "main" } as const;
    // fairlead has waited until one API server serves its kinds; this may be the other one.
    await eventually(async () => {
      if ((await api.find(ref)) !== undefined) return;
      await api.create(hostedAPIServer(controlPlane, "main", { topologyAware: { enabled: true } }));
    });
  };

  /** Creates and updates Services through both API servers in turn. @returns What kubectl was refused. */
  const work = async (): Promise<readonly string[]> => {
    const refused: string[] = [];
    const run = async (cluster: EmbeddedCluster, args: readonly string[], input?: object) => {
      const { exitCode, stderr } = await cluster.kubectl(
        args,
        input === undefined ? {} : { input: JSON.stringify(input) },
      );
      if (exitCode !== 0) refused.push(`${cluster.version}: ${stderr}`);
    };
    for (let round = 0; round < rounds; round += 1) {
      const [first, second] = round % 2 === 0 ? [older, newer] : [newer, older];
      for (const name of named) {
        await run(first, ["apply", "-f", "-"], service(controlPlane, name));
        await run(second, ["annotate", "service", name, "-n", controlPlane, `round=${round}`]);
        await run(first, ["delete", "service", name, "-n", controlPlane]);
      }
    }
    for (const name of named) await run(older, ["apply", "-f", "-"], service(controlPlane, name));
    return refused;
  };

  const expectNothingRefused = async (): Promise<void> => {
    const refused = await work();
    if (refused.length > 0) throw new Error(`${refused.length} refused:\n${refused.join("")}`);
  };

  /** Waits until new Services get the value. */
  const untilDecided = async (value: string): Promise<void> =>
    eventually(async () => {
      const { body } = await api.tryToCreate(service(controlPlane, "gardener-resource-manager"));
      const decided = distributionOf(body);
      if (decided !== value) throw new Error(`a new Service gets ${String(decided)}`);
    });

  const expectEvery = async (value: string): Promise<void> =>
    eventually(async () => {
      const found = await Promise.all(
        named.map((name) => api.find({ kind: "Service", namespace: controlPlane, name })),
      );
      const values = found.map((one) => (one === undefined ? "absent" : distributionOf(one)));
      if (values.some((seen) => seen !== value)) {
        throw new Error(`should all have ${value}: ${named.join()} have ${values.join()}`);
      }
    });

  beforeAll(async () => {
    older = await startCluster({ version: oldVersion });
    newer = await startCluster({ version: newVersion, beside: older });
    api = new Api(newer);
    await api.createAll([node("a", "zone-a"), node("b", "zone-b"), namespace(controlPlane)]);
  }, START_TIMEOUT_MS);

  afterEach(async () => {
    await fairlead?.stop();
    for (const proxy of proxies) await proxy.close();
    proxies = [];
    for (const name of named) await api.remove({ kind: "Service", namespace: controlPlane, name });
  });

  afterAll(async () => {
    api.close();
    await newer.stop();
    await older.stop();
  });

  it("refuse no Service when fairlead asks the old one", async () => {
    await start(older);
    await expectNothingRefused();
    await expectEvery("PreferClose");
  });

  it("refuse no Service once fairlead has seen both behind a load balancer", async () => {
    // One for each process: two that ask in step would else always be led to the same server each.
    const balanced = reachedAt(newer, async () => {
      const ports = [newer.apiServer.port, older.apiServer.port];
      return `https://127.0.0.1:${(await listen(inTurn(ports))).port}`;
    });
    await start(balanced);
    await untilDecided("PreferClose");
    await expectNothingRefused();
    await expectEvery("PreferClose");
  });

  whereAddressed(
    "refuse no Service when fairlead asks the new one and knows the old one's address",
    async () => {
      const slices = await Promise.all(
        [older, newer].map(async ({ apiServer, version }) => {
          const { port } = await listen(() => apiServer.port, ownAddress);
          const addresses = [ownAddress ?? ""];
          return endpointSlice("default", "kubernetes", { name: `at-${version}`, addresses, port });
        }),
      );
      await api.createAll(slices);
      await start(newer);
      await expectNothingRefused();
      await expectEvery("PreferClose");
      for (const { metadata } of slices) {
        await api.remove({
          kind: "EndpointSlice",
          namespace: "default",
          name: metadata.name ?? "",
        });
      }
    },
  );

  it("are followed up once only the new one answers, and down at once, existing Services too", async () => {
    let ports = [older.apiServer.port, newer.apiServer.port];
    let turn = 0;
    const balanced: TcpProxy[] = [];
    /** As when an API server leaves or joins: its connections end, new ones are led to those that are there. */
    const lead = (to: readonly EmbeddedCluster[]): void => {
      ports = to.map(({ apiServer }) => apiServer.port);
      for (const proxy of balanced) proxy.cutOff();
    };
    const cluster = reachedAt(newer, async () => {
      const proxy = await listen(() => ports[(turn += 1) % ports.length] ?? 0);
      balanced.push(proxy);
      return `https://127.0.0.1:${proxy.port}`;
    });
    lead([older]);
    await start(cluster);
    const { kubectl } = speak(newer);
    for (const name of named) await kubectl(["apply", "-f", "-"], service(controlPlane, name));
    await expectEvery("PreferClose");

    lead([newer]);
    await expectEvery("PreferSameZone");
    await untilDecided("PreferSameZone");

    lead([older]);
    await expectEvery("PreferClose");
    await untilDecided("PreferClose");
    await expectNothingRefused();
  });
});
