// All of fairlead's metrics, in one table: what is exported and what docs/metrics.md says are made from it.

/** A process of fairlead's. */
export type MetricProcess = "admission" | "watch";

/** A label's name, and what bounds how many values it has. */
export const LABELS = {
  capability:
    "`pods`, `services`, `credentials`, `exposure`, `webhook`, `status`, `stale-pods`, `policies`",
  action: "what is done: `change`, `keep`, `deny`, `create`, `patch`, …: words of the code",
  reason: "why, in CamelCase: words of the code; anything else counts as `Other`",
  queue: "a queue of docs/architecture.md",
  state: "`ready`, `running`, `waiting`",
  result: "`done`, `again` (it is looked at again at a set time), `retry`, `terminal`",
  component: "a queue's name, `admission`, `watch`, `start`",
  kind: "a kind that fairlead watches",
  condition: "a type of condition of docs/conditions.md",
  status: "`True`, `False`, `Unknown`",
  use: "`server`, `serverCA`, `clientCA`, `proxyClient`, `proxyClientIssuer`",
  namespace: "of an existing HostedAPIServer",
  name: "of an existing HostedAPIServer",
  load_balancing: "`L7`, `L4`, `unknown`",
  gateway: "of an existing InternalGateway, `namespace/name`; or empty",
  version: "one",
  mode: "`policies`, `webhook`",
} as const;

/** A label of fairlead's metrics. */
export type LabelName = keyof typeof LABELS;

/** What a metric is. */
export interface MetricDefinition {
  readonly type: "counter" | "gauge" | "histogram";
  readonly help: string;
  readonly labels: readonly LabelName[];
  readonly processes: readonly MetricProcess[];
  /** Upper bounds of a histogram's buckets, in the metric's unit. */
  readonly buckets?: readonly number[];
}

const both = ["admission", "watch"] as const;
const admission = ["admission"] as const;
const watch = ["watch"] as const;
const server = ["namespace", "name"] as const;
const decision = ["capability", "action", "reason"] as const;
const SECONDS_TO_ANSWER = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5];
const SECONDS_TO_WORK = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60];

/** Names without their common prefix `fairlead_`. */
export const METRICS = {
  build_info: {
    type: "gauge",
    help: "Always 1; the version of fairlead that runs.",
    labels: ["version"],
    processes: both,
  },
  admission_decisions_total: {
    type: "counter",
    help: "Decisions about admission requests, by capability, what was done and why.",
    labels: decision,
    processes: admission,
  },
  admission_duration_seconds: {
    type: "histogram",
    help: "Time from an admission request to its answer; the webhook's timeout is 5 s.",
    labels: [],
    processes: admission,
    buckets: SECONDS_TO_ANSWER,
  },
  reconcile_decisions_total: {
    type: "counter",
    help: "What the watch decided about objects that it looked at anew, by capability, what was done and why.",
    labels: decision,
    processes: watch,
  },
  reconciles_total: {
    type: "counter",
    help: "Runs of a queue's reconcile, by how they ended.",
    labels: ["queue", "result"],
    processes: watch,
  },
  reconcile_duration_seconds: {
    type: "histogram",
    help: "Time that a run of a queue's reconcile took.",
    labels: ["queue"],
    processes: watch,
    buckets: SECONDS_TO_WORK,
  },
  queue_depth: {
    type: "gauge",
    help: "Keys in a queue, by state; waiting are those that failed, or are to be looked at again at a set time.",
    labels: ["queue", "state"],
    processes: watch,
  },
  queue_latency_seconds: {
    type: "histogram",
    help: "Time that a key was ready before it was taken up.",
    labels: ["queue"],
    processes: watch,
    buckets: SECONDS_TO_WORK,
  },
  queue_retries_total: {
    type: "counter",
    help: "Runs that failed and are tried again.",
    labels: ["queue"],
    processes: watch,
  },
  errors_total: {
    type: "counter",
    help: "Errors, by where they came up and the API server's reason; Unreachable where nobody answered.",
    labels: ["component", "reason"],
    processes: both,
  },
  watch_silence_seconds: {
    type: "gauge",
    help: "Time since the most silent watch of a kind had an event, a bookmark or a whole list.",
    labels: ["kind"],
    processes: both,
  },
  watch_overdue_seconds: {
    type: "gauge",
    help: "For how long the most overdue watch of a kind has been silent beyond its limit; 0 while all is well. What is known of that kind may be old.",
    labels: ["kind"],
    processes: both,
  },
  hosted_api_servers: {
    type: "gauge",
    help: "HostedAPIServers, by condition, status and reason.",
    labels: ["condition", "status", "reason"],
    processes: watch,
  },
  hosted_api_server_info: {
    type: "gauge",
    help: "Always 1; how a HostedAPIServer is served, and by which InternalGateway.",
    labels: [...server, "load_balancing", "gateway"],
    processes: watch,
  },
  hosted_api_server_ready: {
    type: "gauge",
    help: "1 where a HostedAPIServer's condition Ready is True, else 0.",
    labels: server,
    processes: watch,
  },
  internal_gateways: {
    type: "gauge",
    help: "InternalGateways, by condition, status and reason.",
    labels: ["condition", "status", "reason"],
    processes: watch,
  },
  credentials_sync_age_seconds: {
    type: "gauge",
    help: "Time since a HostedAPIServer's credentials were last found, or brought, in line with their sources; since this process started where they never were.",
    labels: server,
    processes: watch,
  },
  certificate_expiration_timestamp_seconds: {
    type: "gauge",
    help: "When a certificate of a HostedAPIServer expires, of a bundle the earliest (Unix time).",
    labels: [...server, "use"],
    processes: watch,
  },
  certificate_not_before_timestamp_seconds: {
    type: "gauge",
    help: "Since when a certificate of a HostedAPIServer is valid (Unix time); not known of bundles.",
    labels: [...server, "use"],
    processes: watch,
  },
  serving_certificate_expiration_timestamp_seconds: {
    type: "gauge",
    help: "When the certificate that this process serves expires (Unix time); the API server trusts no webhook without.",
    labels: [],
    processes: both,
  },
  serving_certificate_not_before_timestamp_seconds: {
    type: "gauge",
    help: "Since when the certificate that this process serves is valid (Unix time).",
    labels: [],
    processes: both,
  },
  admission_mode: {
    type: "gauge",
    help: "Always 1; by what Pods and Services are admitted, and why.",
    labels: ["mode", "reason"],
    processes: watch,
  },
  stale_pods: {
    type: "gauge",
    help: "Running Pods whose host aliases are not those of their HostedAPIServer's route, by reason.",
    labels: [...server, "reason"],
    processes: watch,
  },
} as const satisfies Readonly<Record<string, MetricDefinition>>;

/** A metric's name without `fairlead_`. */
export type MetricName = keyof typeof METRICS;

/** The name under which a metric is exported. */
export function exportedName(name: MetricName): string {
  return `fairlead_${name}`;
}
