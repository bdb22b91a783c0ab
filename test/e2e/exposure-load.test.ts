import { X509Certificate } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCA, issue, type GatewayReplica, type KeyPair } from "../cluster";
import type { Kind } from "../harness/api";
import { eventually, settled } from "../harness/eventually";
import { issueServed, type ClientPod, type ExposedTenant } from "../harness/exposed-tenant";
import { GATEWAY_NAMESPACE, setExposureStage, type ExposureStage } from "../harness/exposure-stage";
import {
  http1,
  http2,
  openSession,
  seenIn,
  shownCertificate,
  WHOAMI,
  type Reach,
  type Seen,
} from "../harness/gateway-client";
import {
  alike,
  startLoad,
  type ConnectionReport,
  type Load,
  type LoadReport,
} from "../harness/load";
import { service } from "../harness/objects";
import { inParallel } from "../harness/parallel";
import { bindClusterRole } from "../harness/pod-kubectl";
import { processUsers } from "../harness/requests";
import { START_TIMEOUT_MS, conditionsOf, untilCondition, untilRouted } from "../harness/stage";
import { issueServer, makeTenantKeys, tenantObjects, type TenantKeys } from "../harness/tenant";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(300_000);

/** Of the gateway; connections that may not go on end after it. */
const drainSeconds = 10;
const serverName = "kubernetes.default.svc";

let stage: ExposureStage;
let tenant: ExposedTenant;
let client: ClientPod;
/** The API servers show the gateway a certificate of this one, as `--tls-sni-cert-key`. */
let upstreamCA: KeyPair;
let upstreamFiles: { readonly certificate: string; readonly key: string };
/** Signs the users' certificates. */
let clientCA: KeyPair;
let token: string;
/** Each Pod of the gateway. */
let gatewayPods: readonly Reach[];
/** Each API server, at the name that the gateway knows it by. */
let apiServers: readonly Reach[];

async function writeUpstream(ca: KeyPair): Promise<KeyPair> {
  const pair = await issue(ca, {
    commonName: "kube-apiserver",
    dnsNames: [serverName],
    usages: ["server"],
  });
  await writeFile(upstreamFiles.certificate, pair.certificatePem);
  await writeFile(upstreamFiles.key, pair.privateKeyPem, { mode: 0o600 });
  return pair;
}

beforeAll(async () => {
  stage = await setExposureStage({
    drainSeconds,
    fairlead: { env: { FAIRLEAD_DRAIN_SECONDS: "20" } },
  });
  const { plane, cluster, gateway } = stage;
  upstreamCA = await createCA({ commonName: "upstream CA" });
  upstreamFiles = {
    certificate: join(cluster.directory, "upstream.crt"),
    key: join(cluster.directory, "upstream.key"),
  };
  await writeUpstream(upstreamCA);
  tenant = await stage.addTenant({
    name: "tenant-a",
    serverCA: upstreamCA,
    shutdownDelaySeconds: 3,
    flags: [`--tls-sni-cert-key=${upstreamFiles.certificate},${upstreamFiles.key}:${serverName}`],
  });
  ({ clientCA } = tenant.keys);
  token = await tenant.hosted.tokenFor({ namespace: "default", name: "robot" });
  await bindClusterRole(tenant.hosted, "cluster-admin", "--serviceaccount=default:robot");
  await tenant.untilReady();
  await untilRouted(stage.api, tenant.namespace);
  client = await tenant.addClient({ name: "client" });
  const caPem = tenant.publicCA.certificatePem;
  const expose = async (address: string) => plane.expose(address);
  gatewayPods = await Promise.all(
    gateway.replicas.map(async ({ place }) => {
      const port = await expose(`${place.address}:9443`);
      return { port, serverName: tenant.host, caPem };
    }),
  );
  apiServers = await Promise.all(
    tenant.hosted.replicas.map(async ({ place }) => ({
      port: await expose(`${place.address}:443`),
      serverName,
      caPem: upstreamCA.certificatePem,
    })),
  );
}, START_TIMEOUT_MS);

afterAll(async () => {
  await stage.stop();
});

type Who = "certificate" | "token";

