import { mkdtemp, rename, writeFile } from "node:fs/promises";
import { connect, type ClientHttp2Session, type OutgoingHttpHeaders } from "node:http2";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as tlsConnect } from "node:tls";
import { envoyFilterOf } from "../../capabilities/exposure/resources";
import type { ConfigPatch, EnvoyFilter, InternalGateway } from "../../lib/api";
import { createCA, issue, type KeyPair } from "../cluster";
import { findPrograms } from "../cluster/binaries";
import type { ChildProgram } from "../cluster/child-program";
import { findFreePort } from "../cluster/ports";
import { silentProgress } from "../cluster/progress";
import { startWatchdog, type Watchdog } from "../cluster/watchdog";
import { bootstrapOf, scriptsOf } from "../envoy/configuration";
import { startEchoServer, type Echo, type EchoServer } from "../envoy/echo-server";
import { startEnvoy } from "../envoy/start-envoy";
import { eventually } from "../harness/eventually";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(300_000);

const HOST = "api.tenant-a.example.com";
const SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: "istio-ingress", uid: "9a" },
  spec: { selector: { istio: "ingressgateway" } },
};

/** The filter with its script changed. */
function edited(pattern: string, replacement: string): EnvoyFilter {
  const filter = JSON.stringify(envoyFilterOf(gateway, SECRET));
  expect(filter).toContain(pattern);
  return JSON.parse(filter.replaceAll(pattern, replacement)) as EnvoyFilter;
}

/** The filter without what it says of a part of Envoy's. */
function withoutPatches(applied: ConfigPatch["applyTo"]): EnvoyFilter {
  const { spec, ...rest } = envoyFilterOf(gateway, SECRET);
  const configPatches = spec.configPatches.filter(({ applyTo }) => applyTo !== applied);
  return { ...rest, spec: { ...spec, configPatches } };
}

/** What a request on an open connection is answered with. */
async function statusOn(session: ClientHttp2Session): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const stream = session.request({ ":path": "/", ":authority": HOST });
    stream.on("response", (headers) => {
      resolve(headers[":status"]);
    });
    stream.on("error", reject);
    stream.resume();
    stream.end();
  });
}

type Headers = readonly (readonly [string, string])[];

interface Answer {
  readonly status: number;
  readonly body: string;
}

const spoofs: readonly Headers[] = [
  [["X-Remote-User", "admin"]],
  [["x-ReMoTe-UsEr", "admin"]],
  [
    ["X-Remote-User", "admin"],
    ["x-remote-user", "root"],
  ],
  [["X-Remote-Group", "system:masters"]],
  [
    ["X-Remote-User", "admin"],
    ["X-Remote-Group", "system:masters"],
  ],
  [["X-Remote-Uid", "1"]],
  [["X-Remote-Extra-Scopes", "all"]],
  [["X-Remote-Extra-acme.com%2Fproject", "p"]],
  [["X-Remote-", "nothing"]],
  [["x_remote_user", "admin"]],
  [["x-fairlead-client-certificate", SECRET]],
  [["X-Fairlead-Client-Certificate", HOST]],
  [["x_fairlead_client_certificate", SECRET]],
  [["x-forwarded-client-cert", 'Subject="CN=admin"']],
  [["x-envoy-retry-on", "5xx"]],
  [["connection", "X-Remote-User"]],
  Array.from({ length: 90 }, (_, index) => [`X-Remote-Extra-Key${index}`, "v"] as const),
];

