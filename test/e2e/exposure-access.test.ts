import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { createCA, issue, type KeyPair } from "../cluster";
import type { AnyObject, Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import type { ClientPod, ExposedTenant } from "../harness/exposed-tenant";
import { GATEWAY_NAMESPACE, setExposureStage, type ExposureStage } from "../harness/exposure-stage";
import {
  http1,
  http2,
  isHopByHop,
  openSession,
  seenIn,
  sendOn,
  SPOOFS,
  WHOAMI,
  type Call,
  type HeaderList,
  type Reach,
  type Seen,
  type Send,
} from "../harness/gateway-client";
import { addPlayedPod, bindClusterRole, podKubectl, type PodKubectl } from "../harness/pod-kubectl";
import { START_TIMEOUT_MS, untilRouted } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(180_000);

const ANONYMOUS: Seen = { username: "system:anonymous", groups: ["system:unauthenticated"] };
const JANE: Seen = { username: "jane", groups: ["dev", "ops", "system:authenticated"] };
/** What takes a request that names another host than its connection. */
const MISDIRECTED = 421;

let stage: ExposureStage;
let tenant: ExposedTenant;
let other: ExposedTenant;
let client: ClientPod;
let reach: Reach;
let jane: KeyPair;
let token: string;

/** The shared filter of the gateway. */
async function sharedFilter(): Promise<AnyObject> {
  const all = await stage.api.list("EnvoyFilter", GATEWAY_NAMESPACE);
  const own = all.filter(
    ({ metadata }) => metadata.labels?.["app.kubernetes.io/managed-by"] === "fairlead",
  );
  expect(own).toHaveLength(1);
  return {
    apiVersion: "networking.istio.io/v1alpha3",
    kind: "EnvoyFilter",
    ...own[0],
  } as AnyObject;
}

beforeAll(async () => {
  stage = await setExposureStage();
  [tenant, other] = await Promise.all([
    stage.addTenant({ name: "tenant-a", replicaZones: ["zone-1", "zone-2"] }),
    stage.addTenant({ name: "tenant-b", replicaZones: ["zone-1"] }),
  ]);
  // Anonymous requests, too, may ask who they are here.
  await bindClusterRole(tenant.hosted, "system:basic-user", "--group=system:unauthenticated");
  await bindClusterRole(tenant.hosted, "cluster-admin", "--serviceaccount=default:robot");
  await Promise.all([tenant.untilReady(), other.untilReady()]);
  await untilRouted(stage.api, tenant.namespace);
  client = await tenant.addClient({ name: "client" });
  const service = await stage.api.get({
    kind: "Service",
    namespace: GATEWAY_NAMESPACE,
    name: "istio-ingressgateway-internal",
  });
  const port = await stage.plane.expose(`${String(service.spec?.clusterIP)}:443`);
  reach = { port, serverName: tenant.host, caPem: tenant.publicCA.certificatePem };
  jane = await tenant.hosted.issueClient({ name: "jane", groups: ["dev", "ops"] });
  token = await tenant.hosted.tokenFor({ namespace: "default", name: "robot" });
}, START_TIMEOUT_MS);

afterAll(async () => {
  await stage.stop();
});

const bearer = (): HeaderList => [["authorization", `Bearer ${token}`]];

async function whoIs(send: Send, call: Call = {}): Promise<Seen> {
  return seenIn(await send({ ...WHOAMI, ...call }));
}

describeDataPlane("who a request is from", () => {
  const kubectl = async (...args: readonly string[]) =>
    client.run([tenant.hosted.kubectlPath, ...args]);

  it("the client's Pod has the gateway's address for the host", () => {
    const { hostAliases } = client.pod.spec as {
      hostAliases?: { ip: string; hostnames: string[] }[];
    };
    expect(hostAliases).toEqual([{ ip: expect.any(String) as string, hostnames: [tenant.host] }]);
  });

  it("kubectl with a client certificate is its common name, in the groups of all its organizations", async () => {
    const user = { name: "jane", groups: ["dev", "ops", "a, b", "grüße"] };
    const kubeconfig = await tenant.kubeconfigFor({ user });
    const answer = await kubectl("--kubeconfig", kubeconfig, "auth", "whoami", "-o", "json");
    expect(JSON.parse(answer.stdout)).toMatchObject({
      status: {
        userInfo: { username: "jane", groups: [...user.groups, "system:authenticated"] },
      },
    });
  });

  it("kubectl with a token is its ServiceAccount", async () => {
    const account = { namespace: "default", name: "robot" };
    const kubeconfig = await tenant.kubeconfigFor({ account });
    const answer = await kubectl("--kubeconfig", kubeconfig, "auth", "whoami", "-o", "json");
    expect(JSON.parse(answer.stdout)).toMatchObject({
      status: {
        userInfo: {
          username: "system:serviceaccount:default:robot",
          groups: [
            "system:serviceaccounts",
            "system:serviceaccounts:default",
            "system:authenticated",
          ],
        },
      },
    });
  });

  it("kubectl with neither is anonymous", async () => {
    const ca = join(stage.cluster.directory, "public-ca.crt");
    await writeFile(ca, tenant.publicCA.certificatePem);
    // With no user at all kubectl asks for one. No API server has read passwords since 1.19.
    const flags = ["--kubeconfig=/dev/null", "--username=nobody", "--password=none"];
    const server = [`--server=https://${tenant.host}`, `--certificate-authority=${ca}`];
    const answer = await kubectl(...flags, ...server, "auth", "whoami", "-o", "json");
    expect(JSON.parse(answer.stdout)).toMatchObject({ status: { userInfo: ANONYMOUS } });
  });

  it.each([
    ["HTTP/1.1", http1],
    ["HTTP/2", http2],
  ])("is nothing that a client says over %s", async (version, by) => {
    const send = by(reach);
    const robot = await whoIs(send, { headers: bearer() });
    expect(robot).toMatchObject({ username: "system:serviceaccount:default:robot" });
    for (const headers of SPOOFS) {
      if (version === "HTTP/2" && isHopByHop(headers)) continue;
      const found = {
        neither: await whoIs(send, { headers }),
        token: await whoIs(send, { headers: [...headers, ...bearer()] }),
        certificate: await whoIs(send, { headers, client: jane }),
      };
      expect({ headers, found }).toEqual({
        headers,
        found: { neither: ANONYMOUS, token: robot, certificate: JANE },
      });
    }
  });

  it.each(["Upgrade", "Upgrade, X-Remote-User, X-Remote-Group", "keep-alive, Upgrade"])(
    "is nothing that an upgrade says with Connection: %s",
    async (connection) => {
      const exec = async (call: Call) =>
        seenIn(
          await http1(reach)({
            path: "/api/v1/namespaces/default/pods/none/exec?command=id&stdout=true",
            ...call,
            headers: [
              ["Connection", connection],
              ["Upgrade", "SPDY/3.1"],
              ["X-Remote-User", "admin"],
              ["X-Remote-Group", "system:masters"],
            ],
          }),
        );
      expect(await exec({})).toBe("403 system:anonymous");
      expect(await exec({ client: jane })).toBe("403 jane");
    },
  );

  it.each([
    ["HTTP/1.1", http1],
    ["HTTP/2", http2],
  ])(
    "over %s, is refused where another host is named than that of the connection",
    async (_, by) => {
      const send = by(reach);
      for (const authority of [other.host, "kubernetes.default.svc"]) {
        const answers = [
          await send({ ...WHOAMI, authority, client: jane }),
          await send({ ...WHOAMI, authority, headers: bearer() }),
        ];
        expect(answers.map(({ status }) => status)).toEqual([MISDIRECTED, MISDIRECTED]);
      }
      const right = await send({ ...WHOAMI, authority: `${tenant.host.toUpperCase()}:443` });
      expect(seenIn(right)).toEqual(ANONYMOUS);
    },
  );

  it("is refused in the middle of a connection, and the connection goes on", async () => {
    const session = openSession(reach, jane);
    const ask = async (authority: string) => seenIn(await sendOn(session, authority, WHOAMI));
    expect(await ask(tenant.host)).toEqual(JANE);
    expect(await ask(other.host)).toBe(String(MISDIRECTED));
    expect(await ask(tenant.host)).toEqual(JANE);
    session.destroy();
  });

  it("is no client of another tenant, and nobody without SNI", async () => {
    const stranger = await other.hosted.issueClient({ name: "jane", groups: ["system:masters"] });
    await expect(http1(reach)({ ...WHOAMI, client: stranger })).rejects.toThrow();
    const caPem = `${other.publicCA.certificatePem}${tenant.publicCA.certificatePem}`;
    const nowhere = { ...reach, serverName: "", caPem };
    await expect(http1(nowhere)({ ...WHOAMI, client: jane })).rejects.toThrow();
    const unknown = await createCA({ commonName: "hosted client CA" });
    const forged = await issue(unknown, { commonName: "admin", usages: ["client"] });
    await expect(http2(reach)({ ...WHOAMI, client: forged })).rejects.toThrow();
  });

  it.each([" jane", "ja\u0001ne", ""])(
    "is refused as %j, which a header would change",
    async (commonName) => {
      const unfit = await issue(tenant.keys.clientCA, { commonName, usages: ["client"] });
      expect(await whoIs(http2(reach), { client: unfit })).toBe("401");
    },
  );

  it("ends with the certificate, on a connection that is open too", async () => {
    const short = await issue(tenant.keys.clientCA, {
      commonName: "jane",
      organizations: ["dev", "ops"],
      usages: ["client"],
      // Long enough for the first request, however slow the machine is.
      notAfter: new Date(Date.now() + 10_000),
    });
    const session = openSession(reach, short);
    const ask = async () => seenIn(await sendOn(session, tenant.host, WHOAMI));
    expect(await ask()).toEqual(JANE);
    await eventually(async () => {
      expect(await ask()).toBe("401");
    });
    session.destroy();
    await expect(http2(reach)({ ...WHOAMI, client: short })).rejects.toThrow();
  });
});

type Sabotage = (filter: AnyObject) => Promise<unknown>;

const refOf = (filter: AnyObject): Ref => ({
  kind: "EnvoyFilter",
  namespace: GATEWAY_NAMESPACE,
  name: filter.metadata.name ?? "",
});

/** The filter with its text changed. */
const rewrite =
  (pattern: string | RegExp, replacement: string): Sabotage =>
  async (filter) => {
    const spec = JSON.stringify(filter.spec);
    const changed = spec.replaceAll(pattern, replacement);
    expect(changed).not.toBe(spec);
    await stage.api.replace({
      ...filter,
      spec: JSON.parse(changed) as AnyObject["spec"],
    } as AnyObject);
  };

describeDataPlane("without its filter, while fairlead is away", () => {
  // The answers of all requests with other hosts' names tell which filter is at work.
  const misdirected = async () =>
    (await http2(reach)({ authority: other.host, client: jane })).status;

  /** Whoever spoofs is nobody, or gets an error. */
  const expectNobody = async (send: Send) => {
    for (const headers of SPOOFS) {
      if (send === byHttp2 && isHopByHop(headers)) continue;
      for (const shown of [undefined, jane]) {
        const found = await whoIs(send, { headers, client: shown });
        // An error, which is a string of its status, is fine too.
        if (typeof found === "object") {
          expect([ANONYMOUS, ...(shown === undefined ? [] : [JANE])]).toContainEqual(found);
        } else expect(found).toMatch(/^[45]\d\d$/);
      }
    }
  };
  const byHttp1: Send = async (call) => http1(reach)(call);
  const byHttp2: Send = async (call) => http2(reach)(call);

  const sabotages: readonly (readonly [string, Sabotage, (status: number) => boolean])[] = [
    [
      "deleted",
      async (filter) => stage.api.remove(refOf(filter)),
      (status) => status !== MISDIRECTED,
    ],
    [
      "moved to another port",
      rewrite('"portNumber":9443', '"portNumber":9444'),
      (status) => status !== MISDIRECTED,
    ],
    [
      "broken inside of its function",
      rewrite("ssl:parsedSubjectPeerCertificate()", "ssl:noSuchMethod()"),
      // Where it names the right host; the wrong one is refused before.
      () => true,
    ],
    [
      "broken outside of its function",
      rewrite(
        /envoy_on_request = fairlead_client_certificates\([^)]*\)/g,
        "function envoy_on_request(handle) error('broken') end",
      ),
      (status) => status !== MISDIRECTED,
    ],
  ];

  it.each(sabotages)(
    "%s, nobody becomes anybody, and fairlead mends it",
    async (what, sabotage, isAtWork) => {
      const before = await sharedFilter();
      await stage.fairlead.watch.stop();
      try {
        await sabotage(before);
        await eventually(async () => {
          expect(isAtWork(await misdirected())).toBe(true);
          expect(await whoIs(byHttp2, { client: jane })).not.toEqual(JANE);
        });
        await expectNobody(byHttp1);
        await expectNobody(byHttp2);
        const robot = await whoIs(byHttp2, { headers: bearer() });
        expect(robot).toMatchObject({ username: "system:serviceaccount:default:robot" });
      } finally {
        await stage.fairlead.watch.start();
      }
      await eventually(async () => {
        expect(await misdirected()).toBe(MISDIRECTED);
        expect(await whoIs(byHttp2, { client: jane })).toEqual(JANE);
      });
      await tenant.untilReady();
      // An Envoy that had not heard of the sabotage yet would not show whether it is mended.
      await eventually(async () => {
        expect((await sharedFilter()).spec).toEqual(before.spec);
      });
      await expectNobody(byHttp2);
    },
  );

  /** Listeners of all Pods of the gateway that wait for something before they take over. */
  const waiting = async (): Promise<readonly (number | undefined)[]> =>
    Promise.all(
      stage.gateway.replicas.map(async (replica) =>
        (await replica.stats()).get("listener_manager.total_listeners_warming"),
      ),
    );

  it("asking for a script that is nowhere, it leaves the one before it at work, and fairlead mends it", async () => {
    const before = await sharedFilter();
    await stage.fairlead.watch.stop();
    try {
      // In the filter's reference, where the name is the last of the keys, as the API server sorts them.
      await rewrite(
        '"name":"fairlead.client-certificates/default"}',
        '"name":"fairlead.client-certificates/nowhere"}',
      )(before);
      await eventually(async () => {
        expect(await waiting()).toEqual(stage.gateway.replicas.map(() => 1));
      });
      expect(await misdirected()).toBe(MISDIRECTED);
      for (const send of [byHttp1, byHttp2]) {
        expect(await whoIs(send, { client: jane })).toEqual(JANE);
        await expectNobody(send);
      }
    } finally {
      await stage.fairlead.watch.start();
    }
    await eventually(async () => {
      expect((await sharedFilter()).spec).toEqual(before.spec);
      expect(await waiting()).toEqual(stage.gateway.replicas.map(() => 0));
    });
    expect(await whoIs(byHttp2, { client: jane })).toEqual(JANE);
  });
});

