import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { gatewayRemedies } from "../../cli/doctor/objects/gateway-remedies";
import { serverRemedies } from "../../cli/doctor/objects/server-remedies";

const root = resolve(__dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

const CAMEL_CASE = /`([A-Z][A-Za-z0-9]+)`/g;
const reasonsIn = (cell = ""): string[] =>
  [...cell.matchAll(CAMEL_CASE)].map(([, name = ""]) => name);
const cellsOf = (row: string): string[] => row.split("|").map((cell) => cell.trim());
const isRow = (line: string): boolean => line.startsWith("|") && !line.startsWith("| ---");

interface Documented {
  readonly type: string;
  readonly reason: string;
}

/** The reasons of docs/conditions.md, by the kind that they are documented for. */
function documented(): {
  readonly server: readonly Documented[];
  readonly gateway: readonly Documented[];
} {
  const [, servers = "", gateways = ""] =
    /## HostedAPIServer\n(.*)## InternalGateway\n(.*)/s.exec(read("docs/conditions.md")) ?? [];
  const server = servers.split("\n### ").flatMap((section) => {
    const [type = ""] = section.trim().split("\n");
    const rows = section.split("\n").filter(isRow);
    return rows.flatMap((row) => reasonsIn(cellsOf(row)[1]).map((reason) => ({ type, reason })));
  });
  let type = "";
  const gateway = gateways
    .split("\n")
    .filter(isRow)
    .flatMap((row) => {
      const [, condition, reasons] = cellsOf(row);
      type = reasonsIn(condition)[0] ?? type;
      return reasonsIn(reasons).map((reason) => ({ type, reason }));
    });
  return { server, gateway };
}

const kubeconfigReasons = read("docs/kubeconfigs.md")
  .split("\n")
  .filter(isRow)
  .flatMap((row) => reasonsIn(cellsOf(row)[1]));

const known = (remedies: Readonly<Record<string, object>>): string[] =>
  Object.entries(remedies).flatMap(([type, reasons]) =>
    Object.keys(reasons).map((reason) => `${type} ${reason}`),
  );

/** The code that decides conditions. */
function conditionSources(folder = "capabilities"): string[] {
  return readdirSync(join(root, folder), { withFileTypes: true }).flatMap((entry) => {
    const path = `${folder}/${entry.name}`;
    if (entry.isDirectory()) return conditionSources(path);
    if (!entry.name.endsWith(".ts") || entry.name.endsWith(".test.ts")) return [];
    const text = read(path);
    return text.includes("DecidedCondition") ? [text] : [];
  });
}

/** Reasons as conditions are made of them: by a helper, or in an object with a type. */
const MADE =
  /(?:programmed|synced|no|hold|refuse|condition)\(\s*(?:"(?:True|False|Unknown)",\s*)?"(?!True|False|Unknown)([A-Z]\w+)"|reason: "([A-Z]\w+)"/g;

/** A decision that is counted and logged has a reason, too. */
const DECISION = /\{[^{}]*capability: "[^{}]*\}/g;

describe("the doctor's remedies", () => {
  const { server, gateway } = documented();

  it("were found in the documentation", () => {
    expect(server.length).toBeGreaterThan(50);
    expect(gateway.length).toBeGreaterThan(10);
    expect(kubeconfigReasons.length).toBeGreaterThan(15);
  });

  it("are there for every documented reason of a HostedAPIServer, and for no other", () => {
    const wanted = [
      ...server.filter(({ type }) => type !== "Ready"),
      ...kubeconfigReasons.map((reason) => ({ type: "ClientsRouted", reason })),
    ].map(({ type, reason }) => `${type} ${reason}`);

    expect(known(serverRemedies).sort()).toEqual([...new Set(wanted)].sort());
  });

  it("are there for every documented reason of an InternalGateway, and for no other", () => {
    const wanted = gateway.map(({ type, reason }) => `${type} ${reason}`);

    expect(known(gatewayRemedies).sort()).toEqual([...new Set(wanted)].sort());
  });

  it("are there for every reason that the code gives a condition", () => {
    const reasons = new Set(
      [...known(serverRemedies), ...known(gatewayRemedies)].map((each) => each.split(" ")[1]),
    );
    const made = conditionSources().flatMap((text) =>
      [...text.replaceAll(DECISION, "").matchAll(MADE)].map(
        ([, byHelper, inObject]) => byHelper ?? inObject ?? "",
      ),
    );

    expect(made.length).toBeGreaterThan(50);
    // Ready's own: the others are those of the conditions that it is derived from.
    const unknown = made.filter((reason) => !reasons.has(reason) && reason !== "Ready");
    expect([...new Set(unknown)]).toEqual([]);
  });
});
