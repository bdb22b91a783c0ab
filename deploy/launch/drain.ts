import type { ServerResponse } from "node:http";
import https from "node:https";
import { setTimeout as sleep } from "node:timers/promises";

/** How a process ends, in milliseconds. */
export interface DrainTimes {
  /** How long connections are taken, and requests answered, after the order to end. */
  readonly drainMs: number;
  /** How long after that requests under way may take. */
  readonly limitMs: number;
}

/** Servers that were made, and what they are answering. */
export interface Drainable {
  /** Resolves when all servers are closed, or too much time has passed. */
  drain(times: DrainTimes): Promise<void>;
  /** Lets servers be made as ever. */
  restore(): void;
}

/** Servers keep the process going; a wait does not. */
const wait = async (ms: number): Promise<void> => sleep(ms, undefined, { ref: false });

function closeConnection(response: ServerResponse): void {
  if (!response.headersSent) response.setHeader("Connection", "close");
}

/**
 * Follows the HTTPS servers that are made from now on, so that they can end without a lost request.
 *
 * An API server keeps its connections to a replica, whatever EndpointSlices say. To close one from this side may cross
 * with a request, which would be lost. So for a while each answer says that it is the connection's last, and it is the
 * API server that connects anew, to another replica; only connections that nobody has used all that time are closed.
 */
export function followServers(): Drainable {
  const original = https.createServer;
  const servers: https.Server[] = [];
  const answering = new Set<ServerResponse>();
  let isDraining = false;
  https.createServer = ((...args: Parameters<typeof https.createServer>) => {
    const server = original.apply(https, args);
    servers.push(server);
    server.prependListener("request", (_request, response) => {
      answering.add(response);
      response.once("close", () => answering.delete(response));
      if (isDraining) closeConnection(response);
    });
    return server;
  }) as typeof https.createServer;
  return {
    async drain({ drainMs, limitMs }) {
      isDraining = true;
      answering.forEach(closeConnection);
      await wait(drainMs);
      const closed = servers.map(
        (server) =>
          new Promise<void>((resolve) => {
            server.close(() => {
              resolve();
            });
          }),
      );
      await Promise.race([Promise.all(closed), wait(limitMs)]);
    },
    restore() {
      https.createServer = original;
    },
  };
}
