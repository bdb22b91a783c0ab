import { formatEstimate, formatGoal, formatMet } from "./format";
import type { Chart } from "./part";
import type { PartRecord, Results, Row } from "./results";
import { embedPage } from "./embedded-page";

/** What the page is made of. */
export interface PageContent {
  readonly results: Results;
  /** The hand-written text of each part that has one, as it is in `bench/<part>/page.md`. */
  readonly texts: Readonly<Record<string, string>>;
}

const head = `# Performance

<!-- Made by \`npm run bench\` from bench/results, and by \`npm run bench -- --report\`. The text of a part is bench/<part>/page.md. -->

What fairlead costs and how it compares with what one would use instead, measured on one machine by one command:

\`\`\`bash
npm ci && npm run bench             # all of it, in under 90 minutes on 2 cores; -- --quick in under 10
npm run bench -- admission sync     # some parts
\`\`\`

## How to read this

- A ratio compares two things that were measured in the same run, in turns: each round measures both, in changing order. What slows the machine down slows both.
- Behind a value is its 95 % interval: how far the value would move if the run was repeated, from the spread of the rounds (bootstrap of the median). What is exact, a size or a count, has none.
- A goal is **met** when all of the interval meets it, and **MISSED** otherwise, even if the value alone would meet it.
- Everything runs on real components: kube-apiserver, etcd, istiod and Envoy of the [embedded cluster](../test/cluster/README.md). Load, cluster and fairlead share the machine's cores: ratios say more than absolute numbers.
- [latest.json](../bench/results/latest.json) has every figure with what each round gave. [bench/README.md](../bench/README.md) says how to repeat or add to it.
`;

const cell = (text: string): string =>
  text === "" ? "-" : text.replaceAll("|", "\\|").replaceAll("\n", " ");

function table(columns: readonly string[], rows: readonly (readonly string[])[]): string {
  return [columns, columns.map(() => "---"), ...rows]
    .map((cells) => `| ${cells.map(cell).join(" | ")} |`)
    .join("\n");
}

const outcomeOf = ({ met }: Row): string => {
  const text = formatMet(met);
  return met === false ? `**${text}**` : text;
};

const noteOf = ({ note }: Row): string => (note === undefined ? "" : ` (${note})`);

function goalsSection(rows: readonly Row[], parts: readonly PartRecord[]): string {
  const withGoal = rows.filter(({ met }) => met !== null);
  if (withGoal.length === 0) return "## Goals\n\nNothing with a goal was measured yet.\n";
  const missedFirst = [...withGoal].sort((a, b) => Number(a.met) - Number(b.met));
  const missedCount = withGoal.filter(({ met }) => met === false).length;
  const titles = new Map(parts.map(({ part, title }) => [part, title]));
  const sentence =
    missedCount === 0
      ? `All ${withGoal.length} goals are met.`
      : `${missedCount} of ${withGoal.length} goals ${missedCount === 1 ? "is" : "are"} missed; why is said with the figures.`;
  const body = missedFirst.map((row) => [
    outcomeOf(row),
    `${row.name}${noteOf(row)}`,
    formatEstimate(row),
    row.unit,
    formatGoal(row.goal),
    titles.get(row.part) ?? row.part,
  ]);
  const columns = ["Goal", "Figure", "Value [95 % interval]", "Unit", "Limit", "Part"];
  return `## Goals\n\n${sentence}\n\n${table(columns, body)}\n`;
}

/** The circumstances of parts, each once, with the parts that share them. */
function circumstancesSection(parts: readonly PartRecord[]): string {
  const lines = new Map<string, string[]>();
  for (const record of parts) {
    const { machine, versions } = record;
    const where = `${machine.cpu}, ${machine.cores} cores, ${machine.memoryGiB} GiB, ${machine.os}, Linux ${machine.kernel}; Node ${versions.node}, Kubernetes ${versions.kubernetes}, etcd ${versions.etcd}, Istio ${versions.istio}, Envoy ${versions.envoy}, Go ${versions.go}, fairlead ${versions.fairlead}`;
    lines.set(where, [...(lines.get(where) ?? []), record.title]);
  }
  const said = [...lines].map(([where, titles]) =>
    lines.size === 1 ? where : `- ${where}: ${titles.join(", ")}`,
  );
  return `## Machine and versions\n\n${said.join("\n")}${lines.size === 1 ? "." : ""}\n`;
}

function measuredLine(record: PartRecord): string {
  const { part, quick, measuredAt, commit, tookSeconds } = record;
  const took = tookSeconds < 120 ? `${tookSeconds} s` : `${(tookSeconds / 60).toFixed(0)} minutes`;
  const command = `npm run bench -- ${part}${quick ? " --quick" : ""}`;
  const caution = quick ? " **A quick run: fewer rounds, wider intervals.**" : "";
  return `\`${command}\`, ${measuredAt.slice(0, 10)}, commit ${commit}, ${took}.${caution}`;
}

/** Where a chart's file is, below docs/. */
export function chartPath(part: string, { name }: Pick<Chart, "name">): string {
  return `performance/${part}-${name}.svg`;
}

function partSection(record: PartRecord, rows: readonly Row[], text: string | undefined): string {
  const body = rows.map((row) => [
    `${row.name}${noteOf(row)}`,
    formatEstimate(row),
    row.unit,
    formatGoal(row.goal),
    outcomeOf(row),
  ]);
  const columns = ["Figure", "Value [95 % interval]", "Unit", "Goal", "Outcome"];
  const charts = record.charts.map(
    (chart) => `![${chart.title.replaceAll(/[[\]]/g, "")}](${chartPath(record.part, chart)})\n`,
  );
  return [
    `## ${record.title}\n`,
    `${measuredLine(record)}\n`,
    ...(rows.length === 0 ? [] : [`${table(columns, body)}\n`]),
    ...charts,
    ...(text === undefined ? [] : [embedPage(record.part, text)]),
  ].join("\n");
}

/** docs/performance.md, from the newest results alone. */
export function performancePage({ results, texts }: PageContent): string {
  const { rows, parts } = results;
  const sections = parts.map((record) =>
    partSection(
      record,
      rows.filter(({ part }) => part === record.part),
      texts[record.part],
    ),
  );
  return [
    head,
    goalsSection(rows, parts),
    ...(parts.length === 0 ? [] : [circumstancesSection(parts)]),
    ...sections,
  ].join("\n");
}
