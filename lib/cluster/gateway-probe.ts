import { request, Agent } from "node:https";
import { request as requestPlain, type IncomingMessage } from "node:http";
import type { Socket } from "node:net";
import { connect, type TLSSocket, type DetailedPeerCertificate } from "node:tls";
import { toCertificate, type Certificate } from "../domain/certificates";
import { describeError } from "./errors";

/** Whom to ask, and for what. */
export interface GatewayProbe {
  /** An IP address. */
  readonly address: string;
  readonly port: number;
  /** Sent as SNI, and as the host of requests. */
  readonly serverName: string;
  /** Paths to ask for, each with the host to say and headers besides. No credentials are ever sent. */
  readonly requests: readonly {
    readonly path: string;
    readonly host: string;
    readonly headers?: Readonly<Record<string, string>>;
  }[];
  readonly timeoutMs: number;
  /** `host:port` to ask the address to CONNECT to first; TLS begins inside. */
  readonly tunnelTo?: string;
}

/** What was seen. */
export type GatewaySighting =
  | {
      readonly kind: "served";
      /** As it was served, the leaf first; it was not verified. */
      readonly chain: readonly Certificate[];
      /** The status that each request was answered with; undefined where there was no answer. */
      readonly statuses: readonly (number | undefined)[];
    }
  | {
      readonly kind: "failed";
      /** The end of a sentence. */
      readonly problem: string;
    };

const MAX_CHAIN = 10;

function chainOf(socket: TLSSocket): readonly Certificate[] {
  const chain: Certificate[] = [];
  // The types leave out that before the handshake there is none.
  let peer: Partial<DetailedPeerCertificate> | undefined = socket.getPeerCertificate(true);
  while (peer?.raw !== undefined && chain.length < MAX_CHAIN) {
    chain.push(toCertificate(peer.raw));
    // A self-signed certificate is its own issuer.
    peer = peer.issuerCertificate === peer ? undefined : peer.issuerCertificate;
  }
  return chain;
}

/**
 * Opens a tunnel.
 * @throws {Error} that quotes the answer, where it is not 200.
 */
function openTunnel(probe: GatewayProbe, tunnelTo: string): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const sent = requestPlain({
      host: probe.address,
      port: probe.port,
      method: "CONNECT",
      path: tunnelTo,
      headers: { host: tunnelTo, "user-agent": "fairlead-probe" },
      agent: false,
      timeout: probe.timeoutMs,
    });
    sent.on("connect", ({ statusCode }, socket: Socket) => {
      if (statusCode === 200) {
        resolve(socket);
        return;
      }
      socket.destroy();
      reject(new Error(`CONNECT was answered with ${statusCode ?? 0}`));
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.on("error", reject);
    sent.end();
  });
}

/** An agent whose one connection comes by a tunnel, where there is to be one. */
async function agentFor(probe: GatewayProbe): Promise<Agent> {
  // Of its own, so that nothing is resumed: a resumed session would show the certificate of before.
  const options = { keepAlive: true, maxSockets: 1, maxCachedSessions: 0 };
  if (probe.tunnelTo === undefined) return new Agent(options);
  const socket = await openTunnel(probe, probe.tunnelTo);
  const agent = new Agent(options);
  agent.createConnection = () =>
    connect({ socket, servername: probe.serverName, rejectUnauthorized: false });
  return agent;
}

interface Exchange {
  readonly status: number | undefined;
  readonly chain: readonly Certificate[];
}

function exchange(
  probe: GatewayProbe,
  agent: Agent,
  asked: GatewayProbe["requests"][number],
): Promise<Exchange> {
  return new Promise((resolve, reject) => {
    let chain: readonly Certificate[] = [];
    const sent = request(
      {
        agent,
        host: probe.address,
        port: probe.port,
        path: asked.path,
        servername: probe.serverName,
        headers: { ...asked.headers, host: asked.host, "user-agent": "fairlead-probe" },
        // Whoever is asked, it is the certificate itself that is compared.
        rejectUnauthorized: false,
        timeout: probe.timeoutMs,
      },
      (response: IncomingMessage) => {
        response.on("error", () => undefined);
        response.resume();
        response.on("close", () => {
          resolve({ status: response.statusCode, chain });
        });
      },
    );
    sent.on("socket", (socket) => {
      // A socket that is used again is connected already, and shows what it showed before.
      chain = chainOf(socket as TLSSocket);
      socket.once("secureConnect", () => {
        chain = chainOf(socket as TLSSocket);
      });
    });
    sent.on("timeout", () => sent.destroy(new Error("no answer in time")));
    sent.on("error", (error) => {
      // TLS was up: what is behind it does not answer HTTP, or not now.
      if (chain.length > 0) resolve({ status: undefined, chain });
      else reject(error);
    });
    sent.end();
  });
}

/**
 * Looks at what is served at an address for a host: one TLS connection, without credentials, and a few requests on it;
 * through a tunnel, if it is told so.
 * Throws nothing.
 */
export async function probeGateway(probe: GatewayProbe): Promise<GatewaySighting> {
  const statuses: (number | undefined)[] = [];
  let agent: Agent | undefined;
  let chain: readonly Certificate[] = [];
  try {
    agent = await agentFor(probe);
    for (const asked of probe.requests) {
      const answer = await exchange(probe, agent, asked);
      if (chain.length === 0) chain = answer.chain;
      statuses.push(answer.status);
    }
    return { kind: "served", chain, statuses };
  } catch (error) {
    if (chain.length > 0) return { kind: "served", chain, statuses };
    return { kind: "failed", problem: describeError(error) };
  } finally {
    agent?.destroy();
  }
}
