/** How a hosted API server is served: connections are balanced (L4), or requests (L7). */
export type Mode = "L4" | "L7";

/** One of a tenant's API servers. */
export interface Server {
  readonly tenant: string;
  /** Its Pod's name. */
  readonly name: string;
}

/** What all API servers have counted at one moment. */
export interface Sample {
  /** Since the load began. */
  readonly atMs: number;
  /** Requests of the load since it began, in the order of the servers. */
  readonly requests: readonly number[];
}

/** What a tenant's clients have counted. */
export interface ClientCount {
  readonly tenant: string;
  readonly connections: number;
  /** Requests that were answered as they should be. */
  readonly succeeded: number;
  readonly failed: number;
}

/** What was measured in one mode. */
export interface Part {
  readonly mode: Mode;
  /** Grouped by tenant. */
  readonly servers: readonly Server[];
  /** The first one is of the beginning, the last one of the end. */
  readonly samples: readonly Sample[];
  readonly clients: readonly ClientCount[];
}

/** Requests by tenant and API server. */
export type RequestsByTenant = Readonly<Record<string, Readonly<Record<string, number>>>>;

/**
 * How unevenly requests are spread: the maximum through the mean, 1 for evenly.
 * @throws RangeError where there is no request.
 */
export function skewOf(counts: readonly number[]): number {
  const sum = counts.reduce((total, count) => total + count, 0);
  if (sum === 0) throw new RangeError("there is no skew without requests");
  return (Math.max(...counts) * counts.length) / sum;
}

/** The tenants of a part, in its order. */
export function tenantsOf({ servers }: Pick<Part, "servers">): readonly string[] {
  return [...new Set(servers.map(({ tenant }) => tenant))];
}

/** Requests in the whole of a part. */
export function requestsOf({ servers, samples }: Part): RequestsByTenant {
  const last = samples.at(-1)?.requests ?? [];
  return Object.fromEntries(
    tenantsOf({ servers }).map((tenant) => [
      tenant,
      Object.fromEntries(
        servers.flatMap((server, index) =>
          server.tenant === tenant ? [[server.name, last[index] ?? 0] as const] : [],
        ),
      ),
    ]),
  );
}

/**
 * The skew of each tenant in a part.
 * @throws RangeError for a tenant without requests.
 */
export function skewsOf(part: Part): Readonly<Record<string, number>> {
  return Object.fromEntries(
    Object.entries(requestsOf(part)).map(([tenant, counts]) => [
      tenant,
      skewOf(Object.values(counts)),
    ]),
  );
}

/** The skew of the tenant that has the largest. */
export function worstSkewOf(part: Part): number {
  return Math.max(...Object.values(skewsOf(part)));
}

/** How long a part's load was, in seconds. */
export function secondsOf({ samples }: Pick<Part, "samples">): number {
  return (samples.at(-1)?.atMs ?? 0) / 1_000;
}

/** Requests per second between each sample and the one before it, in the order of the servers. */
export function ratesOf(samples: readonly Sample[]): readonly Sample[] {
  return samples.slice(1).map((sample, index) => {
    const before = samples[index];
    const seconds = (sample.atMs - (before?.atMs ?? 0)) / 1_000;
    return {
      atMs: sample.atMs,
      requests: sample.requests.map(
        (count, server) => (count - (before?.requests[server] ?? 0)) / seconds,
      ),
    };
  });
}

/** A number for people: `12,034`. */
export function formatCount(count: number): string {
  return Math.round(count).toLocaleString("en-GB");
}

/** A skew for people: `1.02`. */
export function formatSkew(skew: number): string {
  return skew.toFixed(2);
}

/** The head of the table of a result. */
export const spreadHead = [
  "tenant",
  "API server",
  "requests in L4",
  "share",
  "requests in L7",
  "share",
] as const;

/** Rows of the table of a result: a row an API server, and one for each tenant's max/mean and failures. */
export function spreadRows(l4: Part, l7: Part): readonly (readonly string[])[] {
  return tenantsOf(l4).flatMap((tenant) => {
    const cells = [l4, l7].map((part) => cellsOf(part, tenant));
    const names = l4.servers.filter((server) => server.tenant === tenant).map(({ name }) => name);
    const summary = (label: string, values: readonly string[]): readonly string[] => [
      "",
      label,
      ...values.flatMap((value) => [value, ""]),
    ];
    return [
      ...names.map((name, index) => [
        index === 0 ? tenant : "",
        name,
        ...cells.flatMap(({ servers }) => servers[index] ?? ["", ""]),
      ]),
      summary(
        "max / mean",
        cells.map(({ skew }) => skew),
      ),
      summary(
        "failed requests",
        cells.map(({ failed }) => failed),
      ),
    ];
  });
}

interface Cells {
  readonly servers: readonly (readonly [requests: string, share: string])[];
  readonly skew: string;
  readonly failed: string;
}

function cellsOf(part: Part, tenant: string): Cells {
  const counts = Object.values(requestsOf(part)[tenant] ?? {});
  const sum = counts.reduce((total, count) => total + count, 0);
  const failed = part.clients
    .filter((client) => client.tenant === tenant)
    .reduce((total, client) => total + client.failed, 0);
  return {
    servers: counts.map((count) => [formatCount(count), `${((100 * count) / sum).toFixed(1)} %`]),
    skew: formatSkew(skewOf(counts)),
    failed: formatCount(failed),
  };
}
