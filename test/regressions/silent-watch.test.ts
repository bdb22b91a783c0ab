import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { KubeConfig } from "@kubernetes/client-node";
import type { KubernetesObject } from "../../lib/api";
import {
  Connection,
  KubernetesClient,
  openCache,
  silentLogger,
  type Cache,
  type Clock,
} from "../../lib/cluster";
import { eventually } from "../harness/eventually";

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Time that passes only when it is told to. */
class ManualClock implements Clock {
  #nowMs = 0;
  readonly #timers = new Set<Timer>();

  nowMs(): number {
    return this.#nowMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { dueMs: this.#nowMs + delayMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers].filter(({ dueMs }) => dueMs <= this.#nowMs)) {
      this.#timers.delete(timer);
      timer.run();
    }
  }
}

/**
 * Lists and watches of ConfigMaps. A watch gets a bookmark and then nothing, as one whose connection was lost without
 * either side being told.
 */
class SilentServer {
  version = 1;
  value = "old";
  watches = 0;
  readonly #open = new Set<ServerResponse>();
  readonly #server = createServer((request, response) => {
    this.#answer(request, response);
  });

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
  }

  async stop(): Promise<void> {
    for (const response of this.#open) response.destroy();
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #answer({ url = "" }: IncomingMessage, response: ServerResponse): void {
    const resourceVersion = String(this.version);
    const metadata = { namespace: "tenant-a", name: "source", uid: "1", resourceVersion };
    response.setHeader("content-type", "application/json");
    if (!new URL(url, this.url).searchParams.has("watch")) {
      const item = { metadata, data: { value: this.value } };
      const list = { kind: "ConfigMapList", apiVersion: "v1", metadata: { resourceVersion } };
      response.end(JSON.stringify({ ...list, items: [item] }));
      return;
    }
    this.watches += 1;
    this.#open.add(response);
    const object = { kind: "ConfigMap", apiVersion: "v1", metadata: { resourceVersion } };
    response.write(`${JSON.stringify({ type: "BOOKMARK", object })}\n`);
    // What changed since the version that is asked for.
    const since = Number(new URL(url, this.url).searchParams.get("resourceVersion") ?? "0");
    if (since >= this.version) return;
    const changed = { ...object, metadata, data: { value: this.value } };
    response.write(`${JSON.stringify({ type: "MODIFIED", object: changed })}\n`);
  }
}

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

describe("a watch that nobody ends and nobody answers", () => {
  const clock = new ManualClock();
  const server = new SilentServer();
  let cache: Cache<ConfigMap>;

  beforeAll(async () => {
    await server.start();
    const config = new KubeConfig();
    // client-node speaks without TLS only where it is told not to verify it.
    const cluster = { name: "test", server: server.url, skipTLSVerify: true };
    config.loadFromClusterAndUser(cluster, { name: "test" });
    const client = new KubernetesClient(new Connection(config));
    cache = openCache<ConfigMap>(
      { client, clock, log: silentLogger },
      { apiVersion: "v1", kind: "ConfigMap" },
    );
    await cache.synced;
  });

  afterAll(async () => {
    cache.stop();
    await server.stop();
  });

  const value = (): string | undefined => cache.get("source", "tenant-a")?.data?.value;

  it("is given up, and what it missed is seen", async () => {
    await eventually(() => {
      expect(server.watches).toBe(1);
    });
    expect(value()).toBe("old");
    server.version += 1;
    server.value = "new";
    await eventually(() => {
      // Some bookmarks are missing by then; a watch that never has any may be silent for longer.
      if (clock.nowMs() < 600_000) clock.advance(60_000);
      expect(value()).toBe("new");
    });
    expect(server.watches).toBeGreaterThan(1);
  });
});
