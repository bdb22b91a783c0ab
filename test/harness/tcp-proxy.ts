import { connect, createServer, type Server, type Socket } from "node:net";

/** Where connections lead to, on 127.0.0.1. */
export type Route = () => number;

/** A TCP proxy, as a load balancer in front of API servers is one. */
export interface TcpProxy {
  readonly port: number;
  /** Cuts every connection off. */
  cutOff(): void;
  close(): Promise<void>;
}

/** Leads each connection to the next port, in turn. */
export function inTurn(ports: readonly number[]): Route {
  let next = 0;
  return () => {
    const port = ports[next % ports.length] ?? 0;
    next += 1;
    return port;
  };
}

function pipeTo(client: Socket, port: number, sockets: Set<Socket>): void {
  const server = connect({ port, host: "127.0.0.1" });
  for (const [socket, other] of [
    [client, server],
    [server, client],
  ] as const) {
    sockets.add(socket);
    socket.on("error", () => other.destroy());
    socket.on("close", () => {
      sockets.delete(socket);
      other.destroy();
    });
    socket.pipe(other);
  }
}

/** Starts a proxy on a free port of `host`, 127.0.0.1 by default. The route is asked for every connection. */
export async function startTcpProxy(route: Route, host = "127.0.0.1"): Promise<TcpProxy> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    pipeTo(client, route(), sockets);
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(0, host, resolve);
  });
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("no port");
  const cutOff = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  return {
    port: address.port,
    cutOff,
    async close() {
      const closed = new Promise((resolve) => server.close(resolve));
      cutOff();
      await closed;
    },
  };
}
