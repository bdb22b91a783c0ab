import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { connect as connectTcp } from "node:net";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { issue } from "../cluster";
import { inClusterNames } from "../../lib/domain/in-cluster-names";
import { eventually } from "../harness/eventually";
import type { ExposedTenant } from "../harness/exposed-tenant";
import { GATEWAY_NAMESPACE, setExposureStage, type ExposureStage } from "../harness/exposure-stage";
import { alike, startLoad } from "../harness/load";
import { addTunnelNode, type TunnelNode } from "../harness/node-proxy";
import { addPlayedPod, bindClusterRole, podKubectl, type PodKubectl } from "../harness/pod-kubectl";
import { conditionsOf, START_TIMEOUT_MS, untilCondition } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(180_000);

/** The first address of hosted clusters' Services. */
const CLUSTER_IP = "172.20.0.1";
const NAMES = inClusterNames("cluster.local");
const TUNNEL_PORT = 8132;
const TYPE = "TunnelProgrammed";

let stage: ExposureStage;
let tenant: ExposedTenant;
let other: ExposedTenant;
let node: TunnelNode;
let otherNode: TunnelNode;
/** All that were started. */
const nodes: TunnelNode[] = [];
/** Of this process, to the gateway's tunnel port. */
let tunnelPort: number;
/** Of the API server of `other`. */
let auditLog: string;

/** A certificate as a public CA does not give it: for the host and for what Pods of the hosted cluster say. */
async function serveInClusterNames(tenant: ExposedTenant): Promise<void> {
  const { publicCA, host } = tenant;
  const pair = await issue(publicCA, {
    commonName: host,
    dnsNames: [host, ...NAMES],
    ipAddresses: [CLUSTER_IP],
    usages: ["server"],
  });
  await tenant.writeSource("Secret", "kube-apiserver", {
    "tls.crt": pair.certificatePem,
    "tls.key": pair.privateKeyPem,
  });
}

const untilTunnel = async (of: ExposedTenant, status: "True" | "False", reason: string) =>
  untilCondition(stage.api, { namespace: of.namespace }, { type: TYPE, status, reason });

beforeAll(async () => {
  stage = await setExposureStage({ zones: ["zone-1", "zone-2"] });
  const policy = join(stage.cluster.directory, "hosted-audit-policy.json");
  auditLog = join(stage.cluster.directory, "hosted-audit.log");
  const rules = [{ level: "Metadata", omitStages: ["RequestReceived"] }];
  await writeFile(policy, JSON.stringify({ apiVersion: "audit.k8s.io/v1", kind: "Policy", rules }));
  const flags = [`--audit-policy-file=${policy}`, `--audit-log-path=${auditLog}`];
  const spec = { tunnel: { clusterIPs: [CLUSTER_IP] } };
  [tenant, other] = await Promise.all([
    stage.addTenant({ name: "tenant-a", replicaZones: ["zone-1", "zone-2"], spec }),
    stage.addTenant({ name: "tenant-b", replicaZones: ["zone-1"], spec, flags }),
  ]);
  for (const { hosted } of [tenant, other]) {
    await bindClusterRole(hosted, "cluster-admin", "--serviceaccount=default:robot");
    await bindClusterRole(hosted, "cluster-admin", "--group=admins");
  }
  await Promise.all([tenant.untilReady(), other.untilReady()]);
}, START_TIMEOUT_MS);

afterAll(async () => {
  await Promise.all(nodes.map(async ({ proxy }) => proxy.stop()));
  await stage.stop();
});

