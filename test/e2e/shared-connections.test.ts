import { mkdtemp, writeFile } from "node:fs/promises";
import { connect as connectHttp2, createSecureServer, type ClientHttp2Session } from "node:http2";
import type { Http2SecureServer, Http2ServerRequest, Http2ServerResponse } from "node:http2";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { envoyFilterOf, virtualServiceOf } from "../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway } from "../../lib/api";
import { createCA, issue, type KeyPair } from "../cluster";
import { findPrograms } from "../cluster/binaries";
import { findFreePort } from "../cluster/ports";
import { silentProgress } from "../cluster/progress";
import { startWatchdog, type Watchdog } from "../cluster/watchdog";
import { bootstrapOf, scriptsOf } from "../envoy/configuration";
import { startEnvoy } from "../envoy/start-envoy";
import { eventually, settled } from "../harness/eventually";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(300_000);

const rounds = 5;
const HOST = "api.tenant-a.example.com";
const SECRET = "0f1e2d3c4b5a69788796a5b4c3d2e1f0";
const PATHS = { watch: "/api/watch", held: "/api/held", busy: "/api/busy", other: "/api" };
const EVENT = '{"type":"MODIFIED"}\n';
const UNAUTHORIZED = 401;
const BUSY = 503;
/** @see https://github.com/golang/net/blob/master/http2/server.go */
const GO_AWAY_TIMEOUT_MS = 1_000;

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: "istio-ingress", uid: "9a" },
  spec: { selector: { istio: "ingressgateway" } },
};

const tenant: HostedAPIServer = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { name: "main", namespace: "tenant-a" },
  spec: { kubernetesVersion: "1.34.2", hosts: [HOST] },
};

/** When the gateway sends a request again, as Envoy is told. */
function retryPolicy(): { readonly retry_on: string; readonly num_retries: number } {
  const { spec } = virtualServiceOf({
    server: tenant,
    gateway,
    namespaceUid: "7a",
    mode: {
      kind: "L7",
      credentials: { server: "tls", upstream: "mtls", clientCertificates: false },
    },
    trusted: false,
    routeSecret: SECRET,
    clusterDomain: "cluster.local",
  });
  const retries = (spec.http ?? []).flatMap((route) => ("retries" in route ? [route.retries] : []));
  const [{ retryOn, attempts } = { retryOn: "", attempts: 0 }] = retries;
  return { retry_on: retryOn, num_retries: attempts };
}

/**
 * An API server in what matters here: it closes the connection of whoever is nobody, since it can't know that the
 * connection is shared.
 * @see https://github.com/kubernetes/kubernetes/pull/121120
 */
class ClosingServer {
  busy = 0;
  readonly sessions = new Set<unknown>();
  readonly #closing = new WeakSet();
  #held: Http2ServerResponse[] = [];
  readonly #watches = new Set<Http2ServerResponse>();

  constructor(private readonly server: Http2SecureServer) {
    server.on("request", (request: Http2ServerRequest, response: Http2ServerResponse) => {
      this.#answer(request, response);
    });
    server.on("session", (session) => this.sessions.add(session));
  }

  get held(): number {
    return this.#held.length;
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, "127.0.0.1", resolve));
    return (this.server.address() as AddressInfo).port;
  }

  close(): void {
    this.server.close();
  }

  /** Answers what was held, and tells watches that something changed. */
  release(): void {
    for (const response of this.#held) {
      response.end("{}");
      if (response.statusCode === UNAUTHORIZED) this.#closeGently(response);
    }
    this.#held = [];
    for (const response of this.#watches) response.write(EVENT);
  }

  /** As Go's server: streams that it has taken may end, and only then does it hang up, a second later. */
  #closeGently({ stream: { session } }: Http2ServerResponse): void {
    if (session === undefined || this.#closing.has(session)) return;
    this.#closing.add(session);
    session.goaway();
    const timer = setTimeout(() => {
      if (!session.destroyed) session.close();
    }, GO_AWAY_TIMEOUT_MS);
    timer.unref();
  }

  #answer({ url, headers }: Http2ServerRequest, response: Http2ServerResponse): void {
    if (headers.authorization === undefined) response.statusCode = UNAUTHORIZED;
    switch (url) {
      case PATHS.watch:
        this.#watches.add(response);
        response.on("close", () => this.#watches.delete(response));
        response.write(EVENT);
        return;
      case PATHS.held:
        this.#held.push(response);
        return;
      case PATHS.busy:
        this.busy += 1;
        response.statusCode = BUSY;
    }
    response.end("{}");
  }
}

