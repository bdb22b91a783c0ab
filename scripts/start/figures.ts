import type { Mode, RequestsByTenant } from "./spread/spread";

/** What a run of the story measured; times in milliseconds, memory in bytes. What was not measured is absent. */
export interface Figures {
  /** Max/mean of the requests over a tenant's API servers; of the tenant with the larger one. */
  readonly skew?: Readonly<Record<Mode, number>>;
  /** Requests of the load by mode, tenant and API server, as the API servers counted them. */
  readonly requests?: Readonly<Record<Mode, RequestsByTenant>>;
  /** In both modes, as the clients saw them. */
  readonly failedRequests?: number;
  readonly skewByTenant?: Readonly<Record<string, Readonly<Record<Mode, number>>>>;
  readonly loadMs?: Readonly<Record<Mode, number>>;
  /** From the write of both HostedAPIServers to both Ready in that mode. */
  readonly switchMs?: Readonly<Record<Mode, number>>;
  /** Where the picture is. */
  readonly picture?: string;
  /** "run", or a sentence why there was none. */
  readonly dataPlane: string;
  readonly kubernetesVersion: string;
  /** From nothing to an API server that answers; undefined for an existing cluster. */
  readonly clusterStartMs: number | undefined;
  /** From the start of both processes to a webhook that is called. */
  readonly fairleadStartMs: number;
  /** From an InternalGateway to its Service. */
  readonly gatewayServiceMs: number;
  /** From a HostedAPIServer to CredentialsSynced, by namespace. */
  readonly credentialsSyncedMs: Readonly<Record<string, number>>;
  /** From a HostedAPIServer to Ready, by namespace. */
  readonly readyMs?: Readonly<Record<string, number>>;
  /** From the HostedAPIServer to an existing Service with trafficDistribution. */
  readonly serviceInLineMs: number;
  /** A Pod's creation as a dry run, fairlead's admission included, over this many of them. */
  readonly podCreations: number;
  readonly podCreationP50Ms: number;
  readonly podCreationP99Ms: number;
  /** Requests of the admission process during those; undefined where there is no audit log. */
  readonly apiCallsOfAdmissions: number | undefined;
  /** From the rotated certificate's arrival in the source to its arrival in the copy, both as a watch sees them. */
  readonly rotationToCopyMs: number;
  readonly admissionMemoryBytes: number;
  readonly watchMemoryBytes: number;
  /** How many claims were checked; all of them held. */
  readonly claims: number;
  readonly totalMs: number;
}

/** A row of a table: what, and how much. */
export type FigureRow = readonly [what: string, value: string];

/** A duration for people: `0.4 ms`, `42 ms`, `3.1 s`. */
export function formatDuration(ms: number): string {
  if (ms < 10) return `${ms.toFixed(1)} ms`;
  return ms < 1_000 ? `${ms.toFixed(0)} ms` : `${(ms / 1_000).toFixed(1)} s`;
}

const formatMemory = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(0)} MiB`;

/**
 * The value below or at which a share of all values lies (nearest rank).
 * @param share Between 0 and 1: 0.5 for the median.
 * @throws RangeError without values.
 */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  const found = sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)];
  if (found === undefined) throw new RangeError("there is no percentile of nothing");
  return found;
}

/** The figures as rows of a table. What was not measured has no row. */
export function figureRows(figures: Figures): readonly FigureRow[] {
  const time = (what: string, ms: number | undefined): readonly FigureRow[] =>
    ms === undefined ? [] : [[what, formatDuration(ms)]];
  const { podCreations, apiCallsOfAdmissions } = figures;
  return [
    ["Kubernetes", figures.kubernetesVersion],
    ...time("cluster started", figures.clusterStartMs),
    ...time("fairlead started, webhook in place", figures.fairleadStartMs),
    ...time("InternalGateway → its Service", figures.gatewayServiceMs),
    ...Object.entries(figures.credentialsSyncedMs).flatMap(([namespace, ms]) =>
      time(`HostedAPIServer ${namespace} → Secrets synced`, ms),
    ),
    ...Object.entries(figures.readyMs ?? {}).flatMap(([namespace, ms]) =>
      time(`HostedAPIServer ${namespace} → Ready, served by the gateway`, ms),
    ),
    ...time("one write → both tenants served in L4", figures.switchMs?.L4),
    ...time("one write → both tenants served in L7", figures.switchMs?.L7),
    ...time("HostedAPIServer → existing Service in line", figures.serviceInLineMs),
    ...time(`a Pod's creation (dry run, p50 of ${podCreations})`, figures.podCreationP50Ms),
    ...time(`a Pod's creation (dry run, p99 of ${podCreations})`, figures.podCreationP99Ms),
    ...(apiCallsOfAdmissions === undefined
      ? []
      : ([[`API calls during ${podCreations} admissions`, String(apiCallsOfAdmissions)]] as const)),
    ...time("rotated certificate → its copy", figures.rotationToCopyMs),
    ["memory of the admission process", formatMemory(figures.admissionMemoryBytes)],
    ["memory of the watch process", formatMemory(figures.watchMemoryBytes)],
    ["claims checked", String(figures.claims)],
    ...time("all of it", figures.totalMs),
  ];
}

const round = (value: unknown): unknown =>
  typeof value === "number" ? Math.round(value * 1_000) / 1_000 : value;

/** The figures as one line of JSON, numbers to three decimals. What was not measured is absent. */
export function figuresLine(figures: Figures): string {
  const { skew, requests, failedRequests, ...others } = figures;
  const ordered = { skew, requests, failedRequests, ...others };
  return JSON.stringify(ordered, (_key, value: unknown) => round(value));
}
