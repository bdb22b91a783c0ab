import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from "node:http2";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { connect as connectTls } from "node:tls";
import { quantile } from "../figures";

/** A client of Kubernetes' API over HTTP/2, run by `startLoad` in a client's Pod: JSON lines in, JSON lines out. */

/** Who a connection is from. */
export type Credential =
  | { readonly certificatePem: string; readonly privateKeyPem: string }
  | { readonly token: string };

/** One connection at a time. */
export interface LoadConnection {
  readonly credential: Credential;
  /** Where it goes; default: what the client's Pod finds in its host aliases. */
  readonly at?: { readonly address: string; readonly port: number };
}

/** The first line of the input. */
export interface LoadTarget {
  /** Of all connections, wherever they go: for the handshake and for requests. */
  readonly host: string;
  readonly caPem: string;
  readonly connections: readonly LoadConnection[];
}

/** A request as it is repeated. */
export interface LoadRequest {
  readonly method: "GET" | "PATCH";
  readonly path: string;
  /** A JSON merge patch. */
  readonly body?: string;
}

/** A line of the input after the first. All go on at once; each is answered by a line with its `id`. */
export type LoadCommand =
  | {
      readonly kind: "watch";
      readonly id: number;
      /** Opened one after another, dealt to the connections in turn; one that ends is opened again. */
      readonly count: number;
      readonly path: string;
      /** Within these a watch ends, as client-go's do within 300 to 600 s. Default: the API server decides. */
      readonly timeoutSeconds?: readonly [least: number, most: number];
    }
  | {
      readonly kind: "request";
      readonly id: number;
      /** Of all connections together. */
      readonly count: number;
      /** Indexes of connections, by which requests are dealt to them, over and over. */
      readonly turns: readonly number[];
      /** Requests that are under way at once, of all connections. */
      readonly inFlight: number;
      /** At most so many are sent in a second; default: as many as are answered. */
      readonly perSecond?: number;
      /** Sent in turn. */
      readonly requests: readonly LoadRequest[];
    }
  /** Closes all connections: what comes after has new ones. */
  | { readonly kind: "close"; readonly id: number };

/** What became of requests. */
export interface RequestReport {
  /** How often each status came; `error: …` is a request without an answer. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A line of the output. A watch is answered by `{}` once all are open, a close once all are closed. */
export interface LoadAnswer {
  readonly id: number;
  readonly report: RequestReport | Record<string, never>;
}

/** One connection at a time: another one when it was closed, or takes no more requests (GOAWAY). */
class Connection {
  readonly #target: LoadTarget;
  readonly #connection: LoadConnection;
  #session: ClientHttp2Session | undefined;

  constructor(target: LoadTarget, connection: LoadConnection) {
    this.#target = target;
    this.#connection = connection;
  }

  send(headers: OutgoingHttpHeaders, body?: string): ClientHttp2Stream {
    const { credential } = this.#connection;
    const authorization =
      "token" in credential ? { authorization: `Bearer ${credential.token}` } : {};
    const options = { endStream: body === undefined };
    const stream = this.#open().request({ ...headers, ...authorization }, options);
    if (body !== undefined) stream.end(body);
    return stream;
  }

  close(): void {
    this.#session?.destroy();
  }

  #open(): ClientHttp2Session {
    const known = this.#session;
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const { host, caPem } = this.#target;
    const { credential, at = { address: host, port: 443 } } = this.#connection;
    const session = connect(`https://${host}`, {
      createConnection: () =>
        connectTls({
          host: at.address,
          port: at.port,
          servername: host,
          ALPNProtocols: ["h2"],
          ca: caPem,
          ...("token" in credential
            ? {}
            : { cert: credential.certificatePem, key: credential.privateKeyPem }),
        }),
    });
    // The streams tell.
    session.on("error", () => undefined);
    this.#session = session;
    return session;
  }
}

function failureOf(error: unknown): string {
  return `error: ${error instanceof Error ? error.message : "unknown"}`;
}

