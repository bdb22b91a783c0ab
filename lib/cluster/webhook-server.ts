import { readFile } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import https from "node:https";
import type { SecureContextOptions } from "node:tls";
import {
  keyMatchesCertificate,
  parseCertificates,
  parsePrivateKey,
  type Certificate,
} from "../domain/certificates";
import type { Clock } from "./clock";
import type { Liveness } from "./liveness";
import type { Logger } from "./logger";
import type { Metrics } from "./metrics";

/** Longer than kube-apiserver keeps an idle connection (90 s), so that it never reuses one that was just closed. */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;
const HEADERS_TIMEOUT_MS = 96_000;
/** A kubelet takes a minute or two to bring a Secret here; this adds next to nothing, and costs two small reads. */
const POLL_MS = 2_000;

/** Where the serving certificate and its key are; a kubelet replaces both at once when their Secret changes. */
export interface ServingFiles {
  readonly certificatePath: string;
  readonly privateKeyPath: string;
}

/** What the server's care needs. */
export interface WebhookServerContext {
  readonly clock: Clock;
  readonly log: Logger;
  readonly metrics?: Metrics | undefined;
  readonly files: ServingFiles;
  /** What `/livez` is answered by. */
  readonly liveness: Pick<Liveness, "check">;
}

interface ServingPair {
  readonly certificate: Certificate;
  readonly cert: string;
  readonly key: string;
}

/** The files that Pepr serves with. */
export function servingFilesFrom(env: Readonly<Record<string, string | undefined>>): ServingFiles {
  const orElse = (path: string | undefined, fallback: string): string =>
    path === undefined || path === "" ? fallback : path;
  return {
    certificatePath: orElse(env.SSL_CERT_PATH, "/etc/certs/tls.crt"),
    privateKeyPath: orElse(env.SSL_KEY_PATH, "/etc/certs/tls.key"),
  };
}

/** What is in the files, where it can be served; undefined also for a moment in which one was replaced already. */
async function readPair(files: ServingFiles): Promise<ServingPair | undefined> {
  try {
    const cert = await readFile(files.certificatePath, "utf8");
    const key = await readFile(files.privateKeyPath, "utf8");
    const chain = parseCertificates(cert);
    const parsedKey = parsePrivateKey(key);
    if (chain.kind === "malformed" || parsedKey.kind === "malformed") return undefined;
    const [certificate] = chain.certificates;
    if (!keyMatchesCertificate(parsedKey.key, certificate)) return undefined;
    return { certificate, cert, key };
  } catch {
    return undefined;
  }
}

function nameOf({ sha256, notAfterMs }: Certificate): object {
  return { sha256, notAfter: new Date(notAfterMs).toISOString() };
}

function textOf(given: unknown): string {
  return typeof given === "string" || Buffer.isBuffer(given) ? given.toString() : "";
}

/** Lets a server serve what is in the files, from the next connection on; those that are open go on as they are. */
function follow(
  server: https.Server,
  given: SecureContextOptions,
  { clock, log, metrics, files }: WebhookServerContext,
): void {
  const first = parseCertificates(textOf(given.cert));
  if (first.kind !== "malformed") metrics?.servingCertificate(first.certificates[0]);
  let served = textOf(given.cert) + textOf(given.key);
  let cancel = (): void => undefined;
  const lookLater = (): void => {
    cancel = clock.after(POLL_MS, () => void look());
  };
  const look = async (): Promise<void> => {
    const pair = await readPair(files);
    if (pair !== undefined && pair.cert + pair.key !== served) {
      served = pair.cert + pair.key;
      server.setSecureContext({ ...given, cert: pair.cert, key: pair.key });
      metrics?.servingCertificate(pair.certificate);
      log.info(nameOf(pair.certificate), "another serving certificate");
    }
    if (server.listening) lookLater();
  };
  server.on("listening", lookLater);
  server.on("close", () => {
    cancel();
  });
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void;

/** Answers the kubelet's question whether the process is of use; Pepr's own `/healthz` says only that it serves. */
function withLiveness(listener: Listener, liveness: WebhookServerContext["liveness"]): Listener {
  return (request, response) => {
    if (request.url !== "/livez") {
      listener(request, response);
      return;
    }
    const verdict = liveness.check();
    response.statusCode = verdict.kind === "alive" ? 200 : 503;
    response.end(JSON.stringify(verdict));
  };
}

/**
 * Pepr makes its HTTPS server with Node's keep-alive of 5 s and reads its certificate once, and offers no setting for
 * either. Called once, before Pepr starts: from then on, connections are kept long enough, a renewed certificate is
 * served without a restart, and `/livez` is answered.
 */
export function prepareWebhookServer(context: WebhookServerContext): void {
  const createServer = https.createServer.bind(https);
  https.createServer = ((...args: Parameters<typeof https.createServer>) => {
    const [given, listener] = args as readonly unknown[];
    const isPeprs = typeof listener === "function";
    const server = isPeprs
      ? createServer(
          given as https.ServerOptions,
          withLiveness(listener as Listener, context.liveness),
        )
      : createServer(...args);
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    server.headersTimeout = HEADERS_TIMEOUT_MS;
    const [options] = args;
    if (typeof options === "object" && options.cert !== undefined) follow(server, options, context);
    return server;
  }) as typeof https.createServer;
}

/** Waits until the files hold something that can be served: without it, Pepr's server would end the process. */
export async function untilServable({
  clock,
  log,
  files,
}: Omit<WebhookServerContext, "liveness">): Promise<void> {
  while ((await readPair(files)) === undefined) {
    log.warn({ path: files.certificatePath }, "no serving certificate yet");
    await new Promise<void>((resolve) => clock.after(POLL_MS, resolve));
  }
}
