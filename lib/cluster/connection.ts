import http from "node:http";
import https from "node:https";
import { KubeConfig } from "@kubernetes/client-node";
import { ApiError, describeError, UnreachableError } from "./errors";
import { refusalText } from "./refusal-text";

const REQUEST_TIMEOUT_MS = 30_000;
const MAX_SOCKETS = 32;

/** A request to the API server. `path` begins with a slash; `body` is sent as JSON. */
export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | boolean | undefined>>;
  readonly body?: unknown;
  readonly contentType?: string;
  readonly accept?: string;
  /** True: on a connection of its own, so that a load balancer chooses again. */
  readonly fresh?: boolean;
  /** Another address than the kubeconfig's, to ask one API server of several. */
  readonly address?: { readonly host: string; readonly port: number };
  readonly timeoutMs?: number;
}

interface RawResponse {
  readonly status: number;
  readonly headers: http.IncomingHttpHeaders;
  readonly body: string;
}

interface StatusBody {
  readonly reason?: string;
  readonly message?: string;
}

/**
 * One connection pool to the API server of a kubeconfig. Authentication, TLS and proxies are client-node's; requests
 * are made here, since its generated clients can neither ask for metadata only nor write a custom resource's status
 * without turning every object into classes.
 */
export class Connection {
  #agent: http.Agent | undefined;
  #agentKey = "";

  /**
   * @param config The kubeconfig to use; its current context counts.
   * @param onAnswer Told whenever the server answers, a refusal included.
   */
  constructor(
    readonly config: KubeConfig,
    private readonly onAnswer: () => void = () => undefined,
  ) {}

  /**
   * Sends a request.
   * @returns The answer's JSON.
   * @throws ApiError when the server refuses; Error when it can't be reached.
   */
  async send<T>(request: Request): Promise<T> {
    const response = await this.#exchange(request);
    this.onAnswer();
    if (response.status >= 200 && response.status < 300) {
      return parseJson(response, request) as T;
    }
    throw refusal(response, request);
  }

  /** Ends the connections, which else keep a process from ending for a while. */
  close(): void {
    this.#agent?.destroy();
  }

  async #exchange(request: Request): Promise<RawResponse> {
    const cluster = this.config.getCurrentCluster();
    if (cluster === null) throw new Error("the kubeconfig has no current cluster");
    const options: https.RequestOptions = {};
    await this.config.applyToHTTPSOptions(options);
    const body = request.body === undefined ? undefined : JSON.stringify(request.body);
    const url = requestUrl(cluster.server, request);
    return exchange(url, body, {
      ...options,
      agent: request.fresh === true || request.address !== undefined ? false : this.#pool(options),
      method: request.method,
      // A server that is addressed directly is known by the name that every kube-apiserver's certificate has.
      ...(request.address === undefined ? {} : { servername: "kubernetes.default.svc" }),
      headers: {
        ...(options.headers as http.OutgoingHttpHeaders | undefined),
        accept: request.accept ?? "application/json",
        "user-agent": "fairlead",
        ...(body === undefined
          ? {}
          : {
              "content-type": request.contentType ?? "application/json",
              "content-length": Buffer.byteLength(body),
            }),
      },
      timeout: request.timeoutMs ?? REQUEST_TIMEOUT_MS,
    });
  }

  /** client-node makes an agent a call; this keeps one, until credentials change. */
  #pool(options: https.RequestOptions): http.Agent {
    const key = [options.cert, options.key, options.ca].map(String).join();
    if (this.#agent === undefined || key !== this.#agentKey) {
      this.#agent?.destroy();
      this.#agentKey = key;
      this.#agent = this.#newAgent(options);
    }
    return this.#agent;
  }

  #newAgent(options: https.RequestOptions): http.Agent {
    const cluster = this.config.getCurrentCluster();
    const given = options.agent;
    if (cluster?.proxyUrl !== undefined && given instanceof http.Agent) return given;
    if (cluster?.server.startsWith("http:") === true) return new http.Agent({ keepAlive: true });
    const { ca, cert, key, pfx, passphrase, rejectUnauthorized, servername } = options;
    const tls = Object.fromEntries(
      Object.entries({ ca, cert, key, pfx, passphrase, rejectUnauthorized, servername }).filter(
        ([, value]) => value !== undefined,
      ),
    );
    return new https.Agent({ keepAlive: true, maxSockets: MAX_SOCKETS, ...tls });
  }
}

/**
 * The connection that the environment asks for: `KUBECONFIG`, else `~/.kube/config`, else the Pod's ServiceAccount.
 * @param onAnswer Told whenever the server answers.
 * @throws Error when there is none.
 */
export function connectFromEnvironment(onAnswer?: () => void): Connection {
  const config = new KubeConfig();
  config.loadFromDefault();
  return new Connection(config, onAnswer);
}

/** Which cluster is meant, as kubectl's flags of these names say it. */
export interface ClusterChoice {
  /** Undefined: as the environment says. */
  readonly kubeconfig?: string | undefined;
  /** Undefined: the current one. */
  readonly context?: string | undefined;
}

/**
 * The connection that a user asks for.
 * @throws Error when there is no such file or context.
 */
export function connectTo({ kubeconfig, context }: ClusterChoice): Connection {
  const config = new KubeConfig();
  if (kubeconfig === undefined) config.loadFromDefault();
  else config.loadFromFile(kubeconfig);
  if (context !== undefined) {
    if (config.getContextObject(context) === null) {
      throw new Error(`the kubeconfig has no context ${context}`);
    }
    config.setCurrentContext(context);
  }
  return new Connection(config);
}

function requestUrl(server: string, request: Request): URL {
  const url = new URL(server.replace(/\/$/, "") + request.path);
  if (request.address !== undefined) {
    const { host, port } = request.address;
    url.host = `${host.includes(":") ? `[${host}]` : host}:${port}`;
  }
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

function exchange(
  url: URL,
  body: string | undefined,
  options: https.RequestOptions,
): Promise<RawResponse> {
  return new Promise((resolve, reject) => {
    const transport = url.protocol === "http:" ? http : https;
    const request = transport.request(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          body: Buffer.concat(chunks).toString("utf8"),
        });
      });
    });
    request.on("timeout", () =>
      request.destroy(new Error("the API server did not answer in time")),
    );
    request.on("error", (cause) => {
      reject(
        new UnreachableError(`can't reach the API server: ${describeError(cause)}`, { cause }),
      );
    });
    request.end(body);
  });
}

function parseJson(response: RawResponse, request: Request): unknown {
  try {
    return JSON.parse(response.body);
  } catch {
    // No cause: the parser's message quotes the text, which may be a Secret's.
    throw new Error(`${request.method} ${request.path}: the answer is not JSON`);
  }
}

function refusal(response: RawResponse, request: Request): ApiError {
  let status: StatusBody = {};
  try {
    status = JSON.parse(response.body) as StatusBody;
  } catch {
    // Not a Status: a proxy's page, say. The code tells enough.
  }
  const reason = status.reason ?? `HTTP ${response.status}`;
  const about = refusalText(request.path, { ...status, reason });
  const retryAfter = Number(response.headers["retry-after"]);
  return new ApiError(`${request.method} ${request.path}: ${about}`, {
    status: response.status,
    reason,
    method: request.method,
    ...(Number.isFinite(retryAfter) ? { retryAfterMs: retryAfter * 1000 } : {}),
  });
}