async function adminOf(ca: KeyPair): Promise<KeyPair> {
  return issue(ca, {
    commonName: "admin",
    organizations: ["system:masters"],
    usages: ["client"],
  });
}

async function loadAs(who: Who): Promise<Load> {
  return startLoad(client, {
    url: `https://${tenant.host}`,
    caPem: tenant.caPem,
    identity: who === "token" ? { token } : await adminOf(clientCA),
    connections: alike(3, { streams: 2, watches: 1, pauseMs: 25 }),
  });
}

/** Nothing has failed, and something was done. */
function expectNoFailure({ requests, failed, failures, watches, watchFailures }: LoadReport): void {
  expect({ failed, failures, failedWatches: watches.failed, watchFailures }).toEqual({
    failed: 0,
    failures: [],
    failedWatches: 0,
    watchFailures: [],
  });
  expect(requests).toBeGreaterThan(0);
}

/**
 * Does something while clients with certificates and tokens are at work, before and after too.
 * @param work It is given what waits until more requests have been answered, and who works.
 */
async function underLoad(
  work: (more: () => Promise<unknown>, loads: readonly Load[]) => Promise<void>,
): Promise<readonly LoadReport[]> {
  const loads = await Promise.all([loadAs("certificate"), loadAs("token")]);
  const more = async () => Promise.all(loads.map(async (load) => load.untilMore(100)));
  try {
    await more();
    await work(more, loads);
    await more();
  } finally {
    await Promise.all(loads.map(async (load) => load.stop()));
  }
  return Promise.all(loads.map(async ({ done }) => done));
}

async function expectNoFailureWhile(
  work: (more: () => Promise<unknown>) => Promise<void>,
): Promise<readonly LoadReport[]> {
  const reports = await underLoad(work);
  for (const report of reports) expectNoFailure(report);
  return reports;
}

const whoIs = async (reach: Reach, pair: KeyPair): Promise<Seen> =>
  seenIn(await http2(reach)({ ...WHOAMI, client: pair }));

const admin: Seen = { username: "admin", groups: ["system:masters", "system:authenticated"] };

/** The name of the Secret that the gateway shows itself to API servers with. */
async function proxySecret(): Promise<string> {
  const { status } = await stage.api.get(tenant.ref);
  return (status?.credentials as { proxyClient: string }).proxyClient;
}

/** The clusters that an Envoy sends new requests to. Others may go on as long as streams on them do. */
async function clustersOf(replica: GatewayReplica): Promise<string> {
  const { configs } = (await replica.configDump()) as {
    readonly configs: readonly { readonly "@type": string }[];
  };
  const isClusters = (one: (typeof configs)[number]) => one["@type"].endsWith("ClustersConfigDump");
  return JSON.stringify(configs.filter(isClusters));
}

/** Waits until another Secret is in use, and no Envoy shows a certificate of the old one any more. */
async function untilReplaced(old: string): Promise<string> {
  const current = await eventually(async () => {
    const found = await proxySecret();
    expect(found).not.toBe(old);
    return found;
  });
  await eventually(
    async () => {
      for (const replica of stage.gateway.replicas) {
        const clusters = await clustersOf(replica);
        expect({ current: clusters.includes(current), old: clusters.includes(old) }).toEqual({
          current: true,
          old: false,
        });
      }
    },
    { timeoutMs: 90_000 },
  );
  return current;
}

const pemOf = (...pairs: readonly KeyPair[]) =>
  pairs.map(({ certificatePem }) => certificatePem).join("");

/** A tenant whose Service leads nowhere. */
async function addNeighbour(
  name: string,
  { server: _, ...authorities }: TenantKeys,
): Promise<void> {
  const keys = { ...authorities, server: await issueServer(authorities.serverCA, name) };
  const [namespace, ...rest] = tenantObjects(name, keys);
  const objects = [namespace, service(name, "kube-apiserver"), ...rest];
  await stage.api.createAll(objects.filter((object) => object !== undefined));
}

/** Connections to API servers that the gateway has made. */
async function upstreamConnections(): Promise<number> {
  const counts = await Promise.all(
    stage.gateway.replicas.map(async (replica) =>
      [...(await replica.stats())]
        .filter(([name]) => name.includes("tenant-a") && name.endsWith("upstream_cx_total"))
        .reduce((sum, [, count]) => sum + count, 0),
    ),
  );
  return counts.reduce((sum, count) => sum + count, 0);
}

