import { readFileSync } from "node:fs";
import { appendFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import {
  type Client,
  createCA,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
  type HostedAPIServer,
  issue,
  type KeyPair,
  startCluster,
  startDataPlane,
} from "../cluster";
import { http2, seenIn, WHOAMI } from "../harness/gateway-client";
import { describeDataPlane } from "./data-plane-choice";

const startTimeoutMs = 1_800_000;
const host = "api.shoot1.example.com";
const namespace = "istio-ingress";
const labels = { app: "istio-ingressgateway", istio: "ingressgateway" };
const zones = ["zone-1", "zone-2"];

let cluster: EmbeddedCluster;
let plane: DataPlane;
let gateway: Gateway;
let hosted: HostedAPIServer;
let client: Client;
let publicCA: KeyPair;

async function eventually<T>(read: () => Promise<T>, isRight: (value: T) => boolean): Promise<T> {
  const deadlineMs = Date.now() + 60_000;
  for (;;) {
    const value = await read();
    if (isRight(value)) return value;
    if (Date.now() > deadlineMs) throw new Error(`Still ${JSON.stringify(value)} after 60 s.`);
    await sleep(100);
  }
}

async function kubectl(...args: string[]): Promise<string> {
  const { exitCode, stdout, stderr } = await cluster.kubectl(args);
  if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

async function apply(object: object | string) {
  const input = typeof object === "string" ? object : JSON.stringify(object);
  return cluster.kubectl(["apply", "-f", "-"], { input });
}

/** What credentials and exposure have to make, by hand. */
async function configureGateway(): Promise<void> {
  publicCA = await createCA({ commonName: "public" });
  const served = await issue(publicCA, { commonName: host, dnsNames: [host], usages: ["server"] });
  const proxy = await issue(hosted.keys.frontProxyCA, {
    commonName: "system:istio-gateway",
    usages: ["client"],
  });
  const secret = (name: string, pair: KeyPair, ca: KeyPair) => ({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace },
    stringData: { cert: pair.certificatePem, key: pair.privateKeyPem, cacert: ca.certificatePem },
  });
  const service = {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "istio-ingressgateway-internal", namespace },
    spec: {
      selector: labels,
      ports: [{ name: "tls", port: 443, targetPort: 9443 }],
      ipFamilyPolicy: "PreferDualStack",
      trafficDistribution: "PreferSameZone",
    },
  };
  const fixture = (name: string) => readFileSync(join(__dirname, "fixtures", name), "utf8");
  for (const object of [
    secret("shoot1-kube-apiserver-tls", served, hosted.keys.clientCA),
    secret("shoot1-kube-apiserver-istio-mtls", proxy, hosted.keys.serverCA),
    service,
    fixture("gateway.yaml"),
    fixture("control-plane.yaml"),
  ]) {
    const { exitCode, stderr } = await apply(object);
    if (exitCode !== 0) throw new Error(stderr);
  }
}

/** Waits until each Envoy, which has its configuration for itself, has both routes: who is asked by chance then answers. */
async function untilServed(): Promise<void> {
  const jane = await hosted.issueClient({ name: "jane", groups: [] });
  const caPem = publicCA.certificatePem;
  for (const { place } of gateway.replicas) {
    const port = await plane.expose(`${place.address}:9443`);
    const send = http2({ port, serverName: host, caPem });
    const nameOf = async (client?: KeyPair): Promise<string> => {
      try {
        const seen = seenIn(await send({ ...WHOAMI, client }));
        return typeof seen === "string" ? seen : seen.username;
      } catch (error) {
        return String(error);
      }
    };
    await eventually(
      async () => [await nameOf(jane), await nameOf()],
      ([certain = "", unknown = ""]) => certain === "jane" && unknown.endsWith("system:anonymous"),
    );
  }
}