describeDataPlane("a tunnel", () => {
  it("needs the consent of the gateway's owner", async () => {
    const hapi = await untilTunnel(tenant, "False", "NoTunnel");
    expect(conditionsOf(hapi)[TYPE]?.message).toContain(GATEWAY_NAMESPACE);
    const gateway = { kind: "InternalGateway", namespace: GATEWAY_NAMESPACE, name: "default" };
    await stage.api.patch(gateway as never, { spec: { tunnel: {} } });
  });

  it("needs a certificate that is for the in-cluster names", async () => {
    const hapi = await untilTunnel(tenant, "False", "NamesNotCovered");
    expect(conditionsOf(hapi)[TYPE]?.message).toContain(`kubernetes.default.svc.cluster.local`);
    await Promise.all([tenant, other].map(serveInClusterNames));
    await Promise.all([tenant, other].map(async (one) => untilTunnel(one, "True", "Programmed")));
    expect(await stage.refusals()).toEqual({});
  });

  it("leads from nodes that know the gateway alone", async () => {
    const service = await stage.api.get({
      kind: "Service",
      namespace: GATEWAY_NAMESPACE,
      name: "istio-ingressgateway-internal",
    });
    const address = String(service.spec?.clusterIP);
    tunnelPort = await stage.plane.expose(`${address}:${TUNNEL_PORT}`);
    const addNode = async (of: ExposedTenant, host: string) => {
      const started = await addTunnelNode(stage.plane, {
        name: `node-${of.namespace}`,
        gateway: { host, port: TUNNEL_PORT },
        apiServerHost: of.host,
        clusterIP: CLUSTER_IP,
      });
      nodes.push(started);
      return started;
    };
    node = await addNode(tenant, address);
    // Past what plays kube-proxy here, which loses clients' addresses.
    otherNode = await addNode(other, stage.gateway.replicas[0]?.place.address ?? "");
    expect(nodes.map(({ proxy }) => proxy.exitCode())).toEqual([undefined, undefined]);
  });
});

/** What is looked at of an audit log's line. */
interface AuditEvent {
  readonly verb: string;
  readonly objectRef?: { readonly name?: string };
  readonly sourceIPs: readonly string[];
}

type Who = "certificate" | "token";

/** A kubeconfig for whatever name or address of the API server. */
async function kubeconfigOf(of: ExposedTenant, server: string, who: Who): Promise<string> {
  const access = { server: `https://${server}`, caPem: of.publicCA.certificatePem };
  const user = { name: "jane", groups: ["admins"] };
  if (who === "certificate") return of.hosted.kubeconfigFor(user, access);
  const token = await of.hosted.tokenFor({ namespace: "default", name: "robot" });
  return of.hosted.kubeconfigFor({ name: "robot", groups: [] }, { ...access, token });
}

async function kubectlOf(
  of: ExposedTenant,
  at: TunnelNode,
  [server, who]: readonly [string, Who],
): Promise<PodKubectl> {
  const kubeconfig = await kubeconfigOf(of, server, who);
  return podKubectl({ client: at, hosted: of.hosted, kubeconfig });
}

async function whoami(kubectl: PodKubectl): Promise<unknown> {
  const { exitCode, stdout, stderr } = await kubectl.run("auth", "whoami", "-o", "json");
  if (exitCode !== 0) return stderr;
  return (JSON.parse(stdout) as { status: { userInfo: { username: string } } }).status.userInfo
    .username;
}

const USERS = { certificate: "jane", token: "system:serviceaccount:default:robot" } as const;

describeDataPlane("through the tunnel", () => {
  it.each([...NAMES, CLUSTER_IP])("https://%s is the API server", async (server) => {
    for (const who of ["certificate", "token"] as const) {
      expect(await whoami(await kubectlOf(tenant, node, [server, who]))).toBe(USERS[who]);
    }
  });

  it.each(["certificate", "token"] as const)("exec and watch go on with a %s", async (who) => {
    const pod = `shell-${who}`;
    await addPlayedPod(tenant.hosted, pod);
    const kubectl = await kubectlOf(tenant, node, [CLUSTER_IP, who]);
    await eventually(async () => {
      const { stdout } = await kubectl.run("exec", pod, "--", "echo", "hello");
      expect(stdout).toBe("hello\n");
    });
    const watch = kubectl.start("get", "configmaps", "-w", "-o", "name");
    await eventually(async () => {
      await kubectl.run("create", "configmap", `seen-${who}`);
    });
    await watch.untilOutput(new RegExp(`configmap/seen-${who}`));
    await watch.stop();
  });

  it("audit logs name the node", async () => {
    const [server, name] = [CLUSTER_IP, "audited"];
    const kubectl = await kubectlOf(other, otherNode, [server, "certificate"]);
    const { stderr } = await kubectl.run("create", "configmap", name);
    expect(stderr).toBe("");
    // A line of somebody else's may be half written.
    const lines = (await readFile(auditLog, "utf8")).split("\n");
    const events = lines
      .filter((line) => line.includes(`"${name}"`))
      .map((line) => JSON.parse(line) as AuditEvent);
    const created = events.filter(
      ({ verb, objectRef }) => verb === "create" && objectRef?.name === name,
    );
    expect(created.map(({ sourceIPs: [client] }) => client)).toEqual([otherNode.place.address]);
  });

  it("requests of one connection are spread over all API servers", async () => {
    const count = async () =>
      Promise.all(tenant.hosted.replicas.map(async (replica) => replica.requestCount()));
    const before = await count();
    const load = await startLoad(node, {
      url: "https://kubernetes.default.svc",
      caPem: tenant.publicCA.certificatePem,
      identity: await tenant.hosted.issueClient({ name: "jane", groups: ["admins"] }),
      connections: alike(1, { streams: 4 }),
    });
    await load.untilMore(1_000);
    const { failed, failures, connections } = await load.stop();
    expect({ failed, failures, connections: connections.length }).toEqual({
      failed: 0,
      failures: [],
      connections: 1,
    });
    const shares = (await count()).map((requests, index) => requests - (before[index] ?? 0));
    const mean = shares.reduce((sum, share) => sum + share, 0) / shares.length;
    expect(Math.max(...shares) / mean).toBeLessThan(1.1);
  });
});

