import { performancePage } from "./page";
import { putMeasured, type Results } from "./results";
import { admission, circumstances } from "./sample-results";

const order = ["admission", "idle"];
const none: Results = { rows: [], parts: [] };
const measured = putMeasured(none, admission, { ...circumstances, order });
const page = (results: Results, texts: Readonly<Record<string, string>> = {}): string =>
  performancePage({ results, texts });

describe("the page", () => {
  test("tells missed goals first", () => {
    const text = page(measured);
    const missedAt = text.indexOf("| **MISSED** | routed Pod, p99");
    const metAt = text.indexOf("| met | routed Pod, p50");
    expect(missedAt).toBeGreaterThan(0);
    expect(metAt).toBeGreaterThan(missedAt);
    expect(text).toContain("1 of 2 goals is missed");
  });

  test("shows a value with its interval, unit and goal", () => {
    expect(page(measured)).toContain("| 1.100 [1.050, 1.150] | ratio | ≤ 1.2 |");
  });

  test("keeps a table whole whatever a note says", () => {
    expect(page(measured)).toContain("(the tail \\| of both)");
  });

  test("says how, when and on what a part was measured", () => {
    const text = page(measured);
    expect(text).toContain(
      "`npm run bench -- admission`, 2026-11-28, commit 0123456789ab, 5 minutes.",
    );
    expect(text).toContain(
      "A CPU, 2 cores, 24 GiB, An OS, Linux 6.1; Node 20.19.0, Kubernetes 1.34.4",
    );
  });

  test("says so where a run was a quick one", () => {
    const quick = putMeasured(none, admission, { ...circumstances, quick: true, order });
    expect(page(quick)).toContain("`npm run bench -- admission --quick`");
    expect(page(quick)).toContain("**A quick run");
    expect(page(measured)).not.toContain("**A quick run");
  });

  test("names machines and versions by part where they differ", () => {
    const idle = { ...admission, part: "idle", title: "Idle" };
    const other = { ...circumstances.machine, cpu: "Another CPU" };
    const both = putMeasured(measured, idle, { ...circumstances, machine: other, order });
    expect(page(both)).toMatch(/^- A CPU, .*: Admission$/m);
    expect(page(both)).toMatch(/^- Another CPU, .*: Idle$/m);
  });

  test("shows the charts, and the text of a part below its own heading", () => {
    const text = page(measured, {
      admission: "# Admission\n\n## Method\n\nWe [ask](../../README.md).\n",
    });
    expect(text).toContain("![Added latency](performance/admission-added-latency.svg)");
    expect(text).toContain("### Method\n\nWe [ask](../README.md).");
    expect(text.match(/^#+ Admission$/gm)).toHaveLength(1);
  });

  test("says so where nothing was measured yet", () => {
    expect(page(none)).toContain("Nothing with a goal was measured yet.");
  });
});