/** A real Envoy with fairlead's filter, without Istio. */
describeDataPlane("the filter in Envoy", () => {
  let directory: string;
  let watchdog: Watchdog;
  let program: string;
  let clientCA: KeyPair;
  let serverCA: KeyPair;
  let jane: KeyPair;
  let trusted: EchoServer;
  let untrusted: EchoServer;
  let port: number;

  interface Running {
    readonly envoy: ChildProgram;
    readonly port: number;
    /** How many scripts it did not take. */
    readonly refusedScripts: () => Promise<number>;
    /** Answers with this filter's script from now on, as istiod would. */
    readonly give: (scripts: EnvoyFilter) => Promise<void>;
  }

  /** @param scripts Whose script Envoy is given; the filter's own, if nothing is said. */
  async function start(
    filter: EnvoyFilter,
    { scripts = filter }: { scripts?: EnvoyFilter } = {},
  ): Promise<Running> {
    const [listenPort, adminPort] = [await findFreePort(), await findFreePort()];
    const server = await issue(serverCA, {
      commonName: "server",
      dnsNames: [HOST],
      usages: ["server"],
    });
    const listening = {
      host: HOST,
      certificatePem: server.certificatePem,
      privateKeyPem: server.privateKeyPem,
      clientCAPem: clientCA.certificatePem,
      routeSecret: SECRET,
    };
    const scriptsPath = join(directory, `scripts-${listenPort}.json`);
    const give = async (from: EnvoyFilter) => {
      await writeFile(`${scriptsPath}.new`, JSON.stringify(scriptsOf(from)), { mode: 0o600 });
      // Envoy notices a file that takes another one's place.
      await rename(`${scriptsPath}.new`, scriptsPath);
    };
    await give(scripts);
    const bootstrap = bootstrapOf(filter, listening, {
      scriptsPath,
      listenPort,
      adminPort,
      trustedPort: trusted.port,
      untrustedPort: untrusted.port,
    });
    const envoy = await startEnvoy({ program, bootstrap, adminPort, directory, watchdog });
    return {
      envoy,
      port: listenPort,
      async refusedScripts() {
        const url = `http://127.0.0.1:${adminPort}/stats?filter=extension_config_discovery`;
        const stats = await (await fetch(url)).text();
        return Number(/\.(?:config_fail|update_rejected): ([1-9]\d*)/.exec(stats)?.[1] ?? 0);
      },
      give,
    };
  }

  /** Runs with requests going to another Envoy, which ends afterwards. */
  async function at(running: Running, run: () => Promise<void>): Promise<void> {
    const before = port;
    port = running.port;
    try {
      await run();
    } finally {
      port = before;
      await running.envoy.stop();
    }
  }

  const tlsOptions = (client?: KeyPair) => ({
    servername: HOST,
    ca: serverCA.certificatePem,
    ...(client === undefined ? {} : { cert: client.certificatePem, key: client.privateKeyPem }),
  });

  async function http1(
    headers: Headers,
    { client, path = "/api", host = HOST }: { client?: KeyPair; path?: string; host?: string } = {},
  ): Promise<Answer> {
    return new Promise((resolve, reject) => {
      const request = httpsRequest({
        host: "127.0.0.1",
        port,
        path,
        agent: false,
        ...tlsOptions(client),
        headers: ["host", host, ...headers.flat()] as unknown as OutgoingHttpHeaders,
      });
      request.on("response", (response) => {
        let body = "";
        response.on("data", (chunk: Buffer) => (body += chunk.toString()));
        response.on("end", () => {
          resolve({ status: response.statusCode ?? 0, body });
        });
      });
      request.on("upgrade", (response) => {
        response.socket.destroy();
        const seen = Buffer.from(String(response.headers["x-seen"]), "base64").toString();
        resolve({ status: 101, body: seen });
      });
      request.on("error", reject);
      request.end();
    });
  }

  async function http2(
    headers: Headers,
    { client, authority = HOST }: { client?: KeyPair; authority?: string } = {},
  ): Promise<Answer> {
    const session = connect(`https://127.0.0.1:${port}`, {
      ...tlsOptions(client),
      settings: { maxHeaderListSize: 1_048_576 },
    });
    const grouped: Record<string, string[]> = {};
    for (const [name, value] of headers) (grouped[name.toLowerCase()] ??= []).push(value);
    try {
      return await new Promise<Answer>((resolve, reject) => {
        session.on("error", reject);
        const stream = session.request({ ":path": "/api", ":authority": authority, ...grouped });
        let body = "";
        let status = 0;
        stream.on("response", (found) => (status = found[":status"] ?? 0));
        stream.on("data", (chunk: Buffer) => (body += chunk.toString()));
        stream.on("end", () => {
          resolve({ status, body });
        });
        stream.on("error", reject);
        stream.end();
      });
    } finally {
      session.destroy();
    }
  }

  /** What the server got of identities and certificates, and which server it was. */
  function identityOf({ status, body }: Answer): unknown {
    if (status !== 200 && status !== 101) return { status };
    const echo = JSON.parse(body) as Echo;
    return {
      server: echo.server,
      headers: echo.headers.filter(([name]) =>
        /^x[-_](remote|fairlead)|^x-forwarded-client|^x-envoy-(retry|max)/.test(name),
      ),
    };
  }

  const anonymous = { server: "untrusted", headers: [] };
  const asJane = {
    server: "trusted",
    headers: [
      ["x-remote-user", "jane"],
      ["x-remote-group", "dev"],
      ["x-remote-group", "ops"],
    ],
  };

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), "fairlead-envoy-"));
    watchdog = startWatchdog(directory);
    const programs = await findPrograms({ programs: ["envoy"], progress: silentProgress });
    program = programs.paths.envoy ?? "";
    [clientCA, serverCA] = await Promise.all([
      createCA({ commonName: "client-ca" }),
      createCA({ commonName: "server-ca" }),
    ]);
    jane = await issue(clientCA, {
      commonName: "jane",
      organizations: ["dev", "ops"],
      usages: ["client"],
    });
    const upstream = await issue(serverCA, {
      commonName: "kube-apiserver",
      dnsNames: ["kubernetes.default.svc", "passed.through.example.com"],
      usages: ["server"],
    });
    trusted = await startEchoServer("trusted", upstream);
    untrusted = await startEchoServer("untrusted", upstream);
    ({ port } = await start(envoyFilterOf(gateway, SECRET)));
  });

  afterAll(async () => {
    await Promise.all([trusted.stop(), untrusted.stop()]);
    await watchdog.close();
  });

  it.each([
    ["HTTP/1.1", http1],
    ["HTTP/2", http2],
  ])("takes no client's word for who it is, over %s", async (version, send) => {
    for (const spoof of spoofs) {
      // HTTP/2 knows no Connection header.
      if (version === "HTTP/2" && spoof[0]?.[0] === "connection") continue;
      const token: Headers = [["authorization", "Bearer t"]];
      expect(identityOf(await send(spoof))).toEqual(anonymous);
      expect(identityOf(await send([...spoof, ...token]))).toEqual(anonymous);
      expect(identityOf(await send(spoof, { client: jane }))).toEqual(asJane);
      expect(identityOf(await send([...spoof, ...token], { client: jane }))).toEqual(asJane);
    }
  });

  it("goes on in the client's HTTP version", async () => {
    const versions = await Promise.all([http1([]), http2([])]);
    expect(versions.map(({ body }) => (JSON.parse(body) as Echo).httpVersion)).toEqual([
      "1.1",
      "2.0",
    ]);
  });

  it("gives names with commas, quotes and other letters as they are", async () => {
    const client = await issue(clientCA, {
      commonName: "doe, jané 名",
      organizations: ["a, b", "dev", "dev"],
      usages: ["client"],
    });
    const expected = {
      server: "trusted",
      headers: [
        ["x-remote-user", "doe, jané 名"],
        ["x-remote-group", "a, b"],
        ["x-remote-group", "dev"],
        ["x-remote-group", "dev"],
      ],
    };
    expect(identityOf(await http1([], { client }))).toEqual(expected);
    expect(identityOf(await http2([], { client }))).toEqual(expected);
  });

  it("gives 1,000 organizations", async () => {
    const organizations = Array.from({ length: 1000 }, (_, index) => `group-${index}`);
    const client = await issue(clientCA, { commonName: "jane", organizations, usages: ["client"] });
    const { status, body } = await http2([], { client });
    expect(status).toBe(200);
    const { headers } = JSON.parse(body) as Echo;
    const groups = headers.filter(([name]) => name === "x-remote-group");
    expect(groups.map(([, value]) => value)).toEqual(organizations);
  });

  it("fails the connection of a certificate of more than 32 KiB, whose TLS 1.3 sessions are too large", async () => {
    const organizations = Array.from(
      { length: 1000 },
      (_, index) => `a-longer-group-name-${index}`,
    );
    const client = await issue(clientCA, { commonName: "jane", organizations, usages: ["client"] });
    // Or EPIPE, where the request was not written yet.
    await expect(http1([], { client })).rejects.toThrow(/reset|hang up|closed|EPIPE/i);
  });

  it.each([" jane", "jane\t", "ja\u0001ne"])(
    "refuses the common name %j, which a header would change",
    async (commonName) => {
      const client = await issue(clientCA, { commonName, usages: ["client"] });
      expect((await http2([], { client })).status).toBe(401);
    },
  );

  it("refuses a certificate that expired on an open connection", async () => {
    const client = await issue(clientCA, {
      commonName: "jane",
      usages: ["client"],
      // Long enough for the first request, however slow the machine is.
      notAfter: new Date(Date.now() + 10_000),
    });
    const session = connect(`https://127.0.0.1:${port}`, tlsOptions(client));
    const status = async () => statusOn(session);
    expect(await status()).toBe(200);
    let last = await status();
    while (last === 200) {
      await sleep(200);
      last = await status();
    }
    session.destroy();
    expect(last).toBe(401);
  });

  it("fails the handshake of a certificate that another CA signed", async () => {
    const otherCA = await createCA({ commonName: "client-ca" });
    const client = await issue(otherCA, { commonName: "admin", usages: ["client"] });
    await expect(http1([], { client })).rejects.toThrow(/alert|reset|hang up|EPIPE/i);
  });

  it("knows a client on a resumed TLS session", async () => {
    const options = { host: "127.0.0.1", port, ...tlsOptions(jane), ALPNProtocols: ["http/1.1"] };
    const ask = async (
      session?: Buffer,
    ): Promise<{ text: string; session: Buffer; reused: boolean }> =>
      new Promise((resolve, reject) => {
        const socket = tlsConnect({ ...options, ...(session === undefined ? {} : { session }) });
        let text = "";
        let ticket: Buffer | undefined;
        let reused = false;
        socket.on("secureConnect", () => (reused = socket.isSessionReused()));
        socket.on("session", (found: Buffer) => (ticket = found));
        socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
        socket.on("close", () => {
          resolve({ text, session: ticket ?? Buffer.alloc(0), reused });
        });
        socket.on("error", reject);
        socket.write(`GET / HTTP/1.1\r\nhost: ${HOST}\r\nconnection: close\r\n\r\n`);
      });
    const first = await ask();
    const second = await ask(first.session);
    expect(second.reused).toBe(true);
    expect(second.text).toContain('["x-remote-user","jane"]');
  });

  it.each([
    ["another host", "api.tenant-b.example.com", 421],
    ["no such host", "kubernetes", 421],
    ["a port", `${HOST}:9443`, 200],
    ["a final dot", `${HOST}.`, 200],
    ["upper case", HOST.toUpperCase(), 200],
  ])(
    "answers a request with %s in its authority by the handshake's host",
    async (_what, authority, status) => {
      expect((await http2([], { authority })).status).toBe(status);
      expect((await http1([], { host: authority })).status).toBe(status);
    },
  );

  it.each(["Upgrade", "upgrade", "keep-alive, Upgrade", "Upgrade, X-Remote-User, X-Remote-Group"])(
    "lets an upgrade with Connection: %s through, with its identity",
    async (connection) => {
      const headers: Headers = [
        ["Connection", connection],
        ["Upgrade", "SPDY/3.1"],
        ["X-Remote-User", "admin"],
      ];
      const answer = await http1(headers, { client: jane });
      expect(answer.status).toBe(101);
      expect(identityOf(answer)).toEqual(asJane);
      const echo = JSON.parse(answer.body) as Echo;
      expect(echo.headers).toContainEqual(["connection", "Upgrade"]);
    },
  );

  it("takes as many headers as a client with 900 groups to impersonate sends", async () => {
    const headers = Array.from(
      { length: 900 },
      (_, index) => ["impersonate-group", `a-group-of-some-length-${index}`] as const,
    );
    expect((await http2(headers)).status).toBe(200);
  });

  it("keeps escaped slashes in a path", async () => {
    const { body } = await http1([], { path: "/api/v1/namespaces/a/services/b/proxy/c%2Fd//e" });
    expect((JSON.parse(body) as Echo).path).toBe("/api/v1/namespaces/a/services/b/proxy/c%2Fd//e");
  });

  it("can't keep istiod's default from resolving dots in a path, since its merge can't turn that off", async () => {
    const { body } = await http1([], { path: "/api/v1/../v1/%6eamespaces" });
    expect((JSON.parse(body) as Echo).path).toBe("/api/v1/namespaces");
  });

  it("passes connections through on the same port", async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = tlsConnect({
        host: "127.0.0.1",
        port,
        servername: "passed.through.example.com",
        ca: serverCA.certificatePem,
        ALPNProtocols: ["http/1.1"],
      });
      let text = "";
      socket.on("data", (chunk: Buffer) => (text += chunk.toString()));
      socket.on("end", () => {
        resolve(text);
      });
      socket.on("error", reject);
      socket.write(
        "GET / HTTP/1.1\r\nhost: x\r\nx-remote-user: admin\r\nconnection: close\r\n\r\n",
      );
    });
    // As it came, to a server that does not believe it.
    expect(answer).toContain('["x-remote-user","admin"]');
    expect(answer).toContain('"server":"untrusted"');
  });

  const spoof: Headers = [
    ["x-remote-user", "admin"],
    ["x-fairlead-client-certificate", HOST],
  ];

  it("answers 500 when its script fails, and never leads to the trusted route", async () => {
    const broken = edited("ssl:parsedSubjectPeerCertificate()", "ssl:noSuchMethod()");
    await at(await start(broken), async () => {
      expect((await http2(spoof, { client: jane })).status).toBe(500);
      expect(identityOf(await http2(spoof))).toEqual(anonymous);
    });
  });

  it("without it, a spoofing client stays who it is: the route's secret is not to be guessed", async () => {
    await at(await start(withoutPatches("HTTP_FILTER")), async () => {
      const answer = await http2(spoof, { client: jane });
      expect((JSON.parse(answer.body) as Echo).server).toBe("untrusted");
    });
  });

  it.each([
    ["is not there", withoutPatches("EXTENSION_CONFIG")],
    ["is not Lua", edited("local ROUTE_HEADER", "this is not Lua")],
    ["is another filter's", edited("http.lua.v3.Lua", "http.buffer.v3.Buffer")],
  ])("answers 500 to everything while its script %s", async (_what, scripts) => {
    const running = await start(envoyFilterOf(gateway, SECRET), { scripts });
    await at(running, async () => {
      for (const send of [http1, http2]) {
        for (const client of [undefined, jane]) {
          expect((await send(spoof, client === undefined ? {} : { client })).status).toBe(500);
        }
      }
      await running.give(envoyFilterOf(gateway, SECRET));
      await eventually(async () => {
        expect(identityOf(await http2(spoof, { client: jane }))).toEqual(asJane);
      });
    });
  });

  it("goes on with the last script when the next one is refused", async () => {
    const running = await start(envoyFilterOf(gateway, SECRET));
    await at(running, async () => {
      await running.give(edited("local ROUTE_HEADER", "this is not Lua"));
      await eventually(async () => {
        expect(await running.refusedScripts()).toBe(1);
      });
      expect(identityOf(await http2(spoof))).toEqual(anonymous);
      expect(identityOf(await http2(spoof, { client: jane }))).toEqual(asJane);
    });
  });

  it("takes another script on open connections", async () => {
    const running = await start(envoyFilterOf(gateway, SECRET));
    await at(running, async () => {
      const session = connect(`https://127.0.0.1:${port}`, tlsOptions(jane));
      const status = async () => statusOn(session);
      try {
        expect(await status()).toBe(200);
        await running.give(edited("ssl:parsedSubjectPeerCertificate()", "ssl:noSuchMethod()"));
        await eventually(async () => {
          expect(await status()).toBe(500);
        });
      } finally {
        session.destroy();
      }
    });
  });
});
