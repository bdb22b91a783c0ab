import { exportedName, LABELS, METRICS, type MetricName } from "../lib/cluster/metric-definitions";

const BEGIN =
  "<!-- made from lib/cluster/metric-definitions.ts by `npx tsx scripts/reference.ts` -->";
const END = "<!-- end of what is made -->";

function rowOf(name: MetricName): string {
  const { type, help, labels, processes } = METRICS[name];
  const names = labels.map((label) => `\`${label}\``).join(", ");
  return `| \`${exportedName(name)}\` | ${type} | ${names === "" ? "none" : names} | ${processes.join(", ")} | ${help} |`;
}

function tables(): string {
  return [
    "| Metric | Type | Labels | Process | Meaning |",
    "| --- | --- | --- | --- | --- |",
    ...(Object.keys(METRICS) as MetricName[]).map(rowOf),
    "",
    "| Label | Values |",
    "| --- | --- |",
    ...Object.entries(LABELS).map(([label, values]) => `| \`${label}\` | ${values} |`),
  ].join("\n");
}

/**
 * docs/metrics.md with the tables as the code has them.
 * @throws Error where the marks between which they stand are not there.
 */
export function metricsPage(page: string): string {
  const [before, rest = ""] = page.split(BEGIN);
  const [, after] = rest.split(END);
  if (before === undefined || after === undefined) {
    throw new Error("docs/metrics.md has no place for the tables");
  }
  return [before, BEGIN, "\n\n", tables(), "\n\n", END, after].join("");
}
