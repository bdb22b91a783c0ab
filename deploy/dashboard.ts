import {
  DashboardBuilder,
  DatasourceVariableBuilder,
  QueryVariableBuilder,
  RowBuilder,
  type DataSourceRef,
} from "@grafana/grafana-foundation-sdk/dashboard";
import { DataqueryBuilder, PromQueryFormat } from "@grafana/grafana-foundation-sdk/prometheus";
import { PanelBuilder as StatBuilder } from "@grafana/grafana-foundation-sdk/stat";
import { PanelBuilder as TableBuilder } from "@grafana/grafana-foundation-sdk/table";
import { PanelBuilder as TimeSeriesBuilder } from "@grafana/grafana-foundation-sdk/timeseries";
import { SYSTEM_NAMESPACE } from "./names";

/** A query, and what each of its series is called; undefined: by its labels. */
interface Query {
  readonly expr: string;
  readonly legend?: string;
}

interface Panel {
  readonly kind: "stat" | "timeseries" | "table";
  readonly title: string;
  readonly description: string;
  /** Grafana's name of a unit. */
  readonly unit: string;
  readonly queries: readonly Query[];
}

interface Row {
  readonly title: string;
  readonly panels: readonly Panel[];
}

const datasource: DataSourceRef = { type: "prometheus", uid: "${datasource}" };
const own = 'namespace=~"$namespace"';
const process = `namespace="${SYSTEM_NAMESPACE}",service=~"pepr-fairlead.*"`;
const quantile = (of: number, metric: string, by: readonly string[] = []): string =>
  `histogram_quantile(${of}, sum by (${["le", ...by].join(", ")}) (rate(${metric}_bucket[$__rate_interval])))`;

const overview: Row = {
  title: "Overview",
  panels: [
    {
      kind: "stat",
      title: "Ready",
      description: "HostedAPIServers that are ready.",
      unit: "short",
      queries: [
        { expr: `sum(max by (namespace, name) (fairlead_hosted_api_server_ready{${own}}))` },
      ],
    },
    {
      kind: "stat",
      title: "Not ready",
      description: "HostedAPIServers that are not; their condition Ready says why.",
      unit: "short",
      queries: [
        {
          expr: `count(max by (namespace, name) (fairlead_hosted_api_server_ready{${own}}) == 0) or vector(0)`,
        },
      ],
    },
    {
      kind: "stat",
      title: "Next certificate to expire",
      description: "Of HostedAPIServers.",
      unit: "s",
      queries: [
        { expr: `min(fairlead_certificate_expiration_timestamp_seconds{${own}} - time())` },
      ],
    },
    {
      kind: "stat",
      title: "Webhook's certificate expires in",
      description: "Of the replica that serves the oldest.",
      unit: "s",
      queries: [
        { expr: "min(fairlead_serving_certificate_expiration_timestamp_seconds - time())" },
      ],
    },
    {
      kind: "stat",
      title: "Pods denied in an hour",
      description: "See the decisions below for the reasons.",
      unit: "short",
      queries: [
        {
          expr: 'sum(increase(fairlead_admission_decisions_total{action="deny"}[1h])) or vector(0)',
        },
      ],
    },
    {
      kind: "stat",
      title: "Stale Pods",
      description: "Pods whose host aliases are not those of their route.",
      unit: "short",
      queries: [
        {
          expr: `sum(max by (namespace, name, reason) (fairlead_stale_pods{${own}})) or vector(0)`,
        },
      ],
    },
  ],
};

