import { createServer, request as httpsRequest, type Server } from "node:https";
import type { IncomingMessage, ServerResponse } from "node:http";
import { issue, type EmbeddedCluster } from "../cluster";
import { findFreePort } from "../cluster/ports";

/** A proxy in front of an API server that understands requests, so that it can hold some of them back. */
export interface ApiProxy {
  readonly port: number;
  /** Requests whose path is like this are never answered from now on, and those under way are cut off. */
  hold(path: RegExp): void;
  /** Answers everything again. */
  release(): void;
  close(): Promise<void>;
}

const API_SERVICE = "10.96.0.1";

/** Starts a proxy with a certificate of the cluster's CA; who somebody is they say by a token. */
export async function startApiProxy(cluster: EmbeddedCluster): Promise<ApiProxy> {
  const { url, caPem } = cluster.apiServer;
  const { certificatePem: cert, privateKeyPem: key } = await issue(cluster.keys.ca, {
    commonName: "kube-apiserver",
    dnsNames: ["kubernetes.default.svc"],
    ipAddresses: [API_SERVICE],
    usages: ["server"],
  });
  const underWay = new Map<ServerResponse, string>();
  let held: RegExp | undefined;
  const forward = (incoming: IncomingMessage, response: ServerResponse): void => {
    const path = incoming.url ?? "/";
    underWay.set(response, path);
    response.once("close", () => underWay.delete(response));
    if (held?.test(path) === true) return;
    const { method, headers } = incoming;
    const outgoing = httpsRequest(new URL(path, url), { method, headers, ca: caPem }, (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      answer.pipe(response);
      answer.once("error", () => response.destroy());
    });
    outgoing.once("error", () => response.destroy());
    response.once("close", () => outgoing.destroy());
    incoming.pipe(outgoing);
  };
  const server: Server = createServer({ cert, key }, forward);
  const port = await findFreePort();
  await new Promise<void>((resolve) => server.listen(port, "127.0.0.1", resolve));
  return {
    port,
    hold(path) {
      held = path;
      for (const [response, of] of underWay) if (path.test(of)) response.destroy();
    },
    release() {
      held = undefined;
      for (const response of underWay.keys()) response.destroy();
    },
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
