import { once } from "node:events";
import type { IncomingMessage, ServerResponse } from "node:http";
import { Agent, createServer, request as send, type RequestOptions } from "node:https";
import type { AddressInfo } from "node:net";
import { createCA, issue, type EmbeddedCluster } from "../cluster";

/** A request on its way to the API server. */
export interface PassingRequest {
  readonly method: string;
  /** With its query. */
  readonly path: string;
  /** Whether it changes anything. */
  readonly isWrite: boolean;
}

/** What becomes of a request. */
export type Passage =
  | { readonly kind: "pass" }
  /** The connection ends without an answer. */
  | { readonly kind: "cut" }
  /** Another HTTPS server answers it: `https://localhost:8000`. */
  | { readonly kind: "elsewhere"; readonly url: string; readonly caPem: string };

/** What is done with requests. */
export interface Interception {
  /** Before the API server hears of it. */
  readonly before?: (request: PassingRequest) => Promise<Passage>;
  /** After the API server has carried it out, and before the client hears of that. */
  readonly after?: (request: PassingRequest) => Promise<Exclude<Passage, { kind: "elsewhere" }>>;
}

/**
 * An HTTP proxy in front of an API server, through which watches stream from their heads on. Clients are known to the API
 * server by their tokens, which pass through.
 */
export interface ApiProxy {
  readonly url: string;
  readonly caPem: string;
  /** Does this with the requests from now on; nothing by default. */
  intercept(interception: Interception): void;
  close(): Promise<void>;
}

const READS = new Set(["GET", "HEAD"]);

interface Upstream {
  readonly url: string;
  readonly options: RequestOptions;
}

/** Sends a request on, with its body as it comes; resolves with the head of the answer. */
async function forward(incoming: IncomingMessage, { url, options }: Upstream) {
  const { method, headers, url: path = "/" } = incoming;
  const outgoing = send(new URL(path, url), {
    ...options,
    method,
    headers: { ...headers, host: new URL(url).host },
  });
  incoming.on("close", () => {
    // Whoever asked is gone: a watch ends, a write that has arrived goes on.
    if (!incoming.complete) outgoing.destroy();
  });
  incoming.pipe(outgoing);
  const [answer] = (await once(outgoing, "response")) as [IncomingMessage];
  return answer;
}

function answerWith(response: ServerResponse, answer: IncomingMessage): void {
  response.writeHead(answer.statusCode ?? 502, answer.headers);
  response.flushHeaders();
  answer.on("error", () => response.destroy());
  response.on("close", () => answer.destroy());
  answer.pipe(response);
}

async function handle(
  exchange: { readonly incoming: IncomingMessage; readonly response: ServerResponse },
  upstream: Upstream,
  { before, after }: Interception,
): Promise<void> {
  const { incoming, response } = exchange;
  const { method = "GET", url: path = "/" } = incoming;
  const passing = { method, path, isWrite: !READS.has(method) };
  const passage = (await before?.(passing)) ?? { kind: "pass" };
  if (passage.kind === "cut") {
    incoming.destroy();
    return;
  }
  const target =
    passage.kind === "pass"
      ? upstream
      : { url: passage.url, options: { ca: passage.caPem, agent: false as const } };
  const answer = await forward(incoming, target);
  if ((await after?.(passing))?.kind === "cut") {
    answer.destroy();
    incoming.destroy();
    return;
  }
  answerWith(response, answer);
}

/** Starts a proxy in front of a cluster's API server. */
export async function startApiProxy(cluster: EmbeddedCluster): Promise<ApiProxy> {
  const ca = await createCA({ commonName: "proxy" });
  const leaf = await issue(ca, {
    commonName: "proxy",
    ipAddresses: ["127.0.0.1"],
    usages: ["server"],
  });
  const { url, caPem } = cluster.apiServer;
  const agent = new Agent({ keepAlive: true, ca: caPem });
  let interception: Interception = {};
  const server = createServer(
    { cert: leaf.certificatePem, key: leaf.privateKeyPem },
    (incoming, response) => {
      handle({ incoming, response }, { url, options: { agent } }, interception).catch(() => {
        // The API server is away: the client sees that its connection ends.
        incoming.destroy();
      });
    },
  );
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    url: `https://127.0.0.1:${port}`,
    caPem: ca.certificatePem,
    intercept(next) {
      interception = next;
    },
    async close() {
      const closed = once(server, "close");
      server.close();
      server.closeAllConnections();
      agent.destroy();
      await closed;
    },
  };
}
