import { ADMISSION, SYSTEM_NAMESPACE, WATCH, type ProcessNames } from "../names";

/** An alert, as of a Prometheus rule. */
export interface Alert {
  readonly alert: string;
  readonly expr: string;
  readonly for: string;
  readonly severity: "critical" | "warning";
  /** One line; what is in braces is Prometheus' own. */
  readonly summary: string;
  /** What it means for users. */
  readonly description: string;
}

const DAY_SECONDS = 86_400;
const RUNBOOK = "docs/runbook.md";

function isUp({ service }: ProcessNames): string {
  return `up{namespace="${SYSTEM_NAMESPACE}",service="${service}"} == 1`;
}

// Two watchers tell of the same objects: per object, the worse or the better of both counts.
const certificate = "by (namespace, name, use)";
const server = "by (namespace, name)";
const leftSeconds = `min ${certificate} (fairlead_certificate_expiration_timestamp_seconds - time())`;
const validSeconds = `min ${certificate} (fairlead_certificate_expiration_timestamp_seconds - fairlead_certificate_not_before_timestamp_seconds)`;
const who = "HostedAPIServer {{ $labels.namespace }}/{{ $labels.name }}";

const processes: readonly Alert[] = [
  {
    alert: "FairleadAdmissionDown",
    expr: `absent(${isUp(ADMISSION)})`,
    for: "2m",
    severity: "critical",
    summary: "No replica of fairlead's admission is up.",
    description: "Pods and Services that concern fairlead are refused.",
  },
  {
    alert: "FairleadWatchDown",
    expr: `absent(${isUp(WATCH)})`,
    for: "10m",
    severity: "warning",
    summary: "fairlead's watch process is not up.",
    description: "Changes of control planes are not followed, and certificates not renewed.",
  },
  {
    alert: "FairleadWatchStale",
    expr: "max by (pod, kind) (fairlead_watch_overdue_seconds) > 120",
    for: "5m",
    severity: "warning",
    summary: "{{ $labels.pod }} hears nothing of {{ $labels.kind }} objects.",
    description: "It decides by what it knew before, and does not follow changes.",
  },
  {
    alert: "FairleadErrorsPersist",
    expr: "sum by (component, reason) (rate(fairlead_errors_total[10m])) > 0",
    for: "30m",
    severity: "warning",
    summary: "{{ $labels.component }} keeps failing: {{ $labels.reason }}.",
    description: "What failed is tried again without end, and is not in line until it works.",
  },
  {
    alert: "FairleadQueueBehind",
    expr: 'max by (queue) (fairlead_queue_depth{state="ready"}) > 100',
    for: "15m",
    severity: "warning",
    summary: "Queue {{ $labels.queue }} is behind.",
    description: "Changes are followed late.",
  },
];

const admission: readonly Alert[] = [
  {
    alert: "FairleadAdmissionDenials",
    expr: 'sum by (capability, reason) (increase(fairlead_admission_decisions_total{action="deny"}[15m])) > 3',
    for: "15m",
    severity: "warning",
    summary: "Pods are denied again and again: {{ $labels.reason }}.",
    description: "Components of control planes do not start.",
  },
  {
    alert: "FairleadPoliciesNotInForce",
    expr: 'max by (reason) (fairlead_admission_mode{mode="webhook",reason=~"Contested|ForeignObject|NotInForce|WriteRefused"}) > 0',
    for: "15m",
    severity: "warning",
    summary: "The webhook admits Pods in place of fairlead's policies: {{ $labels.reason }}.",
    description: "Control planes' Pods do not start while fairlead is down.",
  },
  {
    alert: "FairleadAdmissionSlow",
    expr: "histogram_quantile(0.99, sum by (le) (rate(fairlead_admission_duration_seconds_bucket[5m]))) > 1",
    for: "10m",
    severity: "warning",
    summary:
      "fairlead's admission takes {{ $value | humanizeDuration }} for one in a hundred requests.",
    description: "After 5 s the API server gives up, and refuses the object.",
  },
  {
    alert: "FairleadWebhookCertificateNotRenewed",
    expr: "min by (pod) ((fairlead_serving_certificate_expiration_timestamp_seconds - time()) / (fairlead_serving_certificate_expiration_timestamp_seconds - fairlead_serving_certificate_not_before_timestamp_seconds)) < 0.2",
    for: "10m",
    severity: "critical",
    summary: "{{ $labels.pod }} serves a certificate that should have been renewed.",
    description:
      "Once it has expired, API servers don't trust the webhook, and Pods and Services that concern fairlead are refused.",
  },
];

