import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import type { TLSSocket } from "node:tls";
import type { Identity, LoadOptions } from "./report";
import type { ConnectionCounts, Tally } from "./tally";

const { NGHTTP2_REFUSED_STREAM, NGHTTP2_CANCEL } = constants;

/** What is asked for. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With query. */
  readonly path: string;
  readonly body?: object;
}

/** How a stream ended: with an answer to its end, refused by the server, or broken. */
export type Outcome =
  | { readonly kind: "answered"; readonly status: number; readonly body: string }
  | { readonly kind: "refused" }
  | { readonly kind: "broken"; readonly status: number; readonly what: string };

/** What a stream is started with. */
export interface Exchange {
  readonly request: Request;
  readonly timeoutMs?: number;
  /** Takes the body instead of the outcome. */
  readonly onData?: (text: string) => void;
  readonly onStatus?: (status: number) => void;
  /** Ends the stream from this side: a watch that is no longer needed. */
  readonly signal?: AbortSignal;
}

const CONNECT_TIMEOUT_MS = 15_000;

/** An HTTP/2 connection. */
export class Connection {
  readonly #session: ClientHttp2Session;
  readonly #authorization: Readonly<Record<string, string>>;
  #lastStreamID: number | undefined;

  constructor(
    session: ClientHttp2Session,
    identity: Identity,
    readonly counts: ConnectionCounts,
  ) {
    this.#session = session;
    this.#authorization = "token" in identity ? { authorization: `Bearer ${identity.token}` } : {};
    session.on("goaway", (_code: number, lastStreamID: number) => {
      this.#lastStreamID = lastStreamID;
    });
    let error: Error | undefined;
    session.on("error", (found: Error) => (error = found));
    session.on("close", () => {
      if (this.isOurs) return;
      const how = this.isGoingAway ? "goaway" : (error?.message ?? "closed");
      this.counts.ending = { atMs: Date.now(), how };
    });
  }

  /** The end was asked for on this side. */
  isOurs = false;

  /** Whether it has had a GOAWAY: what is open finishes, nothing new is begun. */
  get isGoingAway(): boolean {
    return this.#lastStreamID !== undefined;
  }

  get isUsable(): boolean {
    return !this.isGoingAway && !this.#session.closed && !this.#session.destroyed;
  }

  get isOpen(): boolean {
    return !this.#session.destroyed;
  }

  /** Ends it at once. */
  end(): void {
    this.isOurs = true;
    this.#session.destroy();
  }

  /** Sends a request; never throws. */
  async exchange(exchange: Exchange): Promise<Outcome> {
    const { request } = exchange;
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    let stream: ClientHttp2Stream;
    try {
      stream = this.#session.request({
        ":method": request.method,
        ":path": request.path,
        accept: "application/json",
        ...this.#authorization,
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      });
    } catch {
      // The connection has just ended: nothing was sent.
      return { kind: "refused" };
    }
    stream.end(body);
    return this.#follow(stream, exchange);
  }

  async #follow(stream: ClientHttp2Stream, exchange: Exchange): Promise<Outcome> {
    const seen = { status: 0, error: "" };
    const chunks: Buffer[] = [];
    stream.on("response", (headers) => {
      seen.status = headers[":status"] ?? 0;
      exchange.onStatus?.(seen.status);
    });
    stream.on("data", (chunk: Buffer) => {
      if (exchange.onData === undefined) chunks.push(chunk);
      else exchange.onData(chunk.toString("utf8"));
    });
    stream.on("error", ({ message }: Error) => (seen.error = message));
    const isLate = await untilClosed(stream, exchange);
    const { status } = seen;
    const broken = (what: string): Outcome => ({ kind: "broken", status, what });
    if (isLate) return broken(`no answer within ${exchange.timeoutMs ?? 0} ms`);
    if (this.#wasRefused(stream)) return { kind: "refused" };
    // A body that is not as long as was said is among them.
    if (seen.error !== "") return broken(seen.error);
    // The end of a connection closes its streams with CANCEL, and without an error.
    if (stream.rstCode !== 0) return broken(`the stream was cut (code ${stream.rstCode})`);
    if (status === 0) return broken("the stream ended without an answer");
    return { kind: "answered", status, body: Buffer.concat(chunks).toString("utf8") };
  }

  #wasRefused({ id, rstCode }: ClientHttp2Stream): boolean {
    // Without an id it was never sent.
    if (id === undefined || rstCode === NGHTTP2_REFUSED_STREAM) return true;
    return this.#lastStreamID !== undefined && id > this.#lastStreamID;
  }
}

/** Waits for a stream's end; answers whether it was ended for taking too long. */
async function untilClosed(
  stream: ClientHttp2Stream,
  { timeoutMs, signal }: Exchange,
): Promise<boolean> {
  const cancel = () => {
    stream.close(NGHTTP2_CANCEL);
  };
  signal?.addEventListener("abort", cancel, { once: true });
  if (signal?.aborted === true) cancel();
  return new Promise((resolve) => {
    let isLate = false;
    const timer =
      timeoutMs === undefined
        ? undefined
        : setTimeout(() => {
            isLate = true;
            cancel();
          }, timeoutMs);
    stream.once("close", () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", cancel);
      resolve(isLate);
    });
  });
}

/**
 * Opens a connection.
 * @throws Error when that fails, or takes too long.
 */
export async function openConnection(
  options: LoadOptions,
  index: number,
  tally: Tally,
): Promise<Connection> {
  const { identity } = options;
  const credentials =
    "token" in identity ? {} : { cert: identity.certificatePem, key: identity.privateKeyPem };
  const session = connect(options.url, { ca: options.caPem, ...credentials });
  await untilConnected(session);
  const issuer = issuerOf(session.socket as TLSSocket);
  return new Connection(session, identity, tally.open(index, issuer));
}

async function untilConnected(session: ClientHttp2Session): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const settle = (error?: Error) => {
      clearTimeout(timer);
      session.off("error", settle).off("close", onClose).off("connect", onConnect);
      if (error === undefined) {
        resolve();
        return;
      }
      session.on("error", () => undefined);
      session.destroy();
      reject(error);
    };
    const onClose = () => {
      settle(new Error("the connection was closed before it was there"));
    };
    const onConnect = () => {
      settle();
    };
    const timer = setTimeout(() => {
      settle(new Error(`no connection within ${CONNECT_TIMEOUT_MS} ms`));
    }, CONNECT_TIMEOUT_MS);
    session.once("error", settle).once("close", onClose).once("connect", onConnect);
  });
}

function issuerOf(socket: TLSSocket): string {
  // An ended socket has no certificate, whatever its type says.
  const { issuer } = socket.getPeerCertificate() as { readonly issuer?: { readonly CN: string } };
  return issuer?.CN ?? "";
}
