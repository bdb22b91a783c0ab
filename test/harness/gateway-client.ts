import { once } from "node:events";
import { connect, type ClientHttp2Session } from "node:http2";
import type { OutgoingHttpHeaders } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect as connectTls } from "node:tls";
import type { KeyPair } from "../cluster";

/** Headers in their order and letter case; a name may come more than once. */
export type HeaderList = readonly (readonly [name: string, value: string])[];

/** A request, with whatever a client may make up. */
export interface Call {
  readonly method?: "GET" | "POST";
  /** Default "/". */
  readonly path?: string;
  readonly headers?: HeaderList;
  /** Shown in the handshake. */
  readonly client?: KeyPair | undefined;
  /** `:authority`, or Host; default: the name of the handshake. */
  readonly authority?: string;
  readonly body?: object;
}

/** An answer. */
export interface Answer {
  readonly status: number;
  readonly body: string;
}

/** Sends a request on a connection of its own. Throws what the connection or the handshake fails with. */
export type Send = (call: Call) => Promise<Answer>;

/** How a gateway is reached from this process. */
export interface Reach {
  /** On 127.0.0.1. */
  readonly port: number;
  /** SNI; the certificate is verified for it. */
  readonly serverName: string;
  readonly caPem: string;
}

function tlsOptions({ serverName, caPem }: Reach, client: KeyPair | undefined) {
  return {
    servername: serverName,
    ca: caPem,
    ...(client === undefined ? {} : { cert: client.certificatePem, key: client.privateKeyPem }),
  };
}

/** Sends by HTTP/1.1. An upgrade that is granted is answered as 101 and ended. */
export function http1(reach: Reach): Send {
  return async ({ method = "GET", path = "/", headers = [], client, authority, body }) =>
    new Promise((resolve, reject) => {
      const text = body === undefined ? undefined : JSON.stringify(body);
      const own: HeaderList =
        text === undefined
          ? []
          : [
              ["content-type", "application/json"],
              ["content-length", String(Buffer.byteLength(text))],
            ];
      const request = httpsRequest({
        host: "127.0.0.1",
        port: reach.port,
        method,
        path,
        agent: false,
        ...tlsOptions(reach, client),
        // As a flat list, so that nothing is merged or reordered.
        headers: [
          ["host", authority ?? reach.serverName],
          ...own,
          ...headers,
        ].flat() as unknown as OutgoingHttpHeaders,
      });
      request.on("response", (response) => {
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const status = response.statusCode ?? 0;
          resolve({ status, body: Buffer.concat(chunks).toString("utf8") });
        });
      });
      request.on("upgrade", (_response, socket) => {
        socket.destroy();
        resolve({ status: 101, body: "" });
      });
      request.on("error", reject);
      request.end(text);
    });
}

/** Opens an HTTP/2 connection. */
export function openSession(reach: Reach, client?: KeyPair): ClientHttp2Session {
  const session = connect(`https://127.0.0.1:${reach.port}`, {
    ...tlsOptions(reach, client),
    settings: { maxHeaderListSize: 1_048_576 },
  });
  // Each request tells of it.
  session.on("error", () => undefined);
  return session;
}

/** Sends a request on an HTTP/2 connection that is open. */
export async function sendOn(
  session: ClientHttp2Session,
  authority: string,
  { method = "GET", path = "/", headers = [], body }: Omit<Call, "client" | "authority">,
): Promise<Answer> {
  const grouped: Record<string, string[]> = {};
  for (const [name, value] of headers) (grouped[name.toLowerCase()] ??= []).push(value);
  return new Promise((resolve, reject) => {
    session.once("error", reject);
    const stream = session.request({
      ":method": method,
      ":path": path,
      ":authority": authority,
      ...(body === undefined ? {} : { "content-type": "application/json" }),
      ...grouped,
    });
    const chunks: Buffer[] = [];
    let status = 0;
    stream.on("response", (found) => (status = found[":status"] ?? 0));
    stream.on("data", (chunk: Buffer) => chunks.push(chunk));
    stream.on("error", reject);
    stream.on("close", () => {
      session.off("error", reject);
      if (status === 0) reject(new Error("the stream ended without an answer"));
      else resolve({ status, body: Buffer.concat(chunks).toString("utf8") });
    });
    stream.end(body === undefined ? undefined : JSON.stringify(body));
  });
}

