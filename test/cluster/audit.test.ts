import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type AuditFilter, readAuditEvents } from "./audit";

let directory: string;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "fairlead-test-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

const event = (verb: string, username: string, second: number) => ({
  auditID: `${verb}-${username}`,
  stage: verb === "watch" ? "ResponseStarted" : "ResponseComplete",
  verb,
  requestURI: "/api/v1/namespaces/a/secrets/b",
  user: { username },
  objectRef: { resource: "secrets", namespace: "a", name: "b", apiVersion: "v1" },
  responseStatus: { code: 200 },
  requestReceivedTimestamp: `2026-01-01T00:00:0${second}.000000Z`,
  stageTimestamp: `2026-01-01T00:00:0${second}.500000Z`,
});

async function idsOf(filter: AuditFilter): Promise<string[]> {
  const path = join(directory, "audit.log");
  const events = [event("get", "joe", 1), event("watch", "joe", 2), event("get", "ann", 3)];
  const complete = events.map((one) => JSON.stringify(one)).join("\n");
  writeFileSync(path, `${complete}\n{"auditID":"half`);
  return (await readAuditEvents(path, filter)).map((one) => one.auditID);
}

describe("audit events", () => {
  it.each<[string, AuditFilter, string[]]>([
    ["no filter", {}, ["get-joe", "watch-joe", "get-ann"]],
    ["a user", { user: "joe" }, ["get-joe", "watch-joe"]],
    ["verbs", { verbs: ["get", "list"] }, ["get-joe", "get-ann"]],
    ["a stage", { stage: "ResponseStarted" }, ["watch-joe"]],
    ["a resource", { resource: "secrets", namespace: "a", name: "c" }, []],
    ["a time", { since: new Date("2026-01-01T00:00:02Z") }, ["watch-joe", "get-ann"]],
    ["an end", { until: new Date("2026-01-01T00:00:02Z") }, ["get-joe", "watch-joe"]],
  ])("are picked by %s", async (_name, filter, expected) => {
    await expect(idsOf(filter)).resolves.toEqual(expected);
  });
});
