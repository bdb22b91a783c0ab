import { randomInt } from "node:crypto";
import { createServer } from "node:net";

// Below the range that kernels take ports of outgoing connections from (32768 and up on Linux), and
// below NodePorts (30000 and up): a server that is restarted finds its port still free.
const firstPort = 20_000;
const lastPort = 29_999;
const attempts = 100;

/**
 * Finds a TCP port that is free on 127.0.0.1 now. Another process may take it before the caller
 * does: try again with another one then.
 */
export async function findFreePort(): Promise<number> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const port = randomInt(firstPort, lastPort + 1);
    if (await isPortFree(port)) return port;
  }
  throw new Error(`No free TCP port was found between ${firstPort} and ${lastPort}.`);
}

/** Whether a TCP port can be listened to on 127.0.0.1 now. */
export async function isPortFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => {
      resolve(false);
    });
    server.listen({ port, host: "127.0.0.1", exclusive: true }, () => {
      server.close(() => {
        resolve(true);
      });
    });
  });
}