/** A network that can lose everything from one moment on, and tells nobody. */
class LossyNetwork {
  readonly #sockets = new Set<Socket>();
  readonly #near = new Set<Socket>();
  readonly #server: Server;

  constructor(port: number) {
    this.#server = createServer((near) => {
      this.#near.add(near);
      near.on("close", () => this.#near.delete(near));
      const far = connect({ port, host: "127.0.0.1" });
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        this.#sockets.add(socket);
        socket.on("error", () => other.destroy());
        socket.on("close", () => {
          this.#sockets.delete(socket);
          other.destroy();
        });
        socket.on("data", (chunk: Buffer) => other.write(chunk));
      }
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is sent to the server on the connections that there are waits, until it may go on. */
  holdRequests(): () => void {
    const held = [...this.#near];
    for (const socket of held) socket.pause();
    return () => {
      for (const socket of held) socket.resume();
    };
  }

  /** Connections that there are get nothing any more; new ones are well. */
  loseConnections(): void {
    for (const socket of this.#sockets) {
      socket.removeAllListeners("data");
      // What arrives is taken, so that TCP has nothing to complain about.
      socket.on("data", () => undefined);
    }
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }
}

/** A real Envoy with fairlead's filter and retries, in front of one API server. */
describeDataPlane("a connection to an API server that clients share", () => {
  let watchdog: Watchdog;
  let serverCA: KeyPair;
  let server: ClosingServer;
  let network: LossyNetwork;
  let port: number;
  let adminPort: number;
  const sessions: ClientHttp2Session[] = [];

  beforeAll(async () => {
    const directory = await mkdtemp(join(tmpdir(), "fairlead-envoy-"));
    watchdog = startWatchdog(directory);
    const programs = await findPrograms({ programs: ["envoy"], progress: silentProgress });
    serverCA = await createCA({ commonName: "server-ca" });
    const clientCA = await createCA({ commonName: "client-ca" });
    const usages = ["server"] as const;
    const [shown, upstream] = await Promise.all([
      issue(serverCA, { commonName: "gateway", dnsNames: [HOST], usages }),
      issue(serverCA, { commonName: "api", dnsNames: ["kubernetes.default.svc"], usages }),
    ]);
    server = new ClosingServer(
      createSecureServer({ cert: upstream.certificatePem, key: upstream.privateKeyPem }),
    );
    network = new LossyNetwork(await server.listen());
    const upstreamPort = await network.listen();
    adminPort = await findFreePort();
    port = await findFreePort();
    const filter = envoyFilterOf(gateway, SECRET);
    const scriptsPath = join(directory, "scripts.json");
    await writeFile(scriptsPath, JSON.stringify(scriptsOf(filter)), { mode: 0o600 });
    const bootstrap = bootstrapOf(
      filter,
      {
        host: HOST,
        certificatePem: shown.certificatePem,
        privateKeyPem: shown.privateKeyPem,
        clientCAPem: clientCA.certificatePem,
        routeSecret: SECRET,
      },
      {
        scriptsPath,
        listenPort: port,
        adminPort,
        trustedPort: upstreamPort,
        untrustedPort: upstreamPort,
      },
    );
    const withRetries: unknown = JSON.parse(JSON.stringify(bootstrap), (key, value: unknown) =>
      key === "retry_policy" ? retryPolicy() : value,
    );
    await startEnvoy({
      program: programs.paths.envoy ?? "",
      bootstrap: withRetries,
      adminPort,
      directory,
      watchdog,
    });
  });

  afterAll(async () => {
    for (const session of sessions) session.destroy();
    network.close();
    server.close();
    await watchdog.close();
  });

  function open(): ClientHttp2Session {
    const session = connectHttp2(`https://127.0.0.1:${port}`, {
      servername: HOST,
      ca: serverCA.certificatePem,
    });
    session.on("error", () => undefined);
    sessions.push(session);
    return session;
  }

  async function ask(
    session: ClientHttp2Session,
    path: string,
    { method = "GET", token = true }: { method?: string; token?: boolean } = {},
  ): Promise<number> {
    return new Promise((resolve, reject) => {
      const stream = session.request({
        ":method": method,
        ":path": path,
        ":authority": HOST,
        ...(token ? { authorization: "Bearer token" } : {}),
      });
      stream.on("response", (headers) => {
        resolve(headers[":status"] ?? 0);
      });
      stream.on("error", reject);
      stream.resume();
      stream.end();
    });
  }

  /** Requests that Envoy has sent and that were not answered to the end. */
  async function activeRequests(): Promise<number> {
    const filter = encodeURIComponent("cluster.no-client-certificate.upstream_rq_active$");
    const answer = await fetch(`http://127.0.0.1:${adminPort}/stats?filter=${filter}`);
    return Number((await answer.text()).split(": ")[1]);
  }

  /** A watch, with its events, once it has the first. */
  async function watch(session: ClientHttp2Session): Promise<{
    readonly events: () => number;
    readonly ended: Promise<void>;
  }> {
    const stream = session.request({
      ":path": PATHS.watch,
      ":authority": HOST,
      authorization: "Bearer token",
    });
    let text = "";
    const ended = new Promise<void>((resolve) => {
      stream.on("close", () => {
        resolve();
      });
    });
    stream.on("error", () => undefined);
    const first = new Promise((resolve) => stream.once("data", resolve));
    stream.on("data", (chunk: Buffer) => (text += chunk.toString()));
    await first;
    return { events: () => text.split(EVENT).length - 1, ended };
  }

  it("is closed because of a request of nobody's, and no other request or watch is cut or lost", async () => {
    const [nobody, client] = [open(), open()];
    const statuses: number[] = [];
    const note = async (answer: Promise<number>) => statuses.push(await answer);
    const before = server.sessions.size;
    for (let round = 0; round < rounds; round += 1) {
      const watching = await watch(client);
      const held = Array.from({ length: 20 }, async () => note(ask(client, PATHS.held)));
      const refused = ask(nobody, PATHS.held, { token: false });
      await eventually(() => {
        expect(server.held).toBe(21);
      });
      // Envoy counts a request for a moment after its client has the answer.
      const active = await settled(activeRequests, { quietMs: 200 });
      // These are on their way while the connection is closed: the server will not take them any more.
      const goOn = network.holdRequests();
      const late = Array.from({ length: 50 }, async () => note(ask(client, PATHS.other)));
      await eventually(async () => {
        expect(await activeRequests()).toBe(active + 50);
      });
      server.release();
      expect(await refused).toBe(UNAUTHORIZED);
      goOn();
      await Promise.all([...held, ...late]);
      await eventually(() => {
        expect(watching.events()).toBe(2);
      });
    }
    expect(statuses).toEqual(Array.from({ length: rounds * 70 }, () => 200));
    // So connections were closed indeed.
    expect(server.sessions.size).toBeGreaterThanOrEqual(before + rounds);
  });

  it.each(["GET", "POST"])("gets a %s that was answered with 503 once", async (method) => {
    const before = server.busy;
    expect(await ask(open(), PATHS.busy, { method })).toBe(BUSY);
    expect(server.busy).toBe(before + 1);
  });

  it("that is silently lost ends the watches on it, and requests find another one", async () => {
    const session = open();
    const { ended } = await watch(session);
    network.loseConnections();
    // By nothing but the gateway's own pings: both sides of the connection are well.
    await ended;
    expect(session.destroyed).toBe(false);
    expect(await ask(open(), PATHS.other)).toBe(200);
  });
});
