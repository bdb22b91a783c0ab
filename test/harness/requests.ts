import type { EmbeddedCluster } from "../cluster";
import type { AuditEvent } from "../cluster/audit";

/** The processes of the module, by the users that the harness gives them. */
export const processUsers = { admission: "fairlead-admission", watch: "fairlead-watch" } as const;

/** One of the module's processes. */
export type ProcessMode = keyof typeof processUsers;

/** What a process asked of the API server in a span of time. */
export interface RequestCount {
  /** Everything that changes something. */
  readonly writes: readonly string[];
  /** Everything else: lists, gets, and the starts of watches. */
  readonly reads: readonly string[];
  /** Reads of the management cluster's version, which have a timer of their own (`FAIRLEAD_VERSION_INTERVAL_SECONDS`). */
  readonly versionReads: number;
}

const readingVerbs = new Set(["get", "list", "watch"]);

const describe = ({ verb, requestURI }: AuditEvent): string => `${verb} ${requestURI}`;

/** Counts the requests of a process, by the API server's audit log, which is complete when a request is answered. */
export async function countRequests(
  cluster: Pick<EmbeddedCluster, "auditEvents">,
  mode: ProcessMode,
  { since, until }: { readonly since: Date; readonly until?: Date },
): Promise<RequestCount> {
  const events = await cluster.auditEvents({
    user: processUsers[mode],
    since,
    ...(until === undefined ? {} : { until }),
  });
  // A watch is one request with two events.
  const unique = [...new Map(events.map((event) => [event.auditID, event])).values()];
  const isVersionRead = ({ requestURI }: AuditEvent): boolean => requestURI.startsWith("/version");
  const others = unique.filter((event) => !isVersionRead(event));
  return {
    writes: others.filter(({ verb }) => !readingVerbs.has(verb)).map(describe),
    reads: others.filter(({ verb }) => readingVerbs.has(verb)).map(describe),
    versionReads: unique.length - others.length,
  };
}
