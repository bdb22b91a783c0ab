import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { paths, staleFiles, writeReport } from "./report";
import { putMeasured } from "./results";
import { admission, circumstances } from "./sample-results";
import { readResults, writeResults, writeRun } from "./store";

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "fairlead-report-"));
});

afterEach(() => {
  rmSync(root, { recursive: true, force: true });
});

const results = () => join(root, paths.results);

function measure(measured = admission): void {
  const context = { ...circumstances, order: [] };
  writeResults(results(), putMeasured(readResults(results()), measured, context));
}

describe("results", () => {
  test("are none before the first run", () => {
    expect(readResults(results())).toEqual({ rows: [], parts: [] });
  });

  test("come back as they were written", () => {
    measure();
    const { rows, parts } = readResults(results());
    expect(rows).toHaveLength(3);
    expect(rows[1]).toMatchObject({ met: false, note: "the tail | of both" });
    expect(parts).toMatchObject([{ title: "Admission", charts: admission.result.charts }]);
  });

  test("of one run are kept beside them, and leave nothing half written", () => {
    measure();
    const { measuredAt: startedAt, ...common } = circumstances;
    const { rows, parts } = readResults(results());
    const file = writeRun(results(), { ...common, startedAt, figures: rows, charts: parts });
    expect(JSON.parse(readFileSync(file, "utf8"))).toMatchObject({
      startedAt,
      commit: "0123456789ab",
      figures: rows,
    });
    expect(readdirSync(results()).sort()).toEqual([
      "2026-11-28T210000-0123456789ab.json",
      "latest.json",
      "parts.json",
    ]);
  });
});

describe("the report", () => {
  test("is the page and a picture of each chart", () => {
    measure();
    expect(writeReport({ root })).toEqual([
      "docs/performance.md",
      "docs/performance/admission-added-latency.svg",
    ]);
    expect(staleFiles({ root })).toEqual([]);
  });

  test("is stale where it was never written", () => {
    measure();
    expect(staleFiles({ root })).toContain(paths.page);
  });

  test("is stale once there are other results", () => {
    measure();
    writeReport({ root });
    const [figure] = admission.result.figures;
    measure({
      ...admission,
      result: { figures: [{ name: "r", unit: "ratio", ...figure, value: 1.11 }], charts: [] },
    });
    expect(staleFiles({ root })).toEqual([
      paths.page,
      "docs/performance/admission-added-latency.svg",
    ]);
  });

  test("is stale once a part's text is another one", () => {
    measure();
    writeReport({ root });
    mkdirSync(join(root, "bench/admission"), { recursive: true });
    writeFileSync(
      join(root, "bench/admission/page.md"),
      "# Admission\n\nThe peer is a Go webhook.\n",
    );
    expect(staleFiles({ root })).toEqual([paths.page]);
    writeReport({ root });
    expect(readFileSync(join(root, paths.page), "utf8")).toContain("The peer is a Go webhook.");
  });

  test("leaves no picture of a chart that is no more", () => {
    measure();
    writeReport({ root });
    measure({ ...admission, result: { ...admission.result, charts: [] } });
    writeReport({ root });
    expect(existsSync(join(root, "docs/performance/admission-added-latency.svg"))).toBe(false);
  });
});
