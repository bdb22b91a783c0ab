import { mkdirSync, mkdtempSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import https from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TLSSocket } from "node:tls";
import { createCA, issue, type KeyPair } from "../../test/cluster";
import type { Clock } from "./clock";
import { silentLogger } from "./logger";
import type { LivenessVerdict } from "./liveness";
import { prepareWebhookServer, servingFilesFrom, untilServable } from "./webhook-server";

/** A clock whose time passes when the test says so. */
class HandClock implements Clock {
  readonly #due: (() => void)[] = [];
  nowMs(): number {
    return 0;
  }
  after(_delayMs: number, run: () => void): () => void {
    this.#due.push(run);
    return () => {
      const at = this.#due.indexOf(run);
      if (at >= 0) this.#due.splice(at, 1);
    };
  }
  get waiting(): number {
    return this.#due.length;
  }
  /** Runs what is due. */
  run(): void {
    for (const run of this.#due.splice(0)) run();
  }
  /** Runs what is due, and waits until something is due again. */
  async pass(): Promise<void> {
    this.run();
    while (this.#due.length === 0) await new Promise((resolve) => setImmediate(resolve));
  }
}

const createServer = https.createServer.bind(https);
let folder: string;
let ca: KeyPair;
let generation = 0;
let clock: HandClock;
let server: https.Server | undefined;
let verdict: LivenessVerdict;

/** What a kubelet does: a new folder, and a link that is moved to it. */
function mount(files: Readonly<Record<string, string>>): void {
  generation += 1;
  const data = join(folder, `..${generation}`);
  mkdirSync(data);
  for (const [name, text] of Object.entries(files)) writeFileSync(join(data, name), text);
  symlinkSync(`..${generation}`, join(folder, "..new"));
  renameSync(join(folder, "..new"), join(folder, "..data"));
}

function filesOf({ certificatePem, privateKeyPem }: KeyPair): Record<string, string> {
  return { "tls.crt": certificatePem, "tls.key": privateKeyPem };
}

const files = () => ({
  certificatePath: join(folder, "..data", "tls.crt"),
  privateKeyPath: join(folder, "..data", "tls.key"),
});

async function leaf(commonName: string): Promise<KeyPair> {
  return issue(ca, { commonName, dnsNames: ["localhost"], usages: ["server"] });
}

async function serve(pair: KeyPair): Promise<https.Server> {
  mount(filesOf(pair));
  const liveness = { check: () => verdict };
  prepareWebhookServer({ clock, log: silentLogger, files: files(), liveness });
  const options = {
    cert: Buffer.from(pair.certificatePem),
    key: Buffer.from(pair.privateKeyPem),
  };
  const started = https.createServer(options, (_request, response) => {
    response.end("OK");
  });
  server = started;
  await new Promise<void>((resolve) => started.listen(0, resolve));
  return started;
}

/** The status of an answer, and its text. */
async function read(path: string): Promise<string> {
  const { port } = server?.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const request = https.get(
      { host: "localhost", port, path, ca: ca.certificatePem },
      (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("end", () => {
          resolve(`${response.statusCode ?? 0} ${Buffer.concat(chunks).toString("utf8")}`);
        });
      },
    );
    request.on("error", reject);
  });
}

/** The common name of what is served to a request, on a connection of its own unless an agent is given. */
async function ask(agent?: https.Agent): Promise<string> {
  const { port } = server?.address() as AddressInfo;
  return new Promise((resolve, reject) => {
    const request = https.get(
      { host: "localhost", port, ca: ca.certificatePem, agent: agent ?? false },
      (response) => {
        const { subject } = (response.socket as TLSSocket).getPeerCertificate();
        response.resume();
        response.on("end", () => {
          resolve(String(subject.CN));
        });
      },
    );
    request.on("error", reject);
  });
}

beforeAll(async () => {
  ca = await createCA({ commonName: "ca" });
});

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "fairlead-serving-"));
  clock = new HandClock();
  verdict = { kind: "alive" };
});

afterEach(async () => {
  https.createServer = createServer;
  const started = server;
  server = undefined;
  if (started !== undefined) await new Promise((resolve) => started.close(resolve));
  rmSync(folder, { recursive: true });
});

describe("the webhook's server", () => {
  it("keeps connections longer than kube-apiserver does", async () => {
    const { keepAliveTimeout, headersTimeout } = await serve(await leaf("first"));
    expect(keepAliveTimeout).toBe(95_000);
    expect(headersTimeout).toBeGreaterThan(keepAliveTimeout);
  });

  it("serves a renewed certificate to new connections, and goes on with those that are open", async () => {
    await serve(await leaf("first"));
    const agent = new https.Agent({ keepAlive: true, maxSockets: 1 });
    expect([await ask(), await ask(agent)]).toEqual(["first", "first"]);
    mount(filesOf(await leaf("second")));
    await clock.pass();
    expect([await ask(), await ask(agent)]).toEqual(["second", "first"]);
    agent.destroy();
  });

  it("answers whether the process is of use, and leaves the rest to Pepr", async () => {
    await serve(await leaf("first"));
    expect(await read("/livez")).toBe('200 {"kind":"alive"}');
    verdict = { kind: "dead", watches: ["Service"] };
    expect(await read("/livez")).toBe('503 {"kind":"dead","watches":["Service"]}');
    expect(await read("/healthz")).toBe("200 OK");
  });

  it("goes on with what it has while the files cannot be served", async () => {
    const [first, second] = await Promise.all([leaf("first"), leaf("second")]);
    await serve(first);
    const broken = [
      {},
      { "tls.crt": "", "tls.key": "" },
      { "tls.crt": second.certificatePem, "tls.key": first.privateKeyPem },
      { "tls.crt": second.certificatePem, "tls.key": "text" },
    ];
    for (const contents of broken) {
      mount(contents as Record<string, string>);
      await clock.pass();
      expect(await ask()).toBe("first");
    }
    mount(filesOf(second));
    await clock.pass();
    expect(await ask()).toBe("second");
  });

  it("looks at the files no more once it is closed", async () => {
    const started = await serve(await leaf("first"));
    expect(clock.waiting).toBe(1);
    server = undefined;
    await new Promise((resolve) => started.close(resolve));
    expect(clock.waiting).toBe(0);
  });

  it("is waited with until there is something to serve", async () => {
    mount({});
    let isServable = false;
    const waiting = untilServable({ clock, log: silentLogger, files: files() }).then(() => {
      isServable = true;
    });
    while (clock.waiting === 0) await new Promise((resolve) => setImmediate(resolve));
    await clock.pass();
    expect(isServable).toBe(false);
    mount(filesOf(await leaf("first")));
    clock.run();
    await waiting;
    expect(isServable).toBe(true);
  });

  it("serves the files that Pepr serves", () => {
    expect(servingFilesFrom({ SSL_CERT_PATH: "/a.crt", SSL_KEY_PATH: "" })).toEqual({
      certificatePath: "/a.crt",
      privateKeyPath: "/etc/certs/tls.key",
    });
  });
});
