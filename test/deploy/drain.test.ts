import https, { type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { followServers, type Drainable } from "../../deploy/launch/drain";
import { createCA, issue } from "../cluster";

/** What an API server sees of an answer. */
interface Seen {
  readonly status: number;
  readonly connection: string | undefined;
}

describe("a server that ends", () => {
  let followed: Drainable;
  let server: Server;
  let agent: https.Agent;
  let port: number;
  /** Answers what was held back. */
  let answer: (() => void)[];

  const send = async (path: string): Promise<Seen> =>
    new Promise((resolve, reject) => {
      const request = https.request(
        { host: "127.0.0.1", port, path, method: "POST", agent },
        (response) => {
          response.resume();
          const { statusCode = 0, headers } = response;
          response.on("end", () => {
            resolve({ status: statusCode, connection: headers.connection });
          });
        },
      );
      request.on("error", reject);
      request.end("{}");
    });

  beforeEach(async () => {
    const ca = await createCA({ commonName: "ca" });
    const { certificatePem: cert, privateKeyPem: key } = await issue(ca, {
      commonName: "server",
      ipAddresses: ["127.0.0.1"],
      usages: ["server"],
    });
    answer = [];
    followed = followServers();
    server = https.createServer({ cert, key }, (request, response) => {
      const end = (): void => {
        response.end("{}");
      };
      if (request.url === "/slow") answer.push(end);
      else end();
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    ({ port } = server.address() as AddressInfo);
    agent = new https.Agent({ keepAlive: true, ca: ca.certificatePem });
  });
  afterEach(() => {
    followed.restore();
    agent.destroy();
    server.closeAllConnections();
    server.close();
  });

  it("keeps connections until then", async () => {
    expect(await send("/")).toEqual({ status: 200, connection: "keep-alive" });
  });

  it("answers on old and new connections for a while, and tells that each is the last", async () => {
    await send("/");
    void followed.drain({ drainMs: 600_000, limitMs: 0 });

    for (let count = 0; count < 3; count += 1) {
      expect(await send("/")).toEqual({ status: 200, connection: "close" });
    }
  });

  it("then takes no connection any more", async () => {
    await followed.drain({ drainMs: 0, limitMs: 10_000 });

    await expect(send("/")).rejects.toThrow("ECONNREFUSED");
  });

  it("finishes what is under way, and tells it too", async () => {
    const slow = send("/slow");
    while (answer.length === 0) await sleep(5);
    const ended = followed.drain({ drainMs: 0, limitMs: 10_000 });
    await sleep(50);
    for (const end of answer) end();

    expect(await slow).toEqual({ status: 200, connection: "close" });
    await ended;
  });

  it("closes connections that nobody uses", async () => {
    await send("/");
    await followed.drain({ drainMs: 0, limitMs: 60_000 });

    expect(server.listening).toBe(false);
  });

  it("ends though a request never does", async () => {
    const slow = send("/slow").catch(() => "lost");
    while (answer.length === 0) await sleep(5);
    await followed.drain({ drainMs: 0, limitMs: 50 });

    server.closeAllConnections();
    expect(await slow).toBe("lost");
  });
});
