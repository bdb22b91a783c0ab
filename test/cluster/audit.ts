import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";

/** One line of the audit log, at Metadata level. Times are RFC 3339 with microseconds. */
export interface AuditEvent {
  readonly auditID: string;
  /** ResponseStarted only for watches, which have ResponseComplete when they end. */
  readonly stage: "ResponseStarted" | "ResponseComplete" | "Panic";
  readonly verb: string;
  readonly requestURI: string;
  readonly user: { readonly username: string; readonly groups?: readonly string[] };
  readonly userAgent?: string;
  readonly objectRef?: {
    readonly apiGroup?: string;
    readonly apiVersion?: string;
    readonly resource?: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly responseStatus?: { readonly code?: number; readonly reason?: string };
  readonly requestReceivedTimestamp: string;
  readonly stageTimestamp: string;
  readonly annotations?: Readonly<Record<string, string>>;
}

/** Which audit events are wanted; all that is given must match. */
export interface AuditFilter {
  readonly user?: string;
  readonly verbs?: readonly string[];
  readonly resource?: string;
  readonly namespace?: string;
  readonly name?: string;
  readonly stage?: AuditEvent["stage"];
  /** Requests received at or after this time. */
  readonly since?: Date;
  readonly until?: Date;
}

/**
 * Reads the events of an audit log that match a filter, in the order of the file. A last line that
 * is not written to its end is left out.
 * @throws when the file cannot be read.
 */
export async function readAuditEvents(
  path: string,
  filter: AuditFilter = {},
): Promise<AuditEvent[]> {
  const events: AuditEvent[] = [];
  const lines = createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Infinity });
  for await (const line of lines) {
    if (filter.user !== undefined && !line.includes(filter.user)) continue;
    if (!line.endsWith("}")) continue;
    const event = parseEvent(line);
    if (event !== undefined && matchesAudit(event, filter)) events.push(event);
  }
  return events;
}

function parseEvent(line: string): AuditEvent | undefined {
  try {
    return JSON.parse(line) as AuditEvent;
  } catch {
    return undefined;
  }
}

/** Whether an event is wanted. */
function matchesAudit(event: AuditEvent, filter: AuditFilter): boolean {
  const receivedMs = Date.parse(event.requestReceivedTimestamp);
  const equal = (wanted: string | undefined, actual: string | undefined) =>
    wanted === undefined || wanted === actual;
  return (
    equal(filter.user, event.user.username) &&
    equal(filter.resource, event.objectRef?.resource) &&
    equal(filter.namespace, event.objectRef?.namespace) &&
    equal(filter.name, event.objectRef?.name) &&
    equal(filter.stage, event.stage) &&
    (filter.verbs?.includes(event.verb) ?? true) &&
    (filter.since === undefined || receivedMs >= filter.since.getTime()) &&
    (filter.until === undefined || receivedMs <= filter.until.getTime())
  );
}
