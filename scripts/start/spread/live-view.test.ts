import type { WriteStream } from "node:tty";
import { PassThrough } from "node:stream";
import { stripVTControlCharacters } from "node:util";
import { createStyle } from "../render";
import type { BarState } from "./bars";
import { openBars, openLines } from "./live-view";

const states: readonly BarState[] = [
  {
    server: { tenant: "tenant-a", name: "kube-apiserver-0" },
    requestsPerSecond: 516,
    requests: 6_096,
  },
  { server: { tenant: "tenant-a", name: "kube-apiserver-1" }, requestsPerSecond: 8, requests: 107 },
];

/** What is left of the last drawing on a terminal so wide. */
function drawnOn(columns: number): readonly string[] {
  const stream = new PassThrough();
  const terminal = Object.assign(stream, { isTTY: true, columns }) as unknown as WriteStream;
  const style = createStyle({ colours: true });
  const view = openBars(
    { terminal, style },
    states.map(({ server }) => server),
  );
  view.show(states);
  view.stop();
  const text = (stream.read() as Buffer).toString("utf8");
  expect(text).toContain("\u001b[31m");
  const lines = stripVTControlCharacters(text).trimEnd().split("\n");
  return lines.slice(-states.length);
}

describe("bars on a terminal", () => {
  test.each([80, 130])("of %d columns fit, and say everything", (columns) => {
    const lines = drawnOn(columns);
    expect(lines[0]).toMatch(/^ {3}tenant-a {2}kube-apiserver-0 {2}█+ +516\/s {6}6,096$/);
    expect(lines[1]).toMatch(/^ {3}tenant-a {2}kube-apiserver-1 {2}[▏▎▍▌▋]? +8\/s {8}107$/);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(columns);
  });
});

test("a log gets the first and then every third of what is shown", () => {
  const lines: string[] = [];
  const view = openLines({ text: (...words) => lines.push(...words) });
  const server = { tenant: "tenant-a", name: "kube-apiserver-0" };
  for (let rate = 1; rate <= 7; rate += 1) {
    view.show([{ server, requestsPerSecond: rate, requests: rate }]);
  }
  view.stop();
  expect(lines).toEqual([1, 4, 7].map((rate) => `requests/s  tenant-a: ${rate}`));
});
