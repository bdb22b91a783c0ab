import { readFileSync } from "node:fs";
import { dashboardJson, dashboardQueries } from "../../deploy/dashboard";
import { alertGroups, runbookOf } from "../../deploy/objects/alerts";
import { METRICS } from "../../lib/cluster/metric-definitions";

const alerts = Object.values(alertGroups).flat();
const read = (path: string): string => readFileSync(path, "utf8");

/** The names of metrics that a query asks for. */
function metricsIn(query: string): readonly string[] {
  return [...query.matchAll(/\bfairlead_\w+/g)].map(([name]) => name);
}

/** All names that are exported: a histogram has three. */
const exported = new Set(
  Object.entries(METRICS).flatMap(([name, { type }]) =>
    type === "histogram"
      ? ["bucket", "sum", "count"].map((suffix) => `fairlead_${name}_${suffix}`)
      : [`fairlead_${name}`],
  ),
);

/** The anchors of a page's headings, as GitHub makes them. */
function anchorsOf(page: string): ReadonlySet<string> {
  const headings = [...page.matchAll(/^#+ (.+)$/gm)].map(([, heading = ""]) => heading);
  return new Set(
    headings.map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\w\- ]/g, "")
        .replaceAll(" ", "-"),
    ),
  );
}

/** Reasons that docs/conditions.md has for what is not True, or is True and worth a look all the same. */
function reasonsToTreat(page: string): readonly string[] {
  const rows = page.split("\n").filter((line) => /^\|.*\| (True|False|Unknown) \|/.test(line));
  return rows.flatMap((row) => {
    const cells = row.split("|").map((cell) => cell.trim());
    const status = cells.findIndex((cell) => /^(True|False|Unknown)$/.test(cell));
    const reasons = [...(cells[status - 1] ?? "").matchAll(/`(\w+)`/g)].map(
      ([, word = ""]) => word,
    );
    const isWell = cells[status] === "True";
    return isWell
      ? reasons.filter((reason) => ["ServingLastGood", "WithdrawalPending"].includes(reason))
      : reasons;
  });
}

describe("alerts", () => {
  it("ask for metrics that there are, and have names of their own", () => {
    const asked = alerts.flatMap(({ expr }) => metricsIn(expr));

    expect(asked.length).toBeGreaterThan(alerts.length);
    expect(asked.filter((name) => !exported.has(name))).toEqual([]);
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length);
  });

  it("have an entry in the runbook, with what it means, costs, and how to look and to mend", () => {
    const runbook = read("docs/runbook.md");
    const anchors = anchorsOf(runbook);
    for (const { alert } of alerts) {
      const [page, anchor = ""] = runbookOf({ alert }).split("#");
      expect([alert, page, anchors.has(anchor)]).toEqual([alert, "docs/runbook.md", true]);
      const [entry = ""] = (runbook.split(`### ${alert}\n`)[1] ?? "").split("\n### ");
      const parts = [...entry.matchAll(/^\*\*(\w+)\.\*\*/gm)].map(([, part]) => part);
      expect([alert, ...parts]).toEqual([alert, "Meaning", "Impact", "Look", "Mend"]);
    }
  });
});

describe("the runbook", () => {
  const runbook = read("docs/runbook.md");
  const [, conditions = ""] = runbook.split("\n## Conditions\n");
  const headings = [...conditions.matchAll(/^#{3,4} (.+)$/gm)].map(([, heading = ""]) => heading);
  const treated = new Set(headings.flatMap((heading) => heading.split(", ")));
  const reasons = reasonsToTreat(read("docs/conditions.md"));

  it("tells what to do about each reason of a condition that is not well", () => {
    expect(reasons.length).toBeGreaterThan(50);
    expect(reasons.filter((reason) => !treated.has(reason))).toEqual([]);
  });

  it("tells of no reason that there is none of", () => {
    const known = new Set([...reasons, "InternalGateway"]);
    expect([...treated].filter((reason) => !known.has(reason))).toEqual([]);
  });

  it("has no link that leads nowhere", () => {
    const anchors = anchorsOf(runbook);
    const links = [...runbook.matchAll(/\]\((?:([\w-]+\.md))?(?:#([\w-]+))?\)/g)];
    expect(links.length).toBeGreaterThan(20);
    for (const [link, page, anchor] of links) {
      const targets = page === undefined ? anchors : anchorsOf(read(`docs/${page}`));
      expect([link, anchor === undefined || targets.has(anchor)]).toEqual([link, true]);
    }
  });
});

describe("the dashboard", () => {
  interface Panel {
    readonly type: string;
    readonly title: string;
    readonly gridPos: { readonly x: number; readonly y: number; readonly w: number };
    readonly targets?: readonly { readonly expr: string }[];
  }
  const dashboard = JSON.parse(dashboardJson()) as {
    readonly uid: string;
    readonly panels: readonly Panel[];
    readonly templating: { readonly list: readonly { readonly name: string }[] };
  };

  it("asks for metrics that there are", () => {
    const asked = dashboardQueries().flatMap(metricsIn);

    expect(asked.length).toBeGreaterThan(20);
    expect(asked.filter((name) => !exported.has(name))).toEqual([]);
  });

  it("shows all metrics", () => {
    const asked = new Set(dashboardQueries().flatMap(metricsIn));
    const unseen = Object.entries(METRICS).filter(([name, { type }]) => {
      const shown = type === "histogram" ? `fairlead_${name}_bucket` : `fairlead_${name}`;
      return !asked.has(shown);
    });

    // They are what an alert compares with.
    expect(unseen.map(([name]) => name)).toEqual([
      "certificate_not_before_timestamp_seconds",
      "serving_certificate_not_before_timestamp_seconds",
    ]);
  });

  it("has every query in a panel, each panel in a place of its own, and the variables that are used", () => {
    const exprs = dashboard.panels.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr));
    const places = dashboard.panels.map(({ gridPos: { x, y } }) => `${x} ${y}`);
    const variables = dashboard.templating.list.map(({ name }) => name);

    expect(exprs).toEqual(dashboardQueries());
    expect(new Set(places).size).toBe(places.length);
    expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
    expect(variables).toEqual(["datasource", "namespace"]);
    expect(dashboard.uid).toBe("fairlead");
  });

  it("is the same whenever it is made", () => {
    expect(dashboardJson()).toBe(dashboardJson());
  });
});