async function gatewayIP(): Promise<string> {
  const path = "jsonpath={.spec.clusterIP}";
  return kubectl("get", "service", "istio-ingressgateway-internal", "-n", namespace, "-o", path);
}

/** Runs kubectl in the client Pod, through the gateway, and returns its output or error. */
async function throughGateway(
  kubeconfig: string,
  args: readonly string[],
  input?: string,
): Promise<string> {
  const command = [hosted.kubectlPath, "--kubeconfig", kubeconfig, ...args];
  const { exitCode, stdout, stderr } = await client.run(command, { input });
  return exitCode === 0 ? stdout : `exit code ${exitCode}: ${stderr}`;
}

function access() {
  return { server: `https://${host}`, caPem: publicCA.certificatePem };
}

beforeAll(async () => {
  cluster = await startCluster({ version: "1.34", controllerManager: "run" });
  plane = await startDataPlane(cluster, { zones });
  [gateway, hosted] = await Promise.all([
    plane.addGateway({ namespace, name: "istio-ingressgateway", labels, zones }),
    // It is looked at while it stops: the endpoints, which others write, must have followed by then.
    plane.addHostedAPIServer({ namespace: "shoot1", shutdownDelaySeconds: 20 }),
  ]);
  await configureGateway();
  const hostAliases = [{ ip: await gatewayIP(), hostnames: [host] }];
  client = await plane.addClient({ name: "client", zone: "zone-1", hostAliases });
  const rest = plane.restAt({
    url: `https://${await gatewayIP()}`,
    serverName: host,
    caPem: publicCA.certificatePem,
  });
  // 421: it is there, and the name of the request is not that of the handshake.
  await eventually(
    async () => (await rest.call({ path: "/" })).status,
    (status) => status === 421,
  );
  await untilServed();
}, startTimeoutMs);

afterAll(async () => {
  await plane.stop();
  await cluster.stop();
});