interface FilterPatch {
  readonly applyTo: string;
  readonly patch: { readonly operation: string; readonly value?: Record<string, unknown> };
}

/** The patches of the shared filter as they were while the script was in each host's filter chain. */
function formerPatches(patches: readonly FilterPatch[]): readonly FilterPatch[] {
  const isScript = ({ applyTo }: FilterPatch) => applyTo === "EXTENSION_CONFIG";
  const script = patches.find(isScript)?.patch.value;
  return patches.flatMap((one) => {
    if (isScript(one) || one.patch.operation === "REMOVE") return [];
    if (one.applyTo !== "HTTP_FILTER") return [one];
    const value = { name: "fairlead.client-certificates", typed_config: script?.typed_config };
    return [{ ...one, patch: { ...one.patch, value } }];
  });
}

/** Waits until each Envoy has the script in its filter chains, or asks for it by its name. */
async function untilScriptIs(place: "in each chain" | "sent once"): Promise<void> {
  const untilIn = async (replica: GatewayReplica): Promise<void> => {
    const { configs } = (await replica.configDump()) as {
      readonly configs: readonly { readonly "@type": string }[];
    };
    const holding = configs
      .filter((one) => JSON.stringify(one).includes("function fairlead_client_certificates"))
      .map((one) => one["@type"].split(".").at(-1));
    expect(holding).toEqual([place === "sent once" ? "EcdsConfigDump" : "ListenersConfigDump"]);
  };
  // What was replaced is there until its connections are drained.
  const timeoutMs = drainSeconds * 1000 + 60_000;
  for (const replica of stage.gateway.replicas) {
    await eventually(async () => untilIn(replica), { timeoutMs });
  }
}

