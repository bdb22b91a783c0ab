import { open } from "node:fs/promises";
import type { AuditEvent } from "../../test/cluster";
import { processUsers, type ProcessMode } from "../../test/harness/requests";

/** A request of one of fairlead's processes. */
export interface LoggedRequest {
  readonly mode: ProcessMode;
  /** "create secrets", "apply hostedapiservers/status", "watch pods", "get /version". */
  readonly what: string;
  /** When the API server received it, in milliseconds since the epoch. */
  readonly atMs: number;
  /** The HTTP status code; undefined for a watch. */
  readonly code: number | undefined;
}

const modes = Object.entries(processUsers) as readonly (readonly [ProcessMode, string])[];

function describe({ verb, requestURI, objectRef }: AuditEvent): string {
  const { resource, subresource } = objectRef ?? {};
  if (resource === undefined) return `${verb} ${requestURI.split("?")[0] ?? ""}`;
  return `${verb} ${resource}${subresource === undefined ? "" : `/${subresource}`}`;
}

/** A request of fairlead's by a line of the audit log; undefined for anybody else's, and for a watch's end. */
export function parseLine(line: string): LoggedRequest | undefined {
  const [mode] = modes.find(([, user]) => line.includes(`"username":"${user}"`)) ?? [];
  if (mode === undefined) return undefined;
  const event = JSON.parse(line) as AuditEvent;
  const isWatch = event.verb === "watch";
  if (isWatch && event.stage !== "ResponseStarted") return undefined;
  return {
    mode,
    what: describe(event),
    atMs: Date.parse(event.requestReceivedTimestamp),
    code: isWatch ? undefined : event.responseStatus?.code,
  };
}

/** Follows an audit log, which holds a request before that is answered; each line is read once. */
export class RequestLog {
  readonly #requests: LoggedRequest[] = [];
  #offset = 0;
  #rest = Buffer.alloc(0);

  /** @param path Of the audit log. */
  constructor(private readonly path: string) {}

  /** All requests of fairlead's until now. */
  async read(): Promise<readonly LoggedRequest[]> {
    const file = await open(this.path, "r");
    try {
      const { size } = await file.stat();
      const fresh = Buffer.alloc(size - this.#offset);
      const { bytesRead } = await file.read(fresh, 0, fresh.length, this.#offset);
      this.#offset += bytesRead;
      this.#take(Buffer.concat([this.#rest, fresh.subarray(0, bytesRead)]));
    } finally {
      await file.close();
    }
    return this.#requests;
  }

  #take(bytes: Buffer): void {
    const end = bytes.lastIndexOf(0x0a) + 1;
    this.#rest = bytes.subarray(end);
    for (const line of bytes.subarray(0, end).toString("utf8").split("\n")) {
      const request = parseLine(line);
      if (request !== undefined) this.#requests.push(request);
    }
  }
}

/** Reads of the management cluster's version have a timer of their own, which a setting changes. */
export const isVersionRead = ({ what }: LoggedRequest): boolean => what === "get /version";

/** How many there are of each, the most frequent first. */
export function tally(requests: readonly LoggedRequest[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const { mode, what, code } of requests) {
    const failed = code === undefined || code < 400 ? "" : ` (${code})`;
    const key = `${mode} ${what}${failed}`;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}