/** Sends by HTTP/2. */
export function http2(reach: Reach): Send {
  return async ({ client, authority, ...call }) => {
    const session = openSession(reach, client);
    try {
      return await sendOn(session, authority ?? reach.serverName, call);
    } finally {
      session.destroy();
    }
  };
}

/** What kube-apiserver takes a request's sender for. */
export type Seen =
  | {
      readonly username: string;
      readonly groups?: readonly string[];
      readonly uid?: string;
      readonly extra?: Readonly<Record<string, readonly string[]>>;
    }
  /** Any other status than that of an answer, with the user that it names: `403 jane`. */
  | string;

/** Asks as `kubectl auth whoami` does. */
export const WHOAMI: Pick<Call, "method" | "path" | "body"> = {
  method: "POST",
  path: "/apis/authentication.k8s.io/v1/selfsubjectreviews",
  body: { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" },
};

/** Who an answer to `WHOAMI` says that it was. */
export function seenIn({ status, body }: Answer): Seen {
  if (status === 201) {
    return (JSON.parse(body) as { status: { userInfo: Exclude<Seen, string> } }).status.userInfo;
  }
  const user = /User "([^"]+)" cannot/.exec(body.replaceAll('\\"', '"'))?.[1];
  return user === undefined ? String(status) : `${status} ${user}`;
}

/** What a client may send to be taken for somebody else. */
export const SPOOFS: readonly HeaderList[] = [
  [["X-Remote-User", "admin"]],
  [["x-ReMoTe-UsEr", "admin"]],
  [
    ["X-Remote-User", "admin"],
    ["x-remote-user", "root"],
  ],
  [["X-Remote-Group", "system:masters"]],
  [
    ["X-Remote-User", "admin"],
    ["X-Remote-Group", "system:masters"],
    ["X-Remote-Group", "system:authenticated"],
  ],
  [["X-Remote-Uid", "1"]],
  [["X-Remote-Extra-Scopes", "all"]],
  [["X-Remote-Extra-acme.com%2Fproject", "p"]],
  [["X-Remote-", "nothing"]],
  [
    ["x_remote_user", "admin"],
    ["x_remote_group", "system:masters"],
  ],
  [["x-fairlead-client-certificate", "0".repeat(32)]],
  [["X-Fairlead-Client-Certificate", "api.tenant-a.example.com"]],
  [["x_fairlead_client_certificate", "1"]],
  [["x-forwarded-client-cert", 'Subject="O=system:masters,CN=admin"']],
  [
    ["x-forwarded-client-cert", "By=a;Hash=b"],
    ["X-Remote-User", "admin"],
  ],
  [["x-envoy-original-path", "/"]],
  [
    ["connection", "X-Remote-User, X-Remote-Group"],
    ["X-Remote-User", "admin"],
  ],
  Array.from({ length: 90 }, (_, index) => [`X-Remote-Extra-Key${index}`, "v"] as const),
];

/**
 * The certificate that is shown to a client without one, as SHA-256.
 * @throws what the handshake fails with.
 */
export async function shownCertificate(reach: Reach): Promise<string> {
  const socket = connectTls({
    host: "127.0.0.1",
    port: reach.port,
    ...tlsOptions(reach, undefined),
  });
  try {
    await once(socket, "secureConnect");
    return socket.getPeerX509Certificate()?.fingerprint256 ?? "";
  } finally {
    socket.destroy();
  }
}

/** Headers that HTTP/2 does not know. */
export function isHopByHop(headers: HeaderList): boolean {
  return headers.some(([name]) => name.toLowerCase() === "connection");
}