describeDataPlane("no request fails while", () => {
  it("nothing happens, and few connections lead to the API servers", async () => {
    const before = await upstreamConnections();
    const reports = await expectNoFailureWhile(async (more) => {
      await more();
      await more();
    });
    for (const { connections } of reports) {
      expect(connections.filter(({ ending }) => ending !== undefined)).toEqual([]);
    }
    // One from each of 2 threads of 2 Pods to each of 3 API servers, with and without a client certificate.
    expect((await upstreamConnections()) - before).toBeLessThanOrEqual(24);
  });

  it("somebody sends tokens that nobody knows, which close the API servers' connections", async () => {
    const before = await upstreamConnections();
    await expectNoFailureWhile(async (more) => {
      const headers = [["authorization", "Bearer nobody"]] as const;
      for (let count = 0; count < 30; count += 1) {
        for (const pod of gatewayPods) {
          expect((await http2(pod)({ ...WHOAMI, headers })).status).toBe(401);
        }
      }
      await more();
    });
    // They were closed indeed.
    expect((await upstreamConnections()) - before).toBeGreaterThan(24);
  });

  it("the server certificate is renewed, and no connection ends", async () => {
    const renewed = await issueServed(tenant.publicCA, tenant.host);
    const reports = await expectNoFailureWhile(async () => {
      await tenant.writeSource("Secret", "kube-apiserver", {
        "tls.crt": renewed.certificatePem,
        "tls.key": renewed.privateKeyPem,
      });
      await eventually(async () => {
        const { fingerprint256 } = new X509Certificate(renewed.certificatePem);
        for (const pod of gatewayPods) expect(await shownCertificate(pod)).toBe(fingerprint256);
      });
    });
    for (const { connections, watches } of reports) {
      expect(connections.filter(({ ending }) => ending !== undefined)).toEqual([]);
      expect(watches).toEqual({ started: 3, eof: 0, goaway: 0, failed: 0 });
    }
  });

  it("the client CA is replaced, and the removed one loses its connections", async () => {
    const old = { ca: clientCA, admin: await adminOf(clientCA) };
    const ca = await createCA({ commonName: "new client CA" });
    const renewed = await adminOf(ca);
    const write = async (bundle: string) =>
      tenant.writeSource("ConfigMap", "ca-client", { "ca.crt": bundle });

    // The API servers themselves, for L4; the test's own users are of the old one.
    await writeFile(tenant.hosted.files.clientCA, pemOf(old.ca, ca));
    // Both: those who have a certificate of the old one go on, and new ones come.
    await expectNoFailureWhile(async () => {
      await write(pemOf(old.ca, ca));
      await eventually(async () => {
        for (const pod of gatewayPods) expect(await whoIs(pod, renewed)).toEqual(admin);
      });
    });
    clientCA = ca;
    const sessions = gatewayPods.map((pod) => openSession(pod, old.admin));
    const watches = sessions.map((session) => {
      const stream = session.request({ ":path": "/api/v1/configmaps?watch=true" });
      stream.on("error", () => undefined);
      stream.resume();
      return stream;
    });
    await eventually(() => {
      for (const watch of watches) expect(watch.id).toBeGreaterThan(0);
    });
    await expectNoFailureWhile(async () => {
      await write(pemOf(ca));
      await eventually(
        () => {
          for (const session of sessions) expect(session.destroyed).toBe(true);
        },
        { timeoutMs: 90_000 },
      );
    });
    for (const pod of gatewayPods) await expect(whoIs(pod, old.admin)).rejects.toThrow();
  });

  it("the proxy client certificate is issued anew, for another name", async () => {
    const old = await proxySecret();
    await expectNoFailureWhile(async () => {
      await tenant.patchSpec({
        certificates: { proxyClient: { issuer: { commonName: "front-proxy-client" } } },
      });
      await untilReplaced(old);
    });
  });

  it("the front-proxy CA is replaced, and what the old one signed is never used again", async () => {
    const oldCA = tenant.keys.frontProxyCA;
    const ca = await createCA({ commonName: "new front-proxy CA" });
    const proxies = await Promise.all(
      [oldCA, ca].map(async (one) =>
        issue(one, { commonName: "system:istio-gateway", usages: ["client"] }),
      ),
    );
    /** Whose word API servers take: of the old one's, of the new one's. */
    const trusted = async () =>
      Promise.all(
        apiServers.map(async (reach) =>
          Promise.all(
            proxies.map(async (proxy) => {
              const headers = [["x-remote-user", "somebody"]] as const;
              const seen = seenIn(await http1(reach)({ ...WHOAMI, headers, client: proxy }));
              return typeof seen === "object" && seen.username === "somebody";
            }),
          ),
        ),
      );
    const trust = async (bundle: string, expected: readonly boolean[]) => {
      await writeFile(tenant.hosted.files.frontProxyCA, bundle);
      await eventually(
        async () => {
          expect(await trusted()).toEqual(apiServers.map(() => expected));
        },
        { timeoutMs: 90_000 },
      );
    };
    const oldSecret = await proxySecret();
    await expectNoFailureWhile(async (more) => {
      await trust(pemOf(oldCA, ca), [true, true]);
      await tenant.writeSource("Secret", "ca-front-proxy", {
        "ca.crt": ca.certificatePem,
        "ca.key": ca.privateKeyPem,
      });
      await untilReplaced(oldSecret);
      await trust(pemOf(ca), [false, true]);
      // With the old certificate all of these would be 401.
      await more();
      await more();
    });
  });

  it("the server CA is replaced", async () => {
    const ca = await createCA({ commonName: "new upstream CA" });
    const write = async (bundle: string) => {
      const old = await proxySecret();
      await tenant.writeSource("Secret", "ca", { "ca.crt": bundle });
      await untilReplaced(old);
    };
    await expectNoFailureWhile(async (more) => {
      await write(pemOf(upstreamCA, ca));
      await writeUpstream(ca);
      await eventually(
        async () => {
          for (const reach of apiServers) {
            await shownCertificate({ ...reach, caPem: ca.certificatePem });
          }
        },
        { timeoutMs: 90_000 },
      );
      await write(pemOf(ca));
      await more();
    });
    upstreamCA = ca;
  });

  it("one API server after another restarts", async () => {
    const reports = await expectNoFailureWhile(async (more) => {
      for (const index of tenant.hosted.replicas.keys()) {
        await tenant.hosted.stopReplica(index);
        await more();
        await tenant.hosted.startReplica(index);
        await more();
      }
    });
    // The gateway's connections outlive them.
    for (const { connections } of reports) {
      expect(connections.filter(({ ending }) => ending !== undefined)).toEqual([]);
    }
  });

  it("both processes of fairlead are killed and started again", async () => {
    await expectNoFailureWhile(async (more) => {
      for (const process of [stage.fairlead.watch, stage.fairlead.admission]) {
        await process.stop("SIGKILL");
        await more();
        await process.start();
        await more();
      }
    });
  });

  it("the script goes out of the hosts' filter chains, as when fairlead is upgraded, and back", async () => {
    const filter = {
      kind: "EnvoyFilter",
      namespace: GATEWAY_NAMESPACE,
      name: "fairlead-default",
    } as const;
    await expectNoFailureWhile(async (more) => {
      await stage.fairlead.watch.stop();
      try {
        const found = await stage.api.get(filter);
        const spec = found.spec as { readonly configPatches: readonly FilterPatch[] };
        const configPatches = formerPatches(spec.configPatches);
        await stage.api.replace({ ...filter, ...found, spec: { ...spec, configPatches } });
        await untilScriptIs("in each chain");
        await more();
      } finally {
        await stage.fairlead.watch.start();
      }
      await untilScriptIs("sent once");
      await more();
    });
  });

  it("50 other tenants come and go", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `neighbour-${index + 1}`);
    const { api } = stage;
    const ofTheirs = async (kind: Kind) =>
      (await api.list(kind, GATEWAY_NAMESPACE))
        .map(({ metadata }) => metadata.name ?? "")
        .filter((name) => name.startsWith("neighbour-"));
    const untilExposed = async (count: number) => {
      await eventually(
        async () => {
          const servers = await api.list("HostedAPIServer");
          const neighbours = servers.filter(({ metadata }) =>
            metadata.namespace?.startsWith("neighbour-"),
          );
          const programmed = neighbours.filter(
            (server) => conditionsOf(server).Programmed?.status === "True",
          );
          expect([neighbours.length, programmed.length]).toEqual([count, count]);
        },
        { timeoutMs: 240_000 },
      );
    };
    const keys = await makeTenantKeys("neighbours");
    await expectNoFailureWhile(async () => {
      await inParallel(names, 4, async (name) => addNeighbour(name, keys));
      await untilExposed(names.length);
      await inParallel(names, 4, async (namespace) =>
        api.remove({ kind: "HostedAPIServer", namespace, name: "main" }),
      );
      await untilExposed(0);
    });
    const kinds = ["Gateway", "VirtualService", "DestinationRule", "Secret"] as const;
    await eventually(
      async () => {
        const left = await Promise.all(kinds.map(ofTheirs));
        expect(left.flat()).toEqual([]);
      },
      { timeoutMs: 90_000 },
    );
  }, 600_000);
});

