import { setTimeout as sleep } from "node:timers/promises";
import { createCA } from "../cluster";
import { Refusal, type AnyObject, type Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import {
  decode,
  encode,
  internalGateway,
  namespace,
  routeConfigMap,
  routedPod,
  secret,
  service,
} from "../harness/objects";
import { randomFrom } from "../harness/random";
import { setStage, START_TIMEOUT_MS, untilCondition, type Stage } from "../harness/stage";
import {
  examineDerived,
  issueServer,
  makeTenantKeys,
  tenantObjects,
  type TenantKeys,
} from "../harness/tenant";
import { LARGE_CASES_VERSION } from "./versions";

jest.setTimeout(600_000);

const gateway = "istio-ingress";
const kills = 8;
/** Longer than the half minute after which Pepr's own watches give up. */
const longOutageMs = 45_000;
/** What failed during an outage is tried again half a minute later, and what was asked then may hang as long. */
const patience = { timeoutMs: 120_000 };
/** The tenant, which does not exist, that labels of somebody else's Secret name. */
const lookalikeOwner = "gone";
const tenants = ["tenant-1", "tenant-2", "tenant-3", "tenant-4"];

describe("after a restart", () => {
  let stage: Stage;
  const keysOf = new Map<string, TenantKeys>();
  const foreign: AnyObject[] = [];

  const refTo = (kind: Ref["kind"], inNamespace: string, name: string): Ref => ({
    kind,
    namespace: inNamespace,
    name,
  });

  const renew = async (tenant: string): Promise<void> => {
    const keys = keysOf.get(tenant);
    if (keys === undefined) throw new Error(`no keys of ${tenant}`);
    const { certificatePem, privateKeyPem } = await issueServer(keys.serverCA, tenant);
    await stage.api.patch(refTo("Secret", tenant, "kube-apiserver"), {
      data: encode({ "tls.crt": certificatePem, "tls.key": privateKeyPem }),
    });
  };

  const changeClientCA = async (tenant: string): Promise<void> => {
    const { certificatePem } = await createCA({ commonName: "clients" });
    await stage.api.patch(refTo("ConfigMap", tenant, "ca-client"), {
      data: { "ca.crt": certificatePem },
    });
  };

  const removeServer = async (tenant: string): Promise<void> =>
    stage.api.remove(refTo("HostedAPIServer", tenant, "main"));

  const addServer = async (tenant: string): Promise<void> => {
    const keys = keysOf.get(tenant);
    const existing = await stage.api.find(refTo("HostedAPIServer", tenant, "main"));
    if (keys === undefined || existing !== undefined) return;
    const hapi = tenantObjects(tenant, keys).find(({ kind }) => kind === "HostedAPIServer");
    if (hapi !== undefined) await stage.api.create(hapi);
  };

  const setEnabled = async (tenant: string, enabled: boolean): Promise<void> => {
    try {
      await stage.api.patch(refTo("HostedAPIServer", tenant, "main"), {
        spec: { topologyAware: { enabled } },
      });
    } catch (error) {
      // It is not there just now.
      if (!(error instanceof Refusal && error.code === 404)) throw error;
    }
  };

  /** Everything is as the sources and specs ask for, and nothing is left of what is not there any more. */
  const untilConverged = async (): Promise<void> => {
    const servers = await eventually(async () => {
      const all = await stage.api.list("HostedAPIServer");
      expect(all.filter(({ metadata }) => metadata.deletionTimestamp !== undefined)).toEqual([]);
      return all;
    }, patience);
    for (const { metadata } of servers) {
      const { namespace: tenant = "" } = metadata;
      const synced = {
        type: "CredentialsSynced",
        status: "True",
        observedGeneration: metadata.generation ?? 0,
      };
      await eventually(
        async () => untilCondition(stage.api, { namespace: tenant }, synced),
        patience,
      );
      await eventually(async () => {
        const hapi = await stage.api.get(refTo("HostedAPIServer", tenant, "main"));
        const { server = "", proxyClient = "" } = hapi.status?.credentials as Record<
          string,
          string
        >;
        const [copy, source, bundle] = await Promise.all([
          stage.api.get(refTo("Secret", gateway, server)),
          stage.api.get(refTo("Secret", tenant, "kube-apiserver")),
          stage.api.get(refTo("ConfigMap", tenant, "ca-client")),
        ]);
        const wanted = decode(source);
        expect(decode(copy).cert).toBe(wanted["tls.crt"]);
        expect(decode(copy).cacert).toBe(bundle.data?.["ca.crt"]);
        const secrets = await stage.api.list("Secret", gateway, `fairlead.dev/namespace=${tenant}`);
        expect(secrets.map((one) => one.metadata.name).sort()).toEqual(
          [server, proxyClient].sort(),
        );
        expect(secrets.map(examineDerived).every((one) => one.belongsTogether)).toBe(true);
        const { spec } = await stage.api.get(refTo("Service", tenant, "etcd-main-client"));
        const { enabled } = hapi.spec?.topologyAware as { enabled?: boolean };
        expect(spec?.trafficDistribution).toBe(enabled === true ? "PreferSameZone" : undefined);
      }, patience);
    }
    const known = new Set(servers.map(({ metadata }) => metadata.namespace));
    await eventually(async () => {
      const secrets = await stage.api.list(
        "Secret",
        gateway,
        "app.kubernetes.io/managed-by=fairlead",
      );
      const owners = secrets.map(({ metadata }) => metadata.labels?.["fairlead.dev/namespace"]);
      expect(owners.filter((owner) => !known.has(owner))).toEqual([lookalikeOwner]);
    }, patience);
  };

  const expectForeignUntouched = async (): Promise<void> => {
    for (const object of foreign) {
      const { kind, metadata } = object;
      const ref = refTo(kind as Ref["kind"], metadata.namespace ?? "", metadata.name ?? "");
      expect(await stage.api.get(ref)).toEqual(object);
    }
  };

  beforeAll(async () => {
    stage = await setStage({
      version: LARGE_CASES_VERSION,
      objects: [namespace(gateway), namespace("routed")],
      fairlead: { env: { FAIRLEAD_DRAIN_SECONDS: "1" } },
    });
    const { api } = stage;
    await api.create(internalGateway(gateway));
    for (const tenant of tenants) {
      const keys = await makeTenantKeys(tenant);
      keysOf.set(tenant, keys);
      await api.createAll([...tenantObjects(tenant, keys), service(tenant, "etcd-main-client")]);
    }
    // Things that look much like fairlead's own, and are not.
    const marks = {
      "app.kubernetes.io/managed-by": "fairlead",
      "fairlead.dev/namespace": lookalikeOwner,
    };
    const lookalikes = [
      secret(gateway, "theirs", { cert: "theirs" }),
      secret(gateway, `${lookalikeOwner}-main-tls-0123456789`, { cert: "theirs" }),
      service(gateway, "theirs"),
    ];
    for (const object of lookalikes) foreign.push((await api.create(object)).body);
    const copied = secret(gateway, "copied-labels", { cert: "theirs" });
    const labels = { ...marks, "fairlead.dev/name": "main", "fairlead.dev/use": "server" };
    const { body } = await api.create({ ...copied, metadata: { ...copied.metadata, labels } });
    foreign.push(body);
    await eventually(async () =>
      api.get(refTo("Service", gateway, "istio-ingressgateway-internal")),
    );
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    await stage.stop();
  });

  it(`of the watch process, killed at ${kills} random moments of change, everything converges and nothing foreign is touched`, async () => {
    const random = randomFrom(20_261_121);
    const pick = (): string => tenants[Math.floor(random() * tenants.length)] ?? "";
    const changes: readonly ((tenant: string) => Promise<void>)[] = [
      renew,
      changeClientCA,
      removeServer,
      addServer,
      async (tenant) => setEnabled(tenant, true),
      async (tenant) => setEnabled(tenant, false),
    ];
    for (let kill = 0; kill < kills; kill += 1) {
      const changing = (async () => {
        for (let index = 0; index < 6; index += 1) {
          await changes[Math.floor(random() * changes.length)]?.(pick());
        }
      })();
      await sleep(random() * 300);
      await stage.fairlead.watch.stop("SIGKILL");
      await changing;
      await stage.fairlead.watch.start();
    }
    await untilConverged();
    await expectForeignUntouched();
  });

  it("of the watch process, what was deleted meanwhile is swept", async () => {
    const [tenant = ""] = tenants;
    await addServer(tenant);
    await untilConverged();
    const ref = refTo("HostedAPIServer", tenant, "main");
    await stage.fairlead.watch.stop();
    await stage.api.remove(ref);
    // Somebody lost patience and took the finalizers away.
    await stage.api.patch(ref, { metadata: { finalizers: null } });
    await eventually(async () => {
      expect(await stage.api.find(ref)).toBeUndefined();
    });
    await stage.fairlead.watch.start();
    await eventually(async () => {
      expect(await stage.api.list("Secret", gateway, `fairlead.dev/namespace=${tenant}`)).toEqual(
        [],
      );
    }, patience);
    await expectForeignUntouched();
    await addServer(tenant);
    await untilConverged();
  });

  it.each<[string, NodeJS.Signals, number]>([
    ["short", "SIGTERM", 0],
    ["long", "SIGKILL", longOutageMs],
  ])("of the API server after a %s outage, both processes go on by themselves", async (...args) => {
    const [, signal, outageMs] = args;
    const { admission, watch } = stage.fairlead;
    const before = [admission.pid, watch.pid];
    const [tenant = ""] = tenants;
    await stage.cluster.apiServer.stop(signal);
    await sleep(outageMs);
    await stage.cluster.apiServer.start();
    const readyMs = Date.now();
    await renew(tenant);
    await setEnabled(tenant, true);
    await untilConverged();
    const route = { hosts: `api-${outageMs}.example.com`, "istio-namespace": gateway };
    const ref = refTo("ConfigMap", "routed", "istio-internal-load-balancing");
    if ((await stage.api.find(ref)) === undefined) {
      await stage.api.create(routeConfigMap("routed", route));
    } else await stage.api.patch(ref, { data: route });
    // The admission process' own watches are there again too.
    await eventually(async () => {
      const { body } = await stage.api.tryToCreate(routedPod("routed", "component"));
      const aliases = body.spec?.hostAliases as readonly { hostnames: readonly string[] }[];
      expect(aliases[0]?.hostnames).toEqual([route.hosts]);
    }, patience);
    process.stderr.write(
      `API server away for ${outageMs} ms (${signal}): all in line ${Date.now() - readyMs} ms after it was ready\n`,
    );
    expect([admission.pid, watch.pid]).toEqual(before);
    expect([admission.isRunning(), watch.isRunning()]).toEqual([true, true]);
    await expectForeignUntouched();
  });

  it("of everything, in any order: both processes may start before their API server", async () => {
    const { admission, watch } = stage.fairlead;
    const [tenant = ""] = tenants;
    await Promise.all([admission.stop(), watch.stop()]);
    await stage.cluster.apiServer.stop("SIGKILL");
    const starting = Promise.all([admission.start(), watch.start()]);
    await sleep(5_000);
    await stage.cluster.apiServer.start();
    await starting;
    await renew(tenant);
    await untilConverged();
    // The admission process hears of routes, and the API server of the webhook, by watches of their own.
    await eventually(async () => {
      const { body } = await stage.api.tryToCreate(routedPod("routed", "component"));
      expect(body.spec?.hostAliases).toBeDefined();
    }, patience);
  });
});
