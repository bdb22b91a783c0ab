import Table from "cli-table3";
import pico from "picocolors";
import { exitCodeOf, type Check, type Diagnosis } from "./diagnose";
import type { Finding } from "./finding";
import type { GatewayRow } from "./objects/gateways";
import type { ServerRow } from "./objects/servers";
import type { Observed } from "./observed";

/** How people want to read it. */
export interface Style {
  readonly color: boolean;
  /** With hosts and addresses. */
  readonly wide: boolean;
}

type Paint = Readonly<Record<Check["result"], (text: string) => string>>;

function paintOf(color: boolean): Paint {
  const { green, red, yellow, magenta } = pico.createColors(color);
  return { ok: green, problem: red, warning: yellow, unseen: magenta };
}

const noBorders = {
  top: "",
  "top-mid": "",
  "top-left": "",
  "top-right": "",
  bottom: "",
  "bottom-mid": "",
  "bottom-left": "",
  "bottom-right": "",
  left: "",
  "left-mid": "",
  mid: "",
  "mid-mid": "",
  right: "",
  "right-mid": "",
  middle: "  ",
};

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const drawn = new Table({
    head: [...head],
    chars: noBorders,
    style: { head: [], border: [], "padding-left": 0, "padding-right": 0 },
  });
  drawn.push(...rows.map((row) => [...row]));
  return drawn
    .toString()
    .split("\n")
    .map((line) => `  ${line.trimEnd()}`)
    .join("\n");
}

const orNone = (texts: readonly string[]): string => (texts.length === 0 ? "-" : texts.join(", "));

function gatewaysTable(rows: readonly GatewayRow[], { wide }: Style): string {
  const head = ["NAME", "ACCEPTED", "PROGRAMMED", "ATTACHED", "REASONS"];
  return table(
    wide ? [...head, "ADDRESSES"] : head,
    rows.map((row) => [
      `${row.namespace}/${row.name}`,
      row.accepted,
      row.programmed,
      String(row.attachedAPIServers),
      orNone(row.reasons),
      ...(wide ? [orNone(row.addresses)] : []),
    ]),
  );
}

function serversTable(rows: readonly ServerRow[], { wide }: Style): string {
  const head = ["NAME", "MODE", "READY", "DAYS LEFT", "ROUTED", "STALE", "REASONS"];
  return table(
    wide ? [...head, "CERTIFICATES"] : head,
    rows.map((row) => [
      `${row.namespace}/${row.name}`,
      row.mode ?? "-",
      row.ready,
      row.daysLeft === null ? "-" : String(row.daysLeft),
      row.pods === null ? "-" : String(row.pods.routed),
      row.pods === null ? "-" : String(row.pods.stale),
      orNone(row.reasons),
      ...(wide
        ? [orNone(row.certificates.map(({ use, daysLeft }) => `${use} ${daysLeft} d`))]
        : []),
    ]),
  );
}

function findingText(
  { severity, subject, reason, message, commands }: Finding,
  paint: Paint,
): string {
  return [
    `  ${paint[severity](severity)}  ${subject} (${reason})`,
    `    ${message}`,
    ...commands.map((command) => `    $ ${command}`),
  ].join("\n");
}

const plural = (count: number, one: string, many: string): string =>
  `${count} ${count === 1 ? one : many}`;

/** The last line: what it all comes to. */
function summaryOf({ findings }: Diagnosis): string {
  const count = (severity: Finding["severity"]): number =>
    findings.filter((each) => each.severity === severity).length;
  const parts = [
    [count("problem"), "problem", "problems"],
    [count("warning"), "warning", "warnings"],
    [count("unseen"), "look refused", "looks refused"],
  ] as const;
  const told = parts
    .filter(([number]) => number > 0)
    .map(([number, one, many]) => plural(number, one, many));
  return told.length === 0 ? "All is well." : `${told.join(", ")}.`;
}

/** The report for people. */
export function textReport(diagnosis: Diagnosis, observed: Observed, style: Style): string {
  const paint = paintOf(style.color);
  const { bold } = pico.createColors(style.color);
  const { checks, servingCertificateDaysLeft: days, admittedBy } = diagnosis;
  const section = (title: string, body: string): string => `${bold(title)}\n${body}\n`;
  const checkLines = checks.map(({ name, result }) => {
    const left = days === null ? "" : ` (${plural(days, "day", "days")} left)`;
    const by = admittedBy === null ? "" : ` (by ${admittedBy})`;
    const more = name === "admission" ? by : name.includes("certificate") ? left : "";
    return `  ${paint[result](result.padEnd(8))} ${name}${more}`;
  });
  const { internalGateways, hostedAPIServers, findings } = diagnosis;
  return [
    `fairlead ${observed.version}, Kubernetes ${observed.server.gitVersion}\n`,
    ...(checks.length === 0 ? [] : [section("Installation", checkLines.join("\n"))]),
    section(
      "InternalGateways",
      internalGateways.length === 0 ? "  none" : gatewaysTable(internalGateways, style),
    ),
    section(
      "HostedAPIServers",
      hostedAPIServers.length === 0 ? "  none" : serversTable(hostedAPIServers, style),
    ),
    ...(findings.length === 0
      ? []
      : [section("Findings", findings.map((each) => findingText(each, paint)).join("\n\n"))]),
    summaryOf(diagnosis),
  ].join("\n");
}

/** The report for programs; docs/doctor.md describes it, and fields are only ever added. */
export function jsonReport(diagnosis: Diagnosis, observed: Observed): string {
  const report = {
    apiVersion: "doctor.fairlead.dev/v1",
    kind: "Report",
    time: new Date(observed.nowMs).toISOString(),
    version: observed.version,
    kubernetesVersion: observed.server.gitVersion,
    exitCode: exitCodeOf(diagnosis),
    ...diagnosis,
  };
  return JSON.stringify(report, null, 2);
}
