import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import type { KeyPair } from "./certificates";

/** What a probe is asked with. */
export interface ProbeOptions {
  readonly caPem?: string;
  readonly client?: KeyPair;
  readonly timeoutMs?: number;
}

/** A probe's answer; status 0 when there was none (refused, reset, too late). */
export interface ProbeAnswer {
  readonly status: number;
  readonly body: string;
}

/** GETs a URL on a connection of its own. Never throws. */
export async function probe(url: string, options: ProbeOptions = {}): Promise<ProbeAnswer> {
  const request = url.startsWith("https:") ? httpsRequest : httpRequest;
  return new Promise((resolve) => {
    const tls = {
      ...(options.caPem === undefined ? {} : { ca: options.caPem }),
      ...(options.client === undefined
        ? {}
        : { cert: options.client.certificatePem, key: options.client.privateKeyPem }),
    };
    const outgoing = request(url, { ...tls, agent: false, timeout: options.timeoutMs ?? 2000 });
    outgoing.on("timeout", () => outgoing.destroy(new Error("timeout")));
    outgoing.on("error", () => {
      resolve({ status: 0, body: "" });
    });
    outgoing.on("response", (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", () => {
        resolve({ status: 0, body: "" });
      });
      response.on("end", () => {
        resolve({ status: response.statusCode ?? 0, body: Buffer.concat(chunks).toString("utf8") });
      });
    });
    outgoing.end();
  });
}