describeDataPlane("a switch between L7 and L4 under load", () => {
  const isPassedThrough = ({ issuer }: ConnectionReport) => issuer !== "tenant-a public CA";

  /** Switches, and has clients begin anew; what they see of the gateway. */
  const switchTo = async (loadBalancing: "L7" | "L4") => {
    await tenant.patchSpec({ loadBalancing });
    await eventually(async () => {
      expect((await stage.api.get(tenant.ref)).status).toMatchObject({ loadBalancing });
    });
    await tenant.untilReady();
    const load = await loadAs("certificate");
    await load.untilMore(100);
    const report = await load.stop();
    expectNoFailure(report);
    const isL4 = loadBalancing === "L4";
    expect(report.connections.map(isPassedThrough)).toEqual([isL4, isL4, isL4]);
  };

  it("fails nothing in L7 and nothing that begins afterwards, and cuts a passed-through connection once", async () => {
    const reports = await underLoad(async (more) => {
      await switchTo("L4");
      await more();
      await switchTo("L7");
      // Until the last passed-through connection was cut.
      const limitMs = Date.now() + (drainSeconds + 10) * 1000;
      while (Date.now() < limitMs) await more();
    });
    for (const { connections, failed, failures, watches } of reports) {
      const passed = connections.filter(isPassedThrough);
      const bad = connections.filter(
        (one) => !isPassedThrough(one) && (one.failed > 0 || one.watches.failed > 0),
      );
      expect(bad.length === 0 ? [] : [bad, failures]).toEqual([]);
      // Every client was passed through, and each was cut once, with what was under way.
      expect(passed.map(({ index }) => index).sort()).toEqual([0, 1, 2]);
      for (const one of passed) {
        expect(one.ending).toBeDefined();
        expect(one.failed).toBeLessThanOrEqual(2);
        expect(one.watches.failed + one.watches.eof + one.watches.goaway).toBe(1);
      }
      // Nothing has failed for want of a connection.
      expect(failed).toBe(passed.reduce((sum, one) => sum + one.failed, 0));
      expect(watches.failed).toBe(passed.reduce((sum, one) => sum + one.watches.failed, 0));
    }
  });
});