describeDataPlane("a hosted cluster through the gateway", () => {
  it("knows a client certificate's user and groups", async () => {
    const user = { name: "jane", groups: ["dev", "ops"] };
    const kubeconfig = await hosted.kubeconfigFor(user, access());
    const json = await throughGateway(kubeconfig, ["auth", "whoami", "-o", "json"]);
    expect(JSON.parse(json)).toMatchObject({
      status: {
        userInfo: { username: "jane", groups: ["dev", "ops", "system:authenticated"] },
      },
    });
  });

  it("knows a token's ServiceAccount", async () => {
    const token = await hosted.tokenFor({ namespace: "default", name: "robot" });
    const user = { name: "robot", groups: [] };
    const kubeconfig = await hosted.kubeconfigFor(user, { ...access(), token });
    const json = await throughGateway(kubeconfig, ["auth", "whoami", "-o", "json"]);
    expect(JSON.parse(json)).toMatchObject({
      status: { userInfo: { username: "system:serviceaccount:default:robot" } },
    });
  });

  it("runs commands in, logs and forwards to Pods that kwok plays", async () => {
    const admin = { name: "admin", groups: ["system:masters"] };
    const kubeconfig = await hosted.kubeconfigFor(admin, access());
    const pod = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name: "shell" },
      spec: { nodeName: "node-zone-1", containers: [{ name: "main", image: "none" }] },
    };
    const created = await throughGateway(kubeconfig, ["create", "-f", "-"], JSON.stringify(pod));
    expect(created).toBe("pod/shell created\n");
    const wait = ["wait", "pod/shell", "--for=condition=Ready", "--timeout=60s"];
    expect(await throughGateway(kubeconfig, wait)).toContain("condition met");
    expect(await throughGateway(kubeconfig, ["exec", "shell", "--", "echo", "hello"])).toBe(
      "hello\n",
    );
    await appendFile(hosted.kwok.podLogPath, "2026-01-01T00:00:00Z stdout F a line\n");
    expect(await throughGateway(kubeconfig, ["logs", "shell"])).toContain("a line");
    const forward = [
      hosted.kubectlPath,
      "--kubeconfig",
      kubeconfig,
      "port-forward",
      "shell",
      "18080:80",
    ];
    const { stdout } = await client.run(["sh", "-c", getForwarded, ...forward]);
    expect(stdout).toContain("ok");
  }, 180_000);

  it("spreads the requests of one connection over all API servers", async () => {
    const read = async () =>
      Promise.all(
        hosted.replicas.map(async (replica) =>
          replica.requestCount(({ resource, verb }) => resource === "configmaps" && verb === "GET"),
        ),
      );
    const { certificatePem, privateKeyPem } = await hosted.issueClient({
      name: "admin",
      groups: ["system:masters"],
    });
    const before = await read();
    const input = JSON.stringify({
      origin: `https://${host}`,
      path: "/api/v1/namespaces/default/configmaps/absent",
      requests: 300,
      tls: { ca: publicCA.certificatePem, cert: certificatePem, key: privateKeyPem },
    });
    const { stdout, stderr } = await client.run(["node", "-e", http2Client], { input });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual({ 404: 300 });
    const after = await read();
    const counts = after.map((count, index) => count - (before[index] ?? 0));
    expect(counts.reduce((sum, count) => sum + count)).toBe(300);
    expect(Math.max(...counts)).toBeLessThanOrEqual(110);
  });

  it("is reached at the gateway of the client's zone", async () => {
    const connections = async () =>
      Promise.all(
        gateway.replicas.map(async (replica) => {
          const stats = await replica.stats();
          const names = [...stats.keys()].filter((name) =>
            name.endsWith("9443.downstream_cx_total"),
          );
          return names.reduce((sum, name) => sum + (stats.get(name) ?? 0), 0);
        }),
      );
    const before = await connections();
    const user = { name: "jane", groups: [] };
    const kubeconfig = await hosted.kubeconfigFor(user, access());
    for (let count = 0; count < 4; count += 1) {
      await throughGateway(kubeconfig, ["auth", "whoami"]);
    }
    const after = await connections();
    expect((after[0] ?? 0) - (before[0] ?? 0)).toBeGreaterThanOrEqual(4);
    expect((after[1] ?? 0) - (before[1] ?? 0)).toBe(0);
  });
});

/** Runs its arguments until what they forward to has answered. */
const getForwarded = `
"$0" "$@" > /dev/null &
forward=$!
for attempt in $(seq 100); do
  node -e 'fetch("http://127.0.0.1:18080/healthz").then((answer) => answer.text()).then(console.log)' \
    2> /dev/null && break
  sleep 0.1
done
kill $forward
`;

/** GETs a path many times over one HTTP/2 connection; prints how often each status came. */
const http2Client = `
const { connect } = require("node:http2");
const { origin, path, requests, tls } = JSON.parse(require("node:fs").readFileSync(0, "utf8"));
const session = connect(origin, tls);
const statuses = {};
const get = () => new Promise((resolve, reject) => {
  const stream = session.request({ ":path": path });
  stream.on("response", (headers) => {
    statuses[headers[":status"]] = (statuses[headers[":status"]] ?? 0) + 1;
  });
  stream.on("error", reject);
  stream.on("end", resolve);
  stream.resume();
});
(async () => {
  for (let count = 0; count < requests; count += 1) await get();
  session.close();
  console.log(JSON.stringify(statuses));
})();
`;

