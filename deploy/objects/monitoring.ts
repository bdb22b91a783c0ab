import { dashboardJson } from "../dashboard";
import { PORT_NAME, PROCESSES, SYSTEM_NAMESPACE } from "../names";
import { value, type Entry, type Template } from "../template";
import { ruleGroups } from "./alerts";

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
      // Where a metric has a label `namespace`, it is the HostedAPIServer's, not fairlead's own.
      honorLabels: true,
      // The certificate is the webhook's Service's, and Prometheus asks each Pod by its address.
      tlsConfig: { insecureSkipVerify: true },
    },
  ],
});

const prometheusRule = monitored("PrometheusRule", "prometheusRule", { groups: ruleGroups() });

/** Grafana's sidecar takes ConfigMaps with the label that it is told to look for. */
const dashboard: Entry = {
  object: {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: "fairlead-dashboard",
      namespace: SYSTEM_NAMESPACE,
      labels: value("grafanaDashboard.labels"),
    },
    data: { "fairlead.json": dashboardJson() },
  },
  when: [{ path: "grafanaDashboard.enabled", is: true }],
};

/** What the Prometheus operator and Grafana read. */
export function monitoringEntries(): readonly Entry[] {
  return [serviceMonitor, prometheusRule, dashboard];
}