describeDataPlane("what fairlead writes", () => {
  const writesSince = async (since: Date) => {
    const events = await stage.cluster.auditEvents({
      user: processUsers.watch,
      since,
      stage: "ResponseComplete",
      verbs: ["create", "update", "patch", "delete", "deletecollection"],
    });
    return (
      events
        .map(({ verb, objectRef }) => {
          const { resource = "", subresource = "", namespace = "", name = "" } = objectRef ?? {};
          return { verb, resource, subresource, namespace, name };
        })
        // Pepr touches its store when it starts.
        .filter(({ resource }) => resource !== "peprstores")
    );
  };
  const neighbour = "tenant-b";

  beforeAll(async () => {
    await addNeighbour(neighbour, await makeTenantKeys(neighbour));
    await untilCondition(
      stage.api,
      { namespace: neighbour },
      { type: "Programmed", status: "True" },
    );
    // How many are attached is written a second later, and that it is not known yet whether one is ready 5 s later.
    const since = new Date();
    await settled(async () => writesSince(since), { quietMs: 7_000 });
  });

  it("for a change of one HostedAPIServer is that one's alone", async () => {
    const since = new Date();
    const ref = { kind: "HostedAPIServer", namespace: neighbour, name: "main" } as const;
    await stage.api.patch(ref, { spec: { loadBalancing: "L4" } });
    await eventually(async () => {
      const gateways = await stage.api.list("Gateway", GATEWAY_NAMESPACE);
      const own = gateways.find(({ metadata }) => metadata.name === `${neighbour}-main`);
      expect(JSON.stringify(own?.spec)).toContain("PASSTHROUGH");
    });
    // The audit log tells of a write a moment after it is seen.
    const writes = await eventually(async () => {
      const found = await writesSince(since);
      expect(found.map(({ resource }) => resource)).toContain("gateways");
      return found;
    });
    const isOwn = ({ namespace, name }: (typeof writes)[number]) =>
      namespace === neighbour ||
      (namespace === GATEWAY_NAMESPACE && name.startsWith(`${neighbour}-main`));
    expect(writes.filter((write) => !isOwn(write))).toEqual([]);
  });

  it("for unchanged ones is nothing, when it starts again too", async () => {
    await tenant.untilReady();
    await stage.fairlead.watch.stop("SIGKILL");
    const since = new Date();
    await stage.fairlead.watch.start();
    // A change of another one, which shows that it is at work.
    await stage.api.patch(
      { kind: "HostedAPIServer", namespace: neighbour, name: "main" },
      { spec: { loadBalancing: "L7" } },
    );
    await eventually(async () => {
      const gateways = await stage.api.list("Gateway", GATEWAY_NAMESPACE);
      const own = gateways.find(({ metadata }) => metadata.name === `${neighbour}-main`);
      expect(JSON.stringify(own?.spec)).not.toContain("PASSTHROUGH");
    });
    const writes = await writesSince(since);
    const isNeighbours = ({ namespace, name }: (typeof writes)[number]) =>
      namespace === neighbour ||
      (namespace === GATEWAY_NAMESPACE && name.startsWith(`${neighbour}-main`));
    expect(writes.filter((write) => !isNeighbours(write))).toEqual([]);
  });
});

