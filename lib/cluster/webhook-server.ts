import https from "node:https";

/** Longer than kube-apiserver keeps an idle connection (90 s), so that it never reuses one that was just closed. */
const KEEP_ALIVE_TIMEOUT_MS = 95_000;
const HEADERS_TIMEOUT_MS = 96_000;

/**
 * Pepr makes its HTTPS server with Node's keep-alive of 5 s, and offers no setting. Called once, before Pepr starts.
 */
export function lengthenKeepAlive(): void {
  const createServer = https.createServer.bind(https);
  https.createServer = ((...args: Parameters<typeof https.createServer>) => {
    const server = createServer(...args);
    server.keepAliveTimeout = KEEP_ALIVE_TIMEOUT_MS;
    server.headersTimeout = HEADERS_TIMEOUT_MS;
    return server;
  }) as typeof https.createServer;
}
