import { setTimeout as sleep } from "node:timers/promises";
import { eventually, settled } from "../harness/eventually";
import {
  decode,
  encode,
  hostedAPIServer,
  internalGateway,
  namespace,
  routeConfigMap,
  routedPod,
  service,
} from "../harness/objects";
import { inParallel } from "../harness/parallel";
import { countRequests, type ProcessMode } from "../harness/requests";
import { setStage, START_TIMEOUT_MS, untilCondition, type Stage } from "../harness/stage";
import {
  issuedCertificates,
  issueServer,
  makeTenantKeys,
  sourceObjects,
  type TenantKeys,
} from "../harness/tenant";
import { changeUnrelatedSecret, createUnrelatedSecrets } from "../harness/unrelated";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(300_000);

const admissions = 200;
const idleMs = 15_000;
/** Pepr opens its stores one after the other, each after up to 3 s. */
const peprStartMs = 6_000;
/** Longer than Pods are counted late, `Ready` is written late, and a watch that broke waits before it starts again. */
const restMs = 6_000;
const unrelatedSecrets = 10_000;
const maxRssBytes = 256 * 1024 * 1024;
const gateway = "istio-ingress";
const tenant = "tenant";

describe("requests to the API server, counted by its audit log", () => {
  let stage: Stage;
  let keys: TenantKeys;

  /** Counting the Pods of a namespace that has a HostedAPIServer: once for all that came in a burst. */
  const isCount = (line: string): boolean =>
    line.startsWith(`list /api/v1/namespaces/${tenant}/pods`) ||
    (line.startsWith("patch ") && line.includes("fieldManager=fairlead-stale-pods"));

  /** What both processes asked for since a moment, reads of /version aside. */
  const requestsSince = async (since: Date): Promise<readonly string[]> => {
    const modes: readonly ProcessMode[] = ["admission", "watch"];
    const counts = await Promise.all(
      modes.map(async (mode) => countRequests(stage.cluster, mode, { since })),
    );
    return counts.flatMap(({ writes, reads }) => [...writes, ...reads]);
  };

  const untilQuiet = async (quietMs = restMs): Promise<void> => {
    const since = new Date();
    await settled(async () => requestsSince(since), { quietMs });
  };

  /** Renews the tenant's certificate and waits for the copy: everything before has been seen by then. */
  const followRenewal = async (): Promise<void> => {
    const { certificatePem, privateKeyPem } = await issueServer(keys.serverCA, tenant);
    await stage.api.patch(
      { kind: "Secret", namespace: tenant, name: "kube-apiserver" },
      { data: encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem }) },
    );
    await eventually(async () => {
      const secrets = await stage.api.list("Secret", gateway, "fairlead.dev/use=server");
      if (decode(secrets[0]).cert !== certificatePem) throw new Error("the copy is behind");
    });
  };

  beforeAll(async () => {
    keys = await makeTenantKeys(tenant);
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      objects: [
        namespace(gateway),
        namespace(tenant),
        ...sourceObjects(tenant, keys),
        routeConfigMap(tenant, { hosts: "api.example.com", "istio-namespace": gateway }),
      ],
    });
    await stage.api.createAll([
      internalGateway(gateway),
      hostedAPIServer(tenant, "main", {
        certificates: issuedCertificates,
        topologyAware: { enabled: true },
      }),
    ]);
    await untilCondition(
      stage.api,
      { namespace: tenant },
      { type: "CredentialsSynced", status: "True" },
    );
    await untilCondition(
      stage.api,
      { namespace: tenant },
      { type: "TopologyAware", reason: "L7Active" },
    );
    // Written last, and later than what it is made from: without Istio it is not.
    await untilCondition(stage.api, { namespace: tenant }, { type: "Ready", status: "False" });
    await untilQuiet(peprStartMs);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it(`are none but a few counts for ${admissions} Pods that are routed, tried or created`, async () => {
    const since = new Date();
    const aliased: boolean[] = [];
    await inParallel(Array(admissions).keys(), 8, async (index) => {
      const pod = routedPod(tenant, `pod-${index}`);
      const { body } = await (index % 2 === 0 ? stage.api.tryToCreate(pod) : stage.api.create(pod));
      aliased.push(body.spec?.hostAliases !== undefined);
    });
    expect(aliased).toEqual(Array(admissions).fill(true));
    await untilQuiet();
    const requests = await requestsSince(since);
    expect(requests.filter((line) => !isCount(line))).toEqual([]);
    // Pods in their hundreds are counted together.
    expect(requests.length).toBeLessThan(admissions / 5);
  });

  it(`are none for ${admissions} Services that are set, tried or created`, async () => {
    const since = new Date();
    const values: unknown[] = [];
    await inParallel(Array(admissions).keys(), 8, async (index) => {
      const base = service("default", `service-${index}`);
      const labels = { "fairlead.dev/topology-aware": "true" };
      const object = { ...base, metadata: { ...base.metadata, labels } };
      const { body } = await (index % 2 === 0
        ? stage.api.tryToCreate(object)
        : stage.api.create(object));
      values.push(body.spec?.trafficDistribution);
    });
    expect(values).toEqual(Array(admissions).fill("PreferSameZone"));
    await followRenewal();
    const others = (await requestsSince(since)).filter((line) => line.includes("/services"));
    expect(others).toEqual([]);
    await untilQuiet();
  });

  it("are none while nothing happens", async () => {
    const since = new Date();
    await sleep(idleMs);
    expect(await requestsSince(since)).toEqual([]);
  });

  it(`are none when one of ${unrelatedSecrets} unrelated Secrets of 10 KiB changes`, async () => {
    await createUnrelatedSecrets(stage.api, unrelatedSecrets);
    await untilQuiet();
    const since = new Date();
    for (let index = 0; index < 20; index += 1) await changeUnrelatedSecret(stage.api, index);
    await sleep(1_000);
    expect(await requestsSince(since)).toEqual([]);
    // The process is there and listens: a Secret that matters is followed.
    await followRenewal();
    const writes = (await requestsSince(since)).filter((line) => !/^(get|watch|list) /.test(line));
    expect(writes.every((line) => line.includes(tenant) || line.includes(gateway))).toBe(true);
    expect(stage.fairlead.watch.rssBytes()).toBeLessThan(maxRssBytes);
  });

  it("are the lists and watches of a start only, when the watch process starts in a cluster at rest", async () => {
    await untilQuiet();
    await stage.fairlead.watch.stop();
    const since = new Date();
    await stage.fairlead.watch.start();
    await untilQuiet(peprStartMs);
    const { writes } = await countRequests(stage.cluster, "watch", { since });
    // Pepr's own, which its controller makes at every start.
    expect(writes.filter((line) => !line.includes("/peprstores/"))).toEqual([]);
    expect(stage.fairlead.watch.rssBytes()).toBeLessThan(maxRssBytes);
  });
});
