import { createSecureServer, type Http2SecureServer } from "node:http2";
import type { AddressInfo } from "node:net";
import type { Duplex } from "node:stream";
import type { KeyPair } from "../cluster";

/** As kube-apiserver's. (Over HTTP/1.1 node takes 16 KiB, whatever one asks.) */
const MAX_HEADER_BYTES = 1_048_576;

/** What a server got, as it tells in its answer. */
export interface Echo {
  readonly server: string;
  readonly httpVersion: string;
  readonly path: string;
  /** In the order of arrival; HTTP/2's pseudo headers left out. */
  readonly headers: readonly (readonly [string, string])[];
}

interface Incoming {
  readonly httpVersion: string;
  readonly url?: string;
  readonly rawHeaders: readonly string[];
}

function echoOf(server: string, { httpVersion, url = "", rawHeaders }: Incoming): Echo {
  const headers: [string, string][] = [];
  for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
    const name = (rawHeaders[index] ?? "").toLowerCase();
    // HTTP headers are bytes, which node reads as Latin-1.
    const value = Buffer.from(rawHeaders[index + 1] ?? "", "latin1").toString("utf8");
    if (!name.startsWith(":")) headers.push([name, value]);
  }
  return { server, httpVersion, path: url, headers };
}

/** A server that speaks HTTP/1.1 and 2, upgrades what asks for it, and tells what it got. */
export interface EchoServer {
  readonly port: number;
  stop(): Promise<void>;
}

function upgrade(echo: Echo, socket: Duplex): void {
  const seen = Buffer.from(JSON.stringify(echo)).toString("base64");
  socket.write(
    `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Seen: ${seen}\r\n\r\n`,
  );
  socket.on("error", () => undefined);
  socket.end();
}

/** Starts an echo server on a free port of 127.0.0.1. */
export async function startEchoServer(
  name: string,
  { certificatePem, privateKeyPem }: KeyPair,
): Promise<EchoServer> {
  const sockets = new Set<Duplex>();
  const server: Http2SecureServer = createSecureServer(
    {
      allowHTTP1: true,
      cert: certificatePem,
      key: privateKeyPem,
      maxHeaderListPairs: 8_192,
      settings: { maxHeaderListSize: MAX_HEADER_BYTES },
    },
    (request, response) => {
      response.setHeader("content-type", "application/json");
      response.end(JSON.stringify(echoOf(name, request)));
    },
  );
  server.on("upgrade", (request: Incoming, socket: Duplex) => {
    upgrade(echoOf(name, request), socket);
  });
  server.on("secureConnection", (socket: Duplex) => {
    sockets.add(socket);
    socket.once("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      const closed = new Promise<void>((resolve) => {
        server.close(() => {
          resolve();
        });
      });
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
}