/** What the gateway answers to a text on its tunnel port, until it ends the connection or says nothing more. */
async function answerTo(text: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connectTcp(tunnelPort, "127.0.0.1");
    let seen = "";
    socket.setTimeout(20_000, () => socket.destroy());
    socket.on("data", (chunk: Buffer) => {
      seen += chunk.toString("latin1");
      // What is answered completely is not waited for.
      if (seen.includes("\r\n\r\n")) socket.destroy();
    });
    socket.on("error", reject);
    socket.on("close", () => {
      resolve(seen);
    });
    socket.write(text);
  });
}

const connectTo = (authority: string, host = authority): string =>
  `CONNECT ${authority} HTTP/1.1\r\nHost: ${host}\r\n\r\n`;

describeDataPlane("two tenants of one gateway, with the same names", () => {
  it("never see each other", async () => {
    for (const [one, foreign, at] of [
      [tenant, other, otherNode],
      [other, tenant, node],
    ] as const) {
      // Whoever trusts one's CA is refused by what the other's node leads to, before a word was said.
      expect(await whoami(await kubectlOf(one, at, [CLUSTER_IP, "token"]))).toMatch(/x509/);
      const access = { server: `https://${CLUSTER_IP}`, caPem: foreign.publicCA.certificatePem };
      const run = async (kubeconfig: string) =>
        whoami(podKubectl({ client: at, hosted: one.hosted, kubeconfig }));
      const token = await one.hosted.tokenFor({ namespace: "default", name: "robot" });
      const robot = { name: "robot", groups: [] };
      expect(await run(await one.hosted.kubeconfigFor(robot, { ...access, token }))).toMatch(
        /Unauthorized|logged in/,
      );
      const jane = { name: "jane", groups: ["admins"] };
      const kubeconfig = await one.hosted.kubeconfigFor(jane, access);
      const answers: string[] = [];
      // By TLS 1.3 a client has shaken hands before it is refused, and does not always hear why.
      await eventually(async () => {
        answers.push(JSON.stringify(await run(kubeconfig)));
        expect(answers.at(-1)).toMatch(/tls|certificate/);
      });
      expect(answers.filter((answer) => answer.includes("jane"))).toEqual([]);
    }
  });

  const refused: readonly (readonly [what: string, text: () => string, answer: RegExp])[] = [
    ["a host of nobody's", () => connectTo("api.nobody.example.com:443"), /^HTTP\/1.1 404 /],
    [
      "the name that all tenants share",
      () => connectTo("kubernetes.default.svc:443"),
      /^HTTP\/1.1 404 /,
    ],
    ["an address", () => connectTo(`${tenant.hosted.clusterIP}:443`), /^HTTP\/1.1 404 /],
    [
      "the Service of an API server",
      () => connectTo("kube-apiserver.tenant-a.svc.cluster.local:443"),
      /^HTTP\/1.1 404 /,
    ],
    [
      "where a tunnel ends inside",
      () => connectTo("main.tenant-a.tunnel.fairlead.invalid:9444"),
      /^HTTP\/1.1 404 /,
    ],
    ["no host", () => "CONNECT  HTTP/1.1\r\n\r\n", /^HTTP\/1.1 400 /],
    [
      "a host, and is no tunnel",
      () => `GET /version HTTP/1.1\r\nHost: ${tenant.host}\r\n\r\n`,
      /^HTTP\/1.1 405 /,
    ],
    [
      "a host by PROXY protocol",
      () => `PROXY TCP4 10.0.0.1 ${CLUSTER_IP} 1234 443\r\n\r\n`,
      /^HTTP\/1.1 400 /,
    ],
  ];

  it.each(refused)("a client that names %s is refused", async (_what, text, expected) => {
    expect(await answerTo(text())).toMatch(expected);
  });

  it("whom a client means is what it asks for, whatever Host says", async () => {
    const socket = connectTcp(tunnelPort, "127.0.0.1");
    socket.write(connectTo(`${tenant.host}:443`, other.host));
    const [answer] = (await once(socket, "data")) as [Buffer];
    expect(answer.toString("latin1")).toMatch(/^HTTP\/1.1 200 /);
    const options = { socket, servername: "kubernetes.default.svc" };
    const tls = connectTls({ ...options, ca: tenant.publicCA.certificatePem });
    await once(tls, "secureConnect");
    expect(tls.getPeerX509Certificate()?.checkHost(tenant.host)).toBe(tenant.host);
    tls.destroy();
  });

  it("a connection is for its tenant's names alone, and what clients say about themselves is not heard", async () => {
    const script = `
      const { request } = require("node:https");
      const ask = (servername, host) => new Promise((resolve) => {
        const sent = request({ host: "${CLUSTER_IP}", servername, path: "/api/v1/secrets", agent: false,
          rejectUnauthorized: false, headers: { host, "x-remote-user": "admin", "x-remote-group": "system:masters",
          "x-fairlead-client-certificate": "0".repeat(64) } }, (answer) => { answer.resume(); resolve(answer.statusCode); });
        sent.on("error", (error) => resolve(error.code));
        sent.end();
      });
      (async () => {
        const found = [];
        for (const [name, host] of ${JSON.stringify([
          ["kubernetes.default.svc", "kubernetes.default.svc"],
          ["", CLUSTER_IP],
          ["", other.host],
          ["", "172.20.0.2"],
          ["kubernetes.default.svc", "kubernetes"],
          ["kubernetes.default.svc", other.host],
          [other.host, other.host],
        ])}) found.push(await ask(name, host));
        console.log(JSON.stringify(found));
      })();`;
    const { stdout, stderr } = await node.run([process.execPath, "-e", script]);
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([403, 403, 421, 421, 421, 421, 421]);
  });
});