describeDataPlane("streams through the gateway", () => {
  const ways = (["certificate", "token"] as const).flatMap((identity) =>
    (["WebSocket", "SPDY"] as const).map((protocol) => [identity, protocol] as const),
  );
  const identities = {
    certificate: { user: { name: "admin", groups: ["system:masters"] } },
    token: { account: { namespace: "default", name: "robot" } },
  };
  let directory: string;

  beforeAll(async () => {
    directory = join(stage.cluster.directory, "streams");
    await mkdir(directory);
    await addPlayedPod(tenant.hosted, "shell");
  });

  describe.each(ways)("with a %s, by %s", (identity, protocol) => {
    let start: PodKubectl["start"];
    let run: (...args: readonly string[]) => Promise<string>;

    beforeAll(async () => {
      const kubeconfig = await tenant.kubeconfigFor(identities[identity]);
      const kubectl = podKubectl({ client, hosted: tenant.hosted, kubeconfig, protocol });
      ({ start } = kubectl);
      run = async (...args) => {
        const { exitCode, stdout, stderr } = await kubectl.run(...args);
        if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
        return stdout;
      };
    });

    it("exec gives all output", async () => {
      const bytes = 5 * 1024 ** 2;
      const output = await run("exec", "shell", "--", "head", "-c", String(bytes), "/dev/zero");
      expect(output).toHaveLength(bytes);
    });

    it("exec takes input", async () => {
      const cat = start("exec", "-i", "shell", "--", "cat");
      cat.write("first\n");
      await cat.untilOutput(/first/);
      cat.write("second\n");
      await cat.untilOutput(/second/);
      expect(cat.exitCode()).toBeUndefined();
      await cat.stop();
    });

    it("attach and logs -f show what comes", async () => {
      const streams = [start("attach", "shell"), start("logs", "-f", "shell")];
      const mark = `${identity}-${protocol}-${Date.now()}`;
      const log = tenant.hosted.kwok.podLogPath;
      for (const stream of streams) {
        await eventually(async () => {
          await appendFile(log, `2026-01-01T00:00:00Z stdout F ${mark}\n`);
          await stream.untilOutput(new RegExp(mark), { timeoutMs: 500 });
        });
        expect(stream.exitCode()).toBeUndefined();
        await stream.stop();
      }
    });

    it("port-forward leads to the Pod", async () => {
      const forward = start("port-forward", "shell", ":80");
      const [, port] = await forward.untilOutput(/127\.0\.0\.1:(\d+) -> 80/);
      const script = `fetch("http://127.0.0.1:${String(port)}/healthz").then((answer) => answer.text()).then(console.log)`;
      for (let count = 0; count < 2; count += 1) {
        const { stdout } = await client.run([process.execPath, "-e", script]);
        expect(stdout).toBe("ok\n");
      }
      await forward.stop();
    });

    // Not to one: kwok never tells a command that its input has ended, on a direct connection either.
    it("cp copies a file from a Pod", async () => {
      const place = (name: string) => join(directory, `${name}-${identity}-${protocol}`);
      const [source, target] = [place("source"), place("target")];
      const text = "0123456789abcdef".repeat(65_536);
      await writeFile(source, text);
      await run("cp", `default/shell:${source}`, target);
      expect(await readFile(target, "utf8")).toBe(text);
    });

    it("get -w shows changes", async () => {
      const name = `watched-${identity}-${protocol}`.toLowerCase();
      const watch = start("get", "configmaps", "-w", "-o", "name");
      await watch.untilOutput(/configmap\/|^$/);
      await eventually(async () => {
        await run("create", "configmap", name);
      });
      await watch.untilOutput(new RegExp(`configmap/${name}`));
      expect(watch.exitCode()).toBeUndefined();
      await watch.stop();
    });
  });
});