const objects: readonly Alert[] = [
  {
    alert: "FairleadHostedAPIServerNotReady",
    expr: `min ${server} (fairlead_hosted_api_server_ready) == 0`,
    for: "30m",
    severity: "warning",
    summary: `${who} is not ready.`,
    description: "Its condition Ready says why; what served before may serve on.",
  },
  {
    alert: "FairleadInternalGatewayNotProgrammed",
    expr: 'max by (reason) (fairlead_internal_gateways{condition="Programmed",status="False"}) > 0',
    for: "15m",
    severity: "warning",
    summary: "An InternalGateway is not programmed: {{ $labels.reason }}.",
    description: "No HostedAPIServer that is attached to it becomes ready.",
  },
  {
    alert: "FairleadCredentialsStale",
    expr: `min ${server} (fairlead_credentials_sync_age_seconds) > 1800 and on (namespace, name) max ${server} (fairlead_hosted_api_server_ready) == 1`,
    for: "5m",
    severity: "warning",
    summary: `The credentials of ${who} were not found in line for {{ $value | humanizeDuration }}.`,
    description: "It says that it is ready, but a change of its sources may not be followed.",
  },
  {
    alert: "FairleadCertificateExpiring",
    expr: `(${leftSeconds} > 0) < ${14 * DAY_SECONDS} unless on (namespace, name, use) ${leftSeconds} > 0.2 * ${validSeconds}`,
    for: "15m",
    severity: "warning",
    summary: `Certificate {{ $labels.use }} of ${who} expires in {{ $value | humanizeDuration }}.`,
    description: "A fifth of its validity, or of a bundle two weeks, is left.",
  },
  {
    alert: "FairleadCertificateExpired",
    expr: `${leftSeconds} <= 0`,
    for: "1m",
    severity: "critical",
    summary: `Certificate {{ $labels.use }} of ${who} has expired.`,
    description: "Clients or API servers refuse connections through the gateway.",
  },
  {
    alert: "FairleadPodsStale",
    expr: `max by (namespace, name, reason) (fairlead_stale_pods) > 0`,
    for: "1h",
    severity: "warning",
    summary: `{{ $value }} Pods of ${who} are not routed as they should be: {{ $labels.reason }}.`,
    description: "They don't reach their API server by the gateway, or not at all after a switch.",
  },
];

/** All alerts, by what they are about. */
export const alertGroups: Readonly<Record<string, readonly Alert[]>> = {
  "fairlead-processes": processes,
  "fairlead-admission": admission,
  "fairlead-objects": objects,
};

/** Where the runbook tells of an alert. */
export function runbookOf({ alert }: Pick<Alert, "alert">): string {
  return `${RUNBOOK}#${alert.toLowerCase()}`;
}

/** The groups of a PrometheusRule's spec, which are also those of a rule file of Prometheus' own. */
export function ruleGroups() {
  return Object.entries(alertGroups).map(([name, alerts]) => ({
    name,
    rules: alerts.map(({ alert, expr, severity, summary, description, ...rest }) => ({
      alert,
      expr,
      for: rest.for,
      labels: { severity },
      annotations: { summary, description, runbook: runbookOf({ alert }) },
    })),
  }));
}
