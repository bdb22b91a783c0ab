import { createConnection, type Socket } from "node:net";
import { join } from "node:path";
import { launchUntilReady } from "./child-program";
import type { Watchdog } from "./watchdog";

/** Where a route leads to: `go/relay` has the meaning of each field. */
export interface RouteTarget {
  /** `10.244.1.2:443`. */
  readonly address: string;
  /** The socket of another relay that dials the address. */
  readonly via?: string;
  /** Zones of clients that this target is meant for; none: it is for all. */
  readonly zones?: readonly string[];
}

/** An address that a relay listens to while it has a target. */
export interface Route {
  readonly listen: string;
  readonly targets: readonly RouteTarget[];
}

/** All that a relay does. */
export interface Routes {
  readonly routes: readonly Route[];
  /** Zones of clients, by their address. */
  readonly zones?: Readonly<Record<string, string>>;
}

/** A relay that runs; see `go/relay/main.go`. */
export interface Relay {
  readonly socketPath: string;
  readonly pid: number;
  /**
   * Replaces all routes; done when it listens. Connections that exist go on.
   * @throws when an address cannot be listened to (the others are).
   */
  setRoutes(routes: Routes): Promise<void>;
  /** A connection to a TCP address, as from where the relay runs. */
  readonly dial: (address: string) => Promise<Socket>;
}

/** What a relay is started from. */
export interface RelayRequest {
  readonly program: string;
  readonly name: string;
  readonly directory: string;
  readonly watchdog: Watchdog;
  /** The network namespace that it runs in; default: this process's own. */
  readonly within?: readonly string[];
}

/** A relay could not do what was asked; the message has its words. */
class RelayError extends Error {
  override readonly name = "RelayError";
}

const readyTimeoutMs = 10_000;

/**
 * Starts a relay without routes.
 * @throws what `launchUntilReady` throws.
 */
export async function startRelay(request: RelayRequest): Promise<Relay> {
  const socketPath = join(request.directory, `${request.name}.sock`);
  const setRoutes = async (routes: Routes) => {
    const socket = await giveOrder(socketPath, routes);
    socket.destroy();
  };
  const isReady = async () =>
    setRoutes({ routes: [] }).then(
      () => true,
      () => false,
    );
  const program = await launchUntilReady(
    {
      ...request,
      args: ["--socket", socketPath],
      logPath: join(request.directory, `${request.name}.log`),
    },
    { isReady, timeoutMs: readyTimeoutMs },
  );
  return {
    socketPath,
    pid: program.pid,
    setRoutes,
    dial: async (address) => giveOrder(socketPath, { dial: address }),
  };
}

async function giveOrder(socketPath: string, order: object): Promise<Socket> {
  const socket = createConnection(socketPath);
  return new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const fail = (reason: string) => {
      socket.destroy();
      reject(new RelayError(reason));
    };
    const onError = (error: Error) => {
      fail(error.message);
    };
    const onClose = () => {
      fail("The relay closed the connection without an answer.");
    };
    const onData = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk]);
      const end = answer.indexOf("\n");
      if (end < 0) return;
      const text = answer.subarray(0, end).toString("utf8");
      if (text !== "ok") {
        fail(text);
        return;
      }
      socket.off("data", onData).off("error", onError).off("close", onClose).pause();
      const rest = answer.subarray(end + 1);
      if (rest.length > 0) socket.unshift(rest);
      resolve(socket);
    };
    socket.on("data", onData).on("error", onError).on("close", onClose);
    socket.once("connect", () => socket.write(`${JSON.stringify(order)}\n`));
  });
}