/** A duration of Envoy's, in seconds. */
const secondsOf = (duration: unknown): number =>
  typeof duration === "string" ? Number(/^([\d.]+)s$/.exec(duration)?.[1]) : 0;

/** Everything of a kind in Envoy's configuration dump, however deep. */
function findAll(
  dump: unknown,
  isWanted: (node: Record<string, unknown>) => boolean,
): Record<string, unknown>[] {
  if (typeof dump !== "object" || dump === null) return [];
  if (Array.isArray(dump)) return dump.flatMap((one) => findAll(one, isWanted));
  const node = dump as Record<string, unknown>;
  const below = Object.values(node).flatMap((one) => findAll(one, isWanted));
  return isWanted(node) ? [node, ...below] : below;
}

describeDataPlane("what Envoy was told", () => {
  const daySeconds = 86_400;

  it("leaves long streams alone, and ends forgotten ones within a day", async () => {
    for (const replica of stage.gateway.replicas) {
      const dump = await replica.configDump();
      const isManager = (node: Record<string, unknown>) =>
        String(node["@type"]).endsWith("v3.HttpConnectionManager") &&
        JSON.stringify(node).includes("fairlead.client-certificates");
      const managers = findAll(dump, isManager);
      // One for each tenant's filter chain.
      expect(managers.length).toBeGreaterThanOrEqual(2);
      for (const manager of managers) {
        const common = manager.common_http_protocol_options as Record<string, unknown>;
        expect({
          streamIdle: secondsOf(manager.stream_idle_timeout),
          stream: secondsOf(common.max_stream_duration),
          request: secondsOf(manager.request_timeout),
          connectionIdle: secondsOf(common.idle_timeout),
        }).toEqual({
          streamIdle: daySeconds,
          stream: daySeconds,
          request: 0,
          connectionIdle: 3_600,
        });
      }
      const isRoute = ({ route }: Record<string, unknown>) =>
        JSON.stringify(route ?? "").includes(`${tenant.namespace}.svc`);
      const routes = findAll(dump, isRoute).map(({ route }) => route as Record<string, unknown>);
      const timeouts = routes.map(({ timeout, idle_timeout: idle, max_stream_duration: max }) => [
        timeout,
        idle,
        max,
      ]);
      expect(timeouts.length).toBeGreaterThan(0);
      for (const [timeout, idle, max] of timeouts) {
        expect(secondsOf(timeout)).toBe(0);
        expect(idle).toBeUndefined();
        expect(secondsOf((max as Record<string, unknown> | undefined)?.max_stream_duration)).toBe(
          0,
        );
      }
    }
  });

  it("was refused by nobody in the whole run", async () => {
    expect(await stage.refusals()).toEqual({});
  });
});