describeDataPlane("a tenant's tunnel", () => {
  it("follows a switch to L4 and back, and leads all the time", async () => {
    for (const loadBalancing of ["L4", "L7"]) {
      await tenant.patchSpec({ loadBalancing });
      await eventually(async () => {
        const { status } = await stage.api.get(tenant.ref);
        expect(status?.loadBalancing).toBe(loadBalancing);
      });
      await untilTunnel(tenant, "True", "Programmed");
      const caPem = tenant.caPem;
      const user = { name: "jane", groups: ["admins"] };
      const kubeconfig = await tenant.hosted.kubeconfigFor(user, {
        server: "https://kubernetes.default.svc",
        caPem,
      });
      expect(await whoami(podKubectl({ client: node, hosted: tenant.hosted, kubeconfig }))).toBe(
        "jane",
      );
    }
  });

  it("goes when its owner no longer wants it, and others' stay", async () => {
    await tenant.patchSpec({ tunnel: null });
    await eventually(async () => {
      expect(await answerTo(connectTo(`${tenant.host}:443`))).toMatch(/^HTTP\/1.1 404 /);
      expect(await stage.api.list("ServiceEntry", GATEWAY_NAMESPACE)).toHaveLength(1);
    });
    expect(conditionsOf(await tenant.untilReady())[TYPE]).toBeUndefined();
    expect(await whoami(await kubectlOf(other, otherNode, [CLUSTER_IP, "certificate"]))).toBe(
      "jane",
    );
    expect(await stage.refusals()).toEqual({});
  });

  it("ends with the consent of the gateway's owner", async () => {
    const gateway = { kind: "InternalGateway", namespace: GATEWAY_NAMESPACE, name: "default" };
    await stage.api.patch(gateway as never, { spec: { tunnel: null } });
    await untilTunnel(other, "False", "NoTunnel");
    await eventually(async () => {
      expect(await stage.api.list("ServiceEntry", GATEWAY_NAMESPACE)).toHaveLength(0);
    });
    await other.untilReady();
  });
});
