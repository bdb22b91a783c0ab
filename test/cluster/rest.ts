import { request as httpRequest, type ClientRequest, type IncomingMessage } from "node:http";
import { connect as connectTcp, type Socket } from "node:net";
import { createInterface } from "node:readline";
import { connect as connectTls } from "node:tls";
import type { KeyPair } from "./certificates";

/** How an HTTPS server is reached. */
export interface RestRequest {
  /** `https://127.0.0.1:6443` or `http://…`. */
  readonly url: string;
  readonly caPem?: string;
  readonly client?: KeyPair;
  /** "none": any certificate will do, as for a kubelet's probes. */
  readonly verification?: "none";
  /** The name that the server's certificate is verified for; default: the URL's host. */
  readonly serverName?: string;
  /** Makes the connection, from inside a network namespace, say. */
  readonly dial?: (address: string) => Promise<Socket>;
}

/** One request. */
export interface RestCall {
  readonly method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** With query. */
  readonly path: string;
  readonly body?: unknown;
  /** Default application/json. */
  readonly contentType?: string;
  /** Default 10 s. */
  readonly timeoutMs?: number;
}

/** An answer; status 0 when there was none (refused, reset, too late). */
export interface RestAnswer {
  readonly status: number;
  readonly body: string;
}

/** A server's API, each request on a connection of its own. A watch keeps no process alive. */
export interface Rest {
  /** Never throws. */
  call(call: RestCall): Promise<RestAnswer>;
  /**
   * Sends a request whose answer is an object.
   * @throws {RestError} for any status but 2xx.
   */
  json<T>(call: RestCall): Promise<T>;
  /** Calls `onEvent` for each JSON line of a watch; resolves when it ends, for whatever reason. */
  watch(path: string, onEvent: (event: unknown) => void, signal: AbortSignal): Promise<void>;
}

/** A status that was not hoped for; `body` is the server's own. */
export class RestError extends Error {
  override readonly name = "RestError";

  constructor(
    readonly call: RestCall,
    readonly status: number,
    readonly body: string,
  ) {
    super(`${call.method ?? "GET"} ${call.path}: ${status} ${body.slice(0, 500)}`);
  }
}

const defaultTimeoutMs = 10_000;

/** Makes the client of a server. */
export function createRest(request: RestRequest): Rest {
  const call = async (one: RestCall): Promise<RestAnswer> => {
    try {
      const response = await send(request, one, one.timeoutMs ?? defaultTimeoutMs);
      const chunks: Buffer[] = [];
      for await (const chunk of response) chunks.push(chunk as Buffer);
      return {
        status: response.statusCode ?? 0,
        body: Buffer.concat(chunks).toString("utf8"),
      };
    } catch {
      return { status: 0, body: "" };
    }
  };
  return {
    call,
    async json<T>(one: RestCall) {
      const { status, body } = await call(one);
      if (status < 200 || status > 299) throw new RestError(one, status, body);
      return JSON.parse(body) as T;
    },
    async watch(path, onEvent, signal) {
      try {
        const response = await send(request, { path }, undefined);
        const stop = () => response.destroy();
        signal.addEventListener("abort", stop, { once: true });
        if (signal.aborted) stop();
        for await (const line of createInterface({ input: response })) onEvent(JSON.parse(line));
        signal.removeEventListener("abort", stop);
      } catch {
        // It ended: that is all that the caller needs.
      }
    },
  };
}

async function send(
  request: RestRequest,
  call: RestCall,
  limitMs: number | undefined,
): Promise<IncomingMessage> {
  const url = new URL(call.path, request.url);
  const isWatch = limitMs === undefined;
  const socket = await connect(request, url, isWatch);
  const body = call.body === undefined ? undefined : JSON.stringify(call.body);
  return new Promise((resolve, reject) => {
    const outgoing: ClientRequest = httpRequest({
      createConnection: () => socket,
      method: call.method ?? "GET",
      host: url.hostname,
      path: url.pathname + url.search,
      headers: {
        host: url.host,
        accept: "application/json",
        connection: "close",
        ...(body === undefined
          ? {}
          : {
              "content-type": call.contentType ?? "application/json",
              "content-length": Buffer.byteLength(body),
            }),
      },
      ...(isWatch ? {} : { signal: AbortSignal.timeout(limitMs) }),
    });
    outgoing.on("error", reject);
    outgoing.on("response", resolve);
    outgoing.end(body);
  });
}

async function connect(request: RestRequest, url: URL, isWatch: boolean): Promise<Socket> {
  const isTls = url.protocol === "https:";
  const port = url.port === "" ? (isTls ? 443 : 80) : Number(url.port);
  const address = `${url.hostname}:${port}`;
  const socket =
    request.dial === undefined
      ? connectTcp({ host: url.hostname, port })
      : await request.dial(address);
  if (isWatch) socket.unref();
  // What was dialled is paused, and only TLS starts it by itself.
  if (!isTls) return socket.resume();
  const secure = connectTls({
    socket,
    host: url.hostname,
    ...(request.serverName === undefined ? {} : { servername: request.serverName }),
    ...(request.caPem === undefined ? {} : { ca: request.caPem }),
    ...(request.verification === "none" ? { rejectUnauthorized: false } : {}),
    ...(request.client === undefined
      ? {}
      : { cert: request.client.certificatePem, key: request.client.privateKeyPem }),
  });
  return isWatch ? secure.unref() : secure;
}
