import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
} from "node:http2";
import { performance } from "node:perf_hooks";
import { createInterface } from "node:readline";
import { setTimeout as sleep } from "node:timers/promises";
import { quantile } from "../figures";

/** A client of Kubernetes' API over HTTP/2, run by `startLoad` in a client's Pod: JSON lines in, JSON lines out. */

/** Who a connection is from. */
export type Credential =
  | { readonly certificatePem: string; readonly privateKeyPem: string }
  | { readonly token: string };

/** The first line of the input. */
export interface LoadTarget {
  /** `https://<host>`, which the client's Pod finds in its host aliases. */
  readonly origin: string;
  readonly caPem: string;
  /** One connection each. */
  readonly connections: readonly Credential[];
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
      readonly requestsPerConnection: number;
      /** Requests of one connection that are under way at once. */
      readonly streams: number;
      /** Sent in turn. */
      readonly requests: readonly LoadRequest[];
    };

/** What became of requests. */
export interface RequestReport {
  /** How often each status came; `error: …` is a request without an answer. */
  readonly outcomes: Readonly<Record<string, number>>;
  readonly elapsedMs: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** A line of the output. A watch is answered by `{}` once all are open. */
export interface LoadAnswer {
  readonly id: number;
  readonly report: RequestReport | Record<string, never>;
}

/** One connection at a time: another one when it was closed, or takes no more requests (GOAWAY). */
class Connection {
  readonly #target: LoadTarget;
  readonly #credential: Credential;
  #session: ClientHttp2Session | undefined;

  constructor(target: LoadTarget, credential: Credential) {
    this.#target = target;
    this.#credential = credential;
  }

  send(headers: OutgoingHttpHeaders, body?: string): ClientHttp2Stream {
    const authorization =
      "token" in this.#credential ? { authorization: `Bearer ${this.#credential.token}` } : {};
    const options = { endStream: body === undefined };
    const stream = this.#open().request({ ...headers, ...authorization }, options);
    if (body !== undefined) stream.end(body);
    return stream;
  }

  #open(): ClientHttp2Session {
    const known = this.#session;
    if (known !== undefined && !known.closed && !known.destroyed) return known;
    const session = connect(this.#target.origin, {
      ca: this.#target.caPem,
      ...("token" in this.#credential
        ? {}
        : { cert: this.#credential.certificatePem, key: this.#credential.privateKeyPem }),
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
  { requestsPerConnection, streams, requests }: RequestCommand,
): Promise<RequestReport> {
  const outcomes: Record<string, number> = {};
  const latenciesMs: number[] = [];
  const startMs = performance.now();
  let sent = 0;
  const sendAll = async (connection: Connection): Promise<void> => {
    let left = requestsPerConnection;
    const stream = async (): Promise<void> => {
      while (left > 0) {
        left -= 1;
        const request = requests[sent % requests.length];
        if (request === undefined) throw new Error("there are no requests to send");
        sent += 1;
        const sentMs = performance.now();
        const outcome = await outcomeOf(connection, request);
        latenciesMs.push(performance.now() - sentMs);
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1;
      }
    };
    await Promise.all(Array.from({ length: streams }, stream));
  };
  await Promise.all(connections.map(sendAll));
  return {
    outcomes,
    elapsedMs: performance.now() - startMs,
    p50Ms: quantile(latenciesMs, 0.5),
    p99Ms: quantile(latenciesMs, 0.99),
  };
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
  const connections = target.connections.map((credential) => new Connection(target, credential));
  const answer = async (command: LoadCommand): Promise<void> => {
    const report =
      command.kind === "watch"
        ? await openWatches(connections, command)
        : await sendRequests(connections, command);
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