describeDataPlane("an API server that stops", () => {
  const path = "{range .items[*].endpoints[*]}{.targetRef.name}={.conditions.ready} {end}";
  const endpoints = async () => {
    const selector = "kubernetes.io/service-name=kube-apiserver";
    const args = ["get", "endpointslices", "-n", "shoot1", "-l", selector];
    return (await kubectl(...args, "-o", `jsonpath=${path}`)).trim().split(" ").sort();
  };

  it("leaves the endpoints while it still answers, and comes back", async () => {
    const all = [0, 1, 2].map((index) => `kube-apiserver-${index}=true`);
    await eventually(endpoints, (found) => found.join() === all.join());
    const stopping = hosted.stopReplica(1);
    await eventually(endpoints, (found) => found.includes("kube-apiserver-1=false"));
    // It still serves: that is what its shutdown delay is for.
    const replica = hosted.replicas[1];
    const version = await replica?.rest.call({ path: "/version" });
    expect(version?.status).toBe(200);
    await stopping;
    await hosted.startReplica(1);
    await eventually(endpoints, (found) => found.includes("kube-apiserver-1=true"));
    expect(replica?.pod.isReady()).toBe(true);
  }, 240_000);
});

describeDataPlane("a gateway's replica that is killed", () => {
  it("is not ready, leaves no Envoy behind, and serves again when it is started", async () => {
    const replica = gateway.replicas[1];
    if (replica === undefined) throw new Error("There is no second replica.");
    // A probe that was under way may still say how it was before; the next one does not.
    const isReady = async () => Promise.resolve(replica.pod.isReady());
    await replica.stop("SIGKILL");
    await eventually(isReady, (found) => !found);
    expect([...plane.memory().keys()].filter((name) => name.startsWith("envoy-"))).toHaveLength(1);
    await replica.start();
    await eventually(isReady, (found) => found);
    const rest = plane.restAt({
      url: `https://${replica.place.address}:9443`,
      serverName: host,
      caPem: publicCA.certificatePem,
    });
    await eventually(
      async () => (await rest.call({ path: "/" })).status,
      (status) => status === 421,
    );
  }, 240_000);
});

describeDataPlane("configuration that is wrong", () => {
  it("is seen nowhere so far", async () => {
    expect(await plane.istiod.rejections()).toEqual({ xds: 0, validation: 0, internal: 0 });
    for (const replica of gateway.replicas) expect(await replica.rejectedUpdates()).toEqual({});
  });

  it("is refused by istiod's webhook", async () => {
    const object = {
      apiVersion: "networking.istio.io/v1",
      kind: "Gateway",
      metadata: { name: "wrong", namespace },
      spec: {
        selector: labels,
        servers: [
          {
            hosts: ["a.example.com"],
            port: { name: "tls", number: 9443, protocol: "HTTPS" },
            // Without a certificate.
            tls: { mode: "SIMPLE" },
          },
        ],
      },
    };
    const { exitCode, stderr } = await apply(object);
    expect(exitCode).toBe(1);
    expect(stderr).toContain('admission webhook "rev.validation.istio.io" denied the request');
    expect(await plane.istiod.rejections()).toMatchObject({ validation: 1 });
  });

  it("is noticed when Envoy refuses it", async () => {
    const name = "broken-script";
    const object = {
      apiVersion: "networking.istio.io/v1alpha3",
      kind: "EnvoyFilter",
      metadata: { name, namespace },
      spec: {
        workloadSelector: { labels },
        configPatches: [
          {
            applyTo: "HTTP_FILTER",
            match: { context: "GATEWAY", listener: { portNumber: 9443 } },
            patch: {
              operation: "INSERT_FIRST",
              value: {
                name: "broken",
                typed_config: {
                  "@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua",
                  default_source_code: { inline_string: "this is not Lua" },
                },
              },
            },
          },
        ],
      },
    };
    expect(await apply(object)).toMatchObject({ exitCode: 0 });
    const { xds } = await eventually(plane.istiod.rejections, (found) => found.xds > 0);
    expect(xds).toBeGreaterThan(0);
    // The one that istiod has heard of may be the other one.
    await eventually(
      async () => Object.keys((await gateway.replicas[0]?.rejectedUpdates()) ?? {}),
      (rejected) => rejected.length > 0,
    );
    await kubectl("delete", "envoyfilter", name, "-n", namespace);
  }, 240_000);
});
