import { PORT_NAME, PROCESSES, SYSTEM_NAMESPACE, type ProcessNames } from "../names";
import { value, type Entry, type Template } from "../template";

const RUNBOOK = "docs/runbook.md";

/** An object of the Prometheus operator's; its labels are the user's to choose. */
function monitored(kind: string, path: string, spec: Template): Entry {
  return {
    object: {
      apiVersion: "monitoring.coreos.com/v1",
      kind,
      metadata: {
        name: "fairlead",
        namespace: SYSTEM_NAMESPACE,
        labels: value(`${path}.labels`),
      },
      spec,
    },
    when: [{ path: `${path}.enabled`, is: true }],
  };
}

const serviceMonitor = monitored("ServiceMonitor", "serviceMonitor", {
  namespaceSelector: { matchNames: [SYSTEM_NAMESPACE] },
  selector: {
    matchExpressions: [
      { key: "app", operator: "In", values: PROCESSES.map(({ selector }) => selector.app) },
    ],
  },
  endpoints: [
    {
      port: PORT_NAME,
      scheme: "https",
      path: "/metrics",
      interval: "30s",
      // The certificate is the webhook's Service's, and Prometheus asks each Pod by its address.
      tlsConfig: { insecureSkipVerify: true },
    },
  ],
});

interface Alert {
  readonly process: ProcessNames["mode"];
  readonly alert: string;
  readonly for: string;
  readonly severity: "critical" | "warning";
  readonly summary: string;
}

const alerts: readonly Alert[] = [
  {
    process: "admission",
    alert: "FairleadAdmissionDown",
    for: "2m",
    severity: "critical",
    summary:
      "No replica of fairlead's admission is up: Pods and Services that concern it are refused.",
  },
  {
    process: "watch",
    alert: "FairleadWatchDown",
    for: "10m",
    severity: "warning",
    summary:
      "fairlead's watch process is not up: changes of control planes are not followed, and certificates not renewed.",
  },
];

function alertRule({ process, alert, severity, summary, ...rest }: Alert): Template {
  const service = PROCESSES.find(({ mode }) => mode === process)?.service ?? "";
  const up = `up{namespace="${SYSTEM_NAMESPACE}",service="${service}"}`;
  return {
    alert,
    expr: `absent(${up} == 1)`,
    for: rest.for,
    labels: { severity },
    annotations: { summary, runbook: `${RUNBOOK}#${alert.toLowerCase()}` },
  };
}

const prometheusRule = monitored("PrometheusRule", "prometheusRule", {
  groups: [{ name: "fairlead", rules: alerts.map(alertRule) }],
});

/** What the Prometheus operator reads. */
export function monitoringEntries(): readonly Entry[] {
  return [serviceMonitor, prometheusRule];
}