describeDataPlane("load", () => {
  it("counts what killed API servers cut", async () => {
    const reports = await underLoad(async (more, loads) => {
      // Whether a request is under way at one that is killed is chance: again, until one was.
      for (let round = 0; round < 5; round += 1) {
        // One after another, so that every watch was on one of them.
        for (const index of tenant.hosted.replicas.keys()) {
          await tenant.hosted.stopReplica(index, "SIGKILL");
          await more();
          await tenant.hosted.startReplica(index);
        }
        if (loads.some(({ progress }) => progress.failed > 0)) break;
      }
    });
    expect(reports.reduce((sum, { failed }) => sum + failed, 0)).toBeGreaterThan(0);
    expect(reports.reduce((sum, { watches }) => sum + watches.failed, 0)).toBeGreaterThan(0);
  });

  it("counts what killed gateways cut, once a request", async () => {
    const { replicas } = stage.gateway;
    const reports = await underLoad(async () => {
      await Promise.all(replicas.map(async (replica) => replica.stop("SIGKILL")));
      await Promise.all(replicas.map(async (replica) => replica.start()));
    });
    for (const { failed, failures, connections, requests, byStatus } of reports) {
      expect(failed).toBeGreaterThan(0);
      expect(failures.length).toBe(Math.min(10, failed));
      const answered = Object.values(byStatus).reduce((sum, count) => sum + count, 0);
      // What was cut got no answer, and no connection has had it twice.
      expect(requests - answered).toBeLessThanOrEqual(failed);
      const first = connections.slice(0, 3);
      for (const { ending } of first) expect(ending).toBeDefined();
    }
  });
});

describeDataPlane("what was replaced", () => {
  it("is gone from the gateway's namespace", async () => {
    await eventually(
      async () => {
        const { status } = await stage.api.get(tenant.ref);
        const secrets = await stage.api.list("Secret", GATEWAY_NAMESPACE);
        const names = secrets.map(({ metadata }) => metadata.name ?? "");
        const { server, proxyClient } = status?.credentials as Record<string, string>;
        expect(names.filter((name) => name.startsWith("tenant-a-")).sort()).toEqual(
          [server, proxyClient].sort(),
        );
      },
      { timeoutMs: 60_000 },
    );
  });
});

describeDataPlane("the end of a tenant", () => {
  const ofTenant = async (kind: Kind) =>
    (await stage.api.list(kind, GATEWAY_NAMESPACE)).filter(
      ({ metadata }) => metadata.labels?.["fairlead.dev/namespace"] === "tenant-a",
    );
  const kinds = ["Gateway", "VirtualService", "DestinationRule", "Secret"] as const;
  const route = {
    kind: "ConfigMap",
    namespace: "tenant-a",
    name: "istio-internal-load-balancing",
  } as const;

  it("waits, passed through, until its Pods are gone, and leaves nothing behind", async () => {
    const removed = stage.api.remove(tenant.ref);
    await eventually(async () => {
      const [gateway] = await ofTenant("Gateway");
      expect(JSON.stringify(gateway?.spec)).toContain("PASSTHROUGH");
      expect(await stage.api.find(route)).toBeUndefined();
    });
    await removed;
    // Who is there goes on, with the API servers' own certificate.
    await eventually(async () => {
      for (const pod of gatewayPods) {
        await shownCertificate({ ...pod, caPem: tenant.hosted.keys.serverCA.certificatePem });
      }
    });
    const load = await loadAs("certificate");
    await load.untilMore(100);
    expectNoFailure(await load.stop());
    expect(await stage.api.find(tenant.ref)).toBeDefined();

    await client.remove();
    await eventually(
      async () => {
        expect(await stage.api.find(tenant.ref)).toBeUndefined();
        const left = await Promise.all(kinds.map(ofTenant));
        expect(left.flat().map(({ metadata }) => metadata.name)).toEqual([]);
      },
      // It looks again after up to 30 s.
      { timeoutMs: 120_000 },
    );
  });
});

describeDataPlane("istiod and Envoy", () => {
  it("have refused nothing in the whole run", async () => {
    expect(await stage.refusals()).toEqual({});
  });
});
