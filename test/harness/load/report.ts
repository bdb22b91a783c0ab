/**
 * Words of the load generator. A **failed request** is a transport error, a body that is cut short, an unexpected
 * status or a wrong effect of a request that is no watch, by a client without retries. A request whose stream the server
 * refused (REFUSED_STREAM, or an id above the last one of a GOAWAY) was certainly not seen: HTTP says so (RFC 9113,
 * 8.7), and Go's http2 client, so client-go too, sends it again without telling. The generator does the same, and counts
 * it apart as **refused**. A **watch** may end only with a clean end of the stream, or because of a GOAWAY.
 */

/** One HTTP/2 connection, which is opened anew whenever it has ended or is ending. */
export interface ConnectionOptions {
  /** Requests at the same time; default 1. */
  readonly streams?: number;
  /** After each request of a stream, in milliseconds; default 0. */
  readonly pauseMs?: number;
  /** Open watches; default 0. */
  readonly watches?: number;
}

/** Shares of what is asked for: a `write` is six requests, from a POST to a DELETE, whose effect is verified. */
export interface Mix {
  readonly list?: number;
  readonly get?: number;
  readonly write?: number;
}

/** What load is made of. */
export interface LoadOptions {
  /** `https://<host>[:<port>]`; the host is found as the client's Pod finds it, with its host aliases. */
  readonly url: string;
  /** Of what the server shows. */
  readonly caPem: string;
  /** Who asks: a client certificate, or a token. */
  readonly identity: Identity;
  readonly connections: readonly ConnectionOptions[];
  /** Default: two lists and seven gets for a write. */
  readonly mix?: Mix;
  /** Where ConfigMaps are read and written; default "default". */
  readonly namespace?: string;
  /** Default: until it is stopped. */
  readonly durationMs?: number;
  /** A request without an answer for so long has failed; default 30 s. */
  readonly timeoutMs?: number;
}

/** Credentials of a client. */
export type Identity =
  | { readonly certificatePem: string; readonly privateKeyPem: string }
  | { readonly token: string };

/** Counts so far; times are of the epoch, as `Date.now()`. */
export interface Progress {
  readonly atMs: number;
  readonly requests: number;
  readonly failed: number;
  readonly refused: number;
  readonly openConnections: number;
  readonly openWatches: number;
}

/** How something failed. */
export interface FailureSample {
  readonly atMs: number;
  /** Its `id`; absent when there was none to be had. */
  readonly connection?: number;
  /** `GET /api/…` */
  readonly request: string;
  readonly what: string;
}

/** How watches ended, those aside that were open at the end of the load. */
export interface WatchEndings {
  /** The server ended the stream after a whole event. */
  readonly eof: number;
  /** The connection had been told to go away. */
  readonly goaway: number;
  /** Any other way, or an unexpected status. */
  readonly failed: number;
}

/** One TCP connection with all that happened on it. */
export interface ConnectionReport {
  readonly id: number;
  /** Which of `LoadOptions.connections` it is of. */
  readonly index: number;
  readonly openedAtMs: number;
  /** Common name of the CA whose certificate the server showed: who terminates TLS. */
  readonly issuer: string;
  readonly requests: number;
  readonly failed: number;
  readonly refused: number;
  readonly watches: WatchEndings;
  /** Absent: open to the end of the load. "closed" is an end without a GOAWAY, others are errors. */
  readonly ending?: { readonly atMs: number; readonly how: string };
}

/** What came of a load. */
export interface LoadReport {
  readonly startedAtMs: number;
  readonly endedAtMs: number;
  /** Answered or failed; refused ones and watches are not among them. */
  readonly requests: number;
  readonly byStatus: Readonly<Record<string, number>>;
  readonly failed: number;
  /** The first ten. */
  readonly failures: readonly FailureSample[];
  readonly refused: number;
  readonly watches: WatchEndings & { readonly started: number };
  /** The first ten that ended neither of the two good ways. */
  readonly watchFailures: readonly FailureSample[];
  /** Of answered requests, in milliseconds. */
  readonly latencyMs: {
    readonly mean: number;
    readonly p50: number;
    readonly p90: number;
    readonly p99: number;
    readonly max: number;
  };
  readonly perSecond: readonly {
    readonly atMs: number;
    readonly requests: number;
    readonly failed: number;
  }[];
  readonly connections: readonly ConnectionReport[];
}

/** A line that the generator's process writes. */
export type Message =
  | { readonly kind: "ready" }
  | ({ readonly kind: "progress" } & Progress)
  | ({ readonly kind: "report" } & LoadReport);