/** The status of one request, once its answer is complete. */
async function outcomeOf(connection: Connection, request: LoadRequest): Promise<string> {
  return new Promise((resolve) => {
    try {
      const stream = connection.send(
        {
          ":method": request.method,
          ":path": request.path,
          ...(request.body === undefined ? {} : { "content-type": "application/merge-patch+json" }),
        },
        request.body,
      );
      let status = "error: no answer";
      stream.on("response", (headers) => (status = String(headers[":status"])));
      stream.on("error", (error) => (status = failureOf(error)));
      stream.on("close", () => {
        resolve(status);
      });
      stream.resume();
    } catch (error) {
      resolve(failureOf(error));
    }
  });
}

type RequestCommand = Extract<LoadCommand, { kind: "request" }>;

async function sendRequests(
  connections: readonly Connection[],
  command: RequestCommand,
): Promise<RequestReport> {
  const { count, inFlight, perSecond = Infinity } = command;
  const outcomes: Record<string, number> = {};
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  let sent = 0;
  const work = async (): Promise<void> => {
    while (sent < count) {
      const turn = turnOf(connections, command, sent);
      const dueMs = startMs + (sent / perSecond) * 1000;
      sent += 1;
      if (dueMs > performance.now()) await sleep(dueMs - performance.now());
      const sentMs = performance.now();
      const outcome = await outcomeOf(turn.connection, turn.request);
      latenciesMs.push(performance.now() - sentMs);
      outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, work));
  return {
    outcomes,
    elapsedMs: performance.now() - startMs,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
}

function turnOf(
  connections: readonly Connection[],
  { turns, requests }: RequestCommand,
  index: number,
): { connection: Connection; request: LoadRequest } {
  const connection = connections[turns[index % turns.length] ?? -1];
  // Moved on by one each time around, or a connection would always get the same one.
  const request = requests[(index + Math.floor(index / turns.length)) % requests.length];
  if (connection === undefined || request === undefined) throw new Error("no such turn");
  return { connection, request };
}

type WatchCommand = Extract<LoadCommand, { kind: "watch" }>;

const watchPauseMs = 100;

function watchPath({ path, timeoutSeconds }: WatchCommand): string {
  if (timeoutSeconds === undefined) return `${path}?watch=true`;
  const [least, most] = timeoutSeconds;
  const seconds = least + Math.floor(Math.random() * (most - least + 1));
  return `${path}?watch=true&timeoutSeconds=${seconds}`;
}

/** Opens a watch. `opened` is called at each opening, `ended` at its end, whatever it was. */
function watchOnce(
  connection: Connection,
  path: string,
  on: { readonly opened: () => void; readonly ended: () => void },
): void {
  try {
    const stream = connection.send({ ":method": "GET", ":path": path });
    stream.on("response", (headers) => {
      if (headers[":status"] === 200) on.opened();
    });
    stream.on("error", () => undefined);
    stream.on("close", on.ended);
    stream.resume();
  } catch {
    on.ended();
  }
}

/** Resolves when the watch is open for the first time; it is opened again for as long as the process lives. */
async function keepWatching(connection: Connection, command: WatchCommand): Promise<void> {
  return new Promise((resolve) => {
    const open = (): void => {
      watchOnce(connection, watchPath(command), {
        opened: resolve,
        ended: () => void sleep(watchPauseMs).then(open),
      });
    };
    open();
  });
}

async function openWatches(
  connections: readonly Connection[],
  command: WatchCommand,
): Promise<Record<string, never>> {
  for (let index = 0; index < command.count; index += 1) {
    const connection = connections[index % connections.length];
    if (connection !== undefined) await keepWatching(connection, command);
  }
  return {};
}

async function serve(): Promise<void> {
  const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();
  const first = await lines.next();
  const target = JSON.parse(String(first.value)) as LoadTarget;
  const connections = target.connections.map((connection) => new Connection(target, connection));
  const obey = async (command: LoadCommand): Promise<LoadAnswer["report"]> => {
    switch (command.kind) {
      case "watch":
        return openWatches(connections, command);
      case "request":
        return sendRequests(connections, command);
      case "close":
        for (const connection of connections) connection.close();
        return {};
    }
  };
  const answer = async (command: LoadCommand): Promise<void> => {
    const report = await obey(command);
    const line: LoadAnswer = { id: command.id, report };
    console.log(JSON.stringify(line));
  };
  for (;;) {
    const line = await lines.next();
    if (line.done === true) process.exit(0);
    answer(JSON.parse(line.value) as LoadCommand).catch((error: unknown) => {
      console.error(error);
      process.exit(1);
    });
  }
}

void serve();
