import { once } from "node:events";
import {
  constants,
  createSecureServer,
  type Http2SecureServer,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from "node:http2";
import type { AddressInfo, Socket } from "node:net";
import { createCA, issue, type KeyPair } from "../../cluster";
import { setTimeout as sleep } from "node:timers/promises";
import { alike, startLoad, type LoadOptions, type LoadReport } from ".";
import { LoadGenerator } from "./generator";

jest.setTimeout(60_000);

const REQUESTS = 200;

/** What the server is asked, and how often before. */
interface Asked {
  readonly stream: ServerHttp2Stream;
  readonly method: string;
  readonly path: string;
  readonly body: string;
  /** From 1, over all connections. */
  readonly count: number;
}

/** Answers instead of the server; false: the server answers. */
type Misbehave = (asked: Asked) => boolean;

const { NGHTTP2_INTERNAL_ERROR, NGHTTP2_REFUSED_STREAM, NGHTTP2_NO_ERROR } = constants;

/** Connections of all servers, by the client's port: a session does not give its own away. */
const sockets = new Map<number | undefined, Socket>();

function cut(session: ServerHttp2Stream["session"]): void {
  sockets.get(session?.socket.remotePort)?.destroy();
}

let ca: KeyPair;
let pair: KeyPair;

beforeAll(async () => {
  ca = await createCA({ commonName: "a CA" });
  pair = await issue(ca, { commonName: "server", dnsNames: ["localhost"], usages: ["server"] });
});

afterAll(() => {
  for (const socket of sockets.values()) socket.destroy();
});

function send(stream: ServerHttp2Stream, status: number, object: object): void {
  const text = JSON.stringify(object);
  stream.respond({ ":status": status, "content-length": Buffer.byteLength(text) });
  stream.end(text);
}

/** Keeps ConfigMaps as an API server does. */
function storage(): (asked: Asked) => void {
  const objects = new Map<string, { metadata: { name: string; uid: string }; data: object }>();
  return ({ stream, method, path, body }) => {
    const name = /configmaps\/([^?]+)/.exec(path)?.[1];
    const found = objects.get(name ?? "");
    if (path.includes("watch=true")) {
      stream.respond({ ":status": 200 });
      stream.write('{"type":"BOOKMARK"}\n');
    } else if (method === "POST") {
      const object = JSON.parse(body) as { metadata: { name: string }; data: object };
      if (objects.has(object.metadata.name)) {
        send(stream, 409, {});
        return;
      }
      const made = { ...object, metadata: { ...object.metadata, uid: "1" } };
      objects.set(object.metadata.name, made);
      send(stream, 201, made);
    } else if (name === undefined) send(stream, 200, { kind: "ConfigMapList" });
    else if (found === undefined) send(stream, 404, {});
    else if (method === "DELETE") {
      objects.delete(name);
      send(stream, 200, {});
    } else {
      if (method === "PUT") objects.set(name, JSON.parse(body) as typeof found);
      send(stream, 200, objects.get(name) ?? {});
    }
  };
}

async function startServer(misbehave: Misbehave): Promise<Http2SecureServer> {
  const server = createSecureServer({ cert: pair.certificatePem, key: pair.privateKeyPem });
  const answer = storage();
  let count = 0;
  server.on("secureConnection", (socket: Socket) => {
    sockets.set(socket.remotePort, socket);
  });
  server.on("session", (session: ServerHttp2Session) => {
    session.on("error", () => undefined);
  });
  server.on("stream", (stream, headers) => {
    stream.on("error", () => undefined);
    let body = "";
    stream.on("data", (chunk: Buffer) => (body += chunk.toString("utf8")));
    stream.on("end", () => {
      count += 1;
      const [method = "", path = ""] = [headers[":method"], headers[":path"]];
      const asked = { stream, method, path, body, count };
      if (!misbehave(asked)) answer(asked);
    });
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function optionsFor(server: Http2SecureServer, options: Partial<LoadOptions> = {}): LoadOptions {
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://localhost:${port}`,
    caPem: ca.certificatePem,
    identity: { token: "none" },
    connections: alike(2, { streams: 2, watches: 1 }),
    ...options,
  };
}

/** What the generator reports of a server. */
async function reportOf(
  misbehave: Misbehave,
  options: Partial<LoadOptions> = {},
): Promise<LoadReport> {
  const server = await startServer(misbehave);
  const generator = new LoadGenerator(optionsFor(server, options));
  await generator.start();
  while (generator.progress().requests < REQUESTS) await sleep(5);
  const report = await generator.stop();
  server.close();
  return report;
}

const counts = ({ failed, refused, watches }: LoadReport) => ({
  failed: failed > 0,
  refused: refused > 0,
  watches: { eof: watches.eof > 0, goaway: watches.goaway > 0, failed: watches.failed > 0 },
});

const nothing = {
  failed: false,
  refused: false,
  watches: { eof: false, goaway: false, failed: false },
};

const isWatch = ({ path }: Asked) => path.includes("watch=true");

/** Misbehaves at every so many requests that are no watches. */
const every =
  (period: number, misbehave: (asked: Asked) => void): Misbehave =>
  (asked) => {
    if (isWatch(asked) || asked.count % period !== 0) return false;
    misbehave(asked);
    return true;
  };

describe("the load generator", () => {
  it("has nothing to say about a server that does its work", async () => {
    const report = await reportOf(() => false);
    expect(counts(report)).toEqual(nothing);
    expect(report).toMatchObject({ failures: [], watchFailures: [], watches: { started: 2 } });
    const { byStatus, requests, connections } = report;
    expect(Object.keys(byStatus)).toEqual(["200", "201", "404"]);
    expect(Object.values(byStatus).reduce((sum, count) => sum + count, 0)).toBe(requests);
    expect(connections.map(({ index, issuer, ending }) => [index, issuer, ending])).toEqual([
      [expect.any(Number), "a CA", undefined],
      [expect.any(Number), "a CA", undefined],
    ]);
    expect(connections.reduce((sum, one) => sum + one.requests, 0)).toBe(requests);
  });

  it("runs in a process of its own, until its time is over or it is stopped", async () => {
    const server = await startServer(() => false);
    const timed = await startLoad({ prefix: [] }, { ...optionsFor(server), durationMs: 100 });
    const stopped = await startLoad({ prefix: [] }, optionsFor(server));
    await stopped.untilMore(10);
    expect(stopped.progress).toMatchObject({ failed: 0, openConnections: 2, openWatches: 2 });
    for (const report of [await timed.done, await stopped.stop()]) {
      expect(report.requests).toBeGreaterThan(0);
      expect(counts(report)).toEqual(nothing);
    }
    server.close();
  });

  it.each<[string, (asked: Asked) => void, string]>([
    [
      "an unexpected status",
      ({ stream }) => {
        send(stream, 503, {});
      },
      "status 503",
    ],
    [
      "a body that is shorter than was said",
      ({ stream }) => {
        stream.respond({ ":status": 200, "content-length": 100 });
        stream.end("{}");
      },
      "PROTOCOL_ERROR",
    ],
    [
      "half a body of unknown length",
      ({ stream }) => {
        stream.respond({ ":status": 200 });
        stream.end('{"kind":"Config');
      },
      "no whole object",
    ],
    [
      "another object than the one that was written",
      ({ stream }) => {
        send(stream, 200, { kind: "Other", data: {} });
      },
      "",
    ],
    [
      "a stream that is reset",
      ({ stream }) => {
        stream.close(NGHTTP2_INTERNAL_ERROR);
      },
      "INTERNAL_ERROR",
    ],
    [
      "a stream that ends without an answer",
      ({ stream }) => {
        stream.close(NGHTTP2_NO_ERROR);
      },
      "without an answer",
    ],
    [
      "a connection that is cut",
      ({ stream }) => {
        cut(stream.session);
      },
      "",
    ],
    ["no answer at all", () => undefined, "no answer within 200 ms"],
  ])("counts %s as a failed request", async (_what, misbehave, words) => {
    const report = await reportOf(every(20, misbehave), {
      connections: alike(1, { streams: 2 }),
      timeoutMs: 200,
    });
    expect(counts(report)).toEqual({ ...nothing, failed: true });
    expect(report.failures[0]?.what).toContain(words);
    expect(report.failed).toBe(report.connections.reduce((sum, one) => sum + one.failed, 0));
  });

  it("counts a write that came twice as failed", async () => {
    const seen = new Map<string, number>();
    const report = await reportOf((asked) => {
      if (asked.method !== "POST") return false;
      const times = (seen.get(asked.body) ?? 0) + 1;
      seen.set(asked.body, times);
      // As if what the gateway sent again had been seen before. The first one is the object that is read.
      if (asked.count === 1 || times > 1) return false;
      send(asked.stream, 409, {});
      return true;
    });
    expect(counts(report)).toEqual({ ...nothing, failed: true });
    expect(report.failures[0]).toMatchObject({ what: "status 409, not 201" });
  });

  it("sends a refused request again, and counts it apart", async () => {
    const report = await reportOf(
      every(10, ({ stream }) => {
        stream.close(NGHTTP2_REFUSED_STREAM);
      }),
    );
    expect(counts(report)).toEqual({ ...nothing, refused: true });
  });

  it("gives up what is refused again and again", async () => {
    const report = await reportOf((asked) => {
      if (isWatch(asked) || asked.count < REQUESTS / 2) return false;
      asked.stream.close(NGHTTP2_REFUSED_STREAM);
      return true;
    });
    expect(counts(report)).toEqual({ ...nothing, failed: true, refused: true });
  });

  it("finishes what it began on a connection that goes away, and opens another one", async () => {
    const report = await reportOf((asked) => {
      if (isWatch(asked) || asked.count !== 100) return false;
      const { session, id = 0 } = asked.stream;
      session?.goaway(NGHTTP2_NO_ERROR, id);
      return false;
    });
    // The watch goes on, so the connection does.
    expect(counts(report)).toMatchObject({ failed: false, watches: nothing.watches });
    expect(report.connections).toHaveLength(3);
  });

  it("takes a watch that ends with its connection for a good one only after a GOAWAY", async () => {
    const endOf = async (isTold: boolean) => {
      const sessions = new Set<ServerHttp2Stream["session"]>();
      const misbehave: Misbehave = (asked) => {
        const { session, id = 0 } = asked.stream;
        if (isWatch(asked)) sessions.add(session);
        else if (asked.count === REQUESTS / 4) {
          const [first] = sessions;
          if (isTold) first?.goaway(NGHTTP2_NO_ERROR, session === first ? id : 2 ** 31 - 1);
          setTimeout(() => {
            cut(first);
          }, 20);
        }
        return false;
      };
      // Slowly, so that the watch is back before the end.
      const connections = alike(2, { streams: 2, watches: 1, pauseMs: 10 });
      return (await reportOf(misbehave, { connections })).watches;
    };
    expect(await endOf(true)).toMatchObject({ started: 3, goaway: 1, failed: 0 });
    expect(await endOf(false)).toMatchObject({ started: 3, goaway: 0, failed: 1 });
  });

  it("tells a watch that ends after an event from one that ends within", async () => {
    const ended = async (last: string) => {
      let isOver = false;
      return reportOf((asked) => {
        if (!isWatch(asked) || isOver) return false;
        isOver = true;
        asked.stream.respond({ ":status": 200 });
        asked.stream.end(last);
        return true;
      });
    };
    expect(counts(await ended('{"type":"ADDED"}\n')).watches).toEqual({
      eof: true,
      goaway: false,
      failed: false,
    });
    expect(counts(await ended('{"type":"AD')).watches).toEqual({
      eof: false,
      goaway: false,
      failed: true,
    });
  });

  it("says why it can't begin", async () => {
    const options = {
      url: "https://localhost:1",
      caPem: ca.certificatePem,
      identity: { token: "none" },
      connections: alike(1),
    };
    await expect(startLoad({ prefix: [] }, options)).rejects.toThrow("ECONNREFUSED");
  });
});