const servers: Row = {
  title: "HostedAPIServers",
  panels: [
    {
      kind: "timeseries",
      title: "Not True, by condition and reason",
      description: "docs/runbook.md tells of each reason.",
      unit: "short",
      queries: [
        {
          expr: 'max by (condition, reason) (fairlead_hosted_api_servers{status!="True",condition!~"Ready|TopologyAware|PassthroughUsable"})',
          legend: "{{condition}}: {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "By load balancing",
      description: "L7: requests are balanced; L4: connections.",
      unit: "short",
      queries: [
        {
          expr: `count by (load_balancing) (max by (namespace, name, load_balancing) (fairlead_hosted_api_server_info{${own}}))`,
          legend: "{{load_balancing}}",
        },
      ],
    },
    {
      kind: "table",
      title: "Certificates, next to expire first",
      description: "Time that is left.",
      unit: "s",
      queries: [
        {
          expr: `sort(bottomk(20, min by (namespace, name, use) (fairlead_certificate_expiration_timestamp_seconds{${own}} - time())))`,
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Age of the last confirmation of credentials",
      description: "The ten oldest; a full pass every ten minutes confirms all.",
      unit: "s",
      queries: [
        {
          expr: `topk(10, min by (namespace, name) (fairlead_credentials_sync_age_seconds{${own}}))`,
          legend: "{{namespace}}/{{name}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "InternalGateways, by condition and reason",
      description: "Those that are not True.",
      unit: "short",
      queries: [
        {
          expr: 'max by (condition, reason) (fairlead_internal_gateways{status!="True"})',
          legend: "{{condition}}: {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Stale Pods, by reason",
      description: "Pods whose host aliases are not those of their route.",
      unit: "short",
      queries: [
        {
          expr: `sum by (reason) (max by (namespace, name, reason) (fairlead_stale_pods{${own}}))`,
          legend: "{{reason}}",
        },
      ],
    },
  ],
};

const admission: Row = {
  title: "Admission",
  panels: [
    {
      kind: "timeseries",
      title: "Pods and Services are admitted",
      description: "By policies, or by the webhook, and why: docs/policies.md.",
      unit: "short",
      queries: [
        {
          expr: "max by (mode, reason) (fairlead_admission_mode)",
          legend: "{{mode}}: {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Decisions, by reason",
      description: "In a second.",
      unit: "reqps",
      queries: [
        {
          expr: "sum by (capability, action, reason) (rate(fairlead_admission_decisions_total[$__rate_interval]))",
          legend: "{{capability}}: {{action}}, {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Time to answer",
      description: "The webhook's timeout is 5 s.",
      unit: "s",
      queries: [0.5, 0.99].map((of) => ({
        expr: quantile(of, "fairlead_admission_duration_seconds"),
        legend: `${of * 100} %`,
      })),
    },
  ],
};

const work: Row = {
  title: "Work",
  panels: [
    {
      kind: "timeseries",
      title: "Changes, by reason",
      description: "What the watch changed, in a second.",
      unit: "ops",
      queries: [
        {
          expr: 'sum by (capability, action, reason) (rate(fairlead_reconcile_decisions_total{action!="keep"}[$__rate_interval]))',
          legend: "{{capability}}: {{action}}, {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Reconciles, by result",
      description: "In a second.",
      unit: "ops",
      queries: [
        {
          expr: "sum by (queue, result) (rate(fairlead_reconciles_total[$__rate_interval]))",
          legend: "{{queue}}: {{result}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Keys in queues",
      description: "Waiting are those that failed, or are to be looked at again at a set time.",
      unit: "short",
      queries: [
        {
          expr: "max by (queue, state) (fairlead_queue_depth)",
          legend: "{{queue}}: {{state}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Time in a queue, 99 %",
      description: "Until a key is taken up.",
      unit: "s",
      queries: [
        { expr: quantile(0.99, "fairlead_queue_latency_seconds", ["queue"]), legend: "{{queue}}" },
      ],
    },
    {
      kind: "timeseries",
      title: "Time of a reconcile, 99 %",
      description: "Reads, looks at gateways and writes included.",
      unit: "s",
      queries: [
        {
          expr: quantile(0.99, "fairlead_reconcile_duration_seconds", ["queue"]),
          legend: "{{queue}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Retries",
      description: "Runs that failed and are tried again, in a second.",
      unit: "ops",
      queries: [
        {
          expr: "sum by (queue) (rate(fairlead_queue_retries_total[$__rate_interval]))",
          legend: "{{queue}}",
        },
      ],
    },
  ],
};

const processes: Row = {
  title: "Processes",
  panels: [
    {
      kind: "timeseries",
      title: "Errors, by reason",
      description: "In a second.",
      unit: "ops",
      queries: [
        {
          expr: "sum by (component, reason) (rate(fairlead_errors_total[$__rate_interval]))",
          legend: "{{component}}: {{reason}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Watches beyond their limit",
      description: "0 while all is well; else what is known of that kind may be old.",
      unit: "s",
      queries: [
        {
          expr: "max by (pod, kind) (fairlead_watch_overdue_seconds) > 0",
          legend: "{{pod}}: {{kind}}",
        },
      ],
    },
    {
      kind: "timeseries",
      title: "Silence of watches",
      description: "Since the last event, bookmark or list; a kind that never changes has none.",
      unit: "s",
      queries: [{ expr: "max by (kind) (fairlead_watch_silence_seconds)", legend: "{{kind}}" }],
    },
    {
      kind: "timeseries",
      title: "Memory",
      description: "Resident.",
      unit: "bytes",
      queries: [{ expr: `process_resident_memory_bytes{${process}}`, legend: "{{pod}}" }],
    },
    {
      kind: "timeseries",
      title: "CPU",
      description: "Cores.",
      unit: "short",
      queries: [
        {
          expr: `rate(process_cpu_seconds_total{${process}}[$__rate_interval])`,
          legend: "{{pod}}",
        },
      ],
    },
    {
      kind: "table",
      title: "Versions",
      description: "More than one during an upgrade.",
      unit: "short",
      queries: [{ expr: "count by (version, service) (fairlead_build_info)" }],
    },
  ],
};

const rows: readonly Row[] = [overview, servers, admission, work, processes];

/** Of a grid of 24 columns. */
const sizes = {
  stat: { span: 4, height: 4 },
  timeseries: { span: 12, height: 8 },
  table: { span: 12, height: 8 },
} as const;
const builders = { stat: StatBuilder, timeseries: TimeSeriesBuilder, table: TableBuilder } as const;

function target({ expr, legend }: Query, kind: Panel["kind"]): DataqueryBuilder {
  const query = new DataqueryBuilder().datasource(datasource).expr(expr);
  if (legend !== undefined) query.legendFormat(legend);
  // One value as of now.
  return kind === "timeseries"
    ? query.range()
    : query.instant().format(kind === "table" ? PromQueryFormat.Table : PromQueryFormat.TimeSeries);
}

function panelOf({ kind, title, description, unit, queries }: Panel) {
  const { span, height } = sizes[kind];
  const panel = new builders[kind]()
    .title(title)
    .description(description)
    .datasource(datasource)
    .unit(unit)
    .span(span)
    .height(height);
  queries.forEach((query, index) => {
    panel.withTarget(target(query, kind).refId(String.fromCharCode("A".charCodeAt(0) + index)));
  });
  return panel;
}

/** All queries of the dashboard; Grafana's variables are still in them. */
export function dashboardQueries(): readonly string[] {
  return rows.flatMap(({ panels }) =>
    panels.flatMap(({ queries }) => queries.map(({ expr }) => expr)),
  );
}

/** The Grafana dashboard, as JSON that Grafana imports. */
export function dashboardJson(): string {
  // eslint-disable-next-line @typescript-eslint/no-deprecated -- Grafana before 13 reads nothing but this format.
  const dashboard = new DashboardBuilder("fairlead")
    .uid("fairlead")
    .description("Hosted API servers behind their gateways, and fairlead's own processes.")
    .tags(["fairlead", "kubernetes"])
    .refresh("1m")
    .time({ from: "now-6h", to: "now" })
    .timezone("browser")
    .withVariable(
      new DatasourceVariableBuilder("datasource").label("Data source").type("prometheus"),
    )
    .withVariable(
      new QueryVariableBuilder("namespace")
        .label("Control-plane namespace")
        .datasource(datasource)
        .query("label_values(fairlead_hosted_api_server_info, namespace)")
        .multi(true)
        .includeAll(true)
        .allValue(".*"),
    );
  for (const { title, panels } of rows) {
    dashboard.withRow(new RowBuilder(title));
    for (const panel of panels) dashboard.withPanel(panelOf(panel));
  }
  return `${JSON.stringify(dashboard.build(), null, 2)}\n`;
}
