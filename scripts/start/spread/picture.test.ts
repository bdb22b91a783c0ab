import { drawRates, drawShares, htmlPage } from "./picture";
import { recordedL4, recordedL7 } from "./recorded";

describe("the picture", () => {
  test("shows each API server's share in both modes, and max/mean", () => {
    const svg = drawShares(recordedL4, recordedL7);
    expect(svg).toMatch(/^<svg /);
    for (const text of [
      "max/mean: 2.95 in L4, 1.00 in L7",
      "98.3 %",
      "33.3 %",
      "kube-apiserver-2",
    ]) {
      expect(svg).toContain(text);
    }
  });

  test("shows the rates of both tenants in both modes", () => {
    const svg = drawRates(recordedL4, recordedL7);
    for (const tenant of ["tenant-a", "tenant-b"]) {
      for (const mode of ["L4", "L7"]) {
        expect(svg).toContain(`${tenant}, ${mode}: requests per second`);
      }
    }
  });

  test("is one HTML file that needs nothing else", () => {
    const html = htmlPage(recordedL4, recordedL7);
    expect(html.match(/<svg /g)).toHaveLength(2);
    expect(html).not.toMatch(/<script|<link|<img|src=/);
    expect(html).toContain("<td>1,570</td>");
    expect(html).toContain("0 requests failed");
  });

  test("shows names as they are", () => {
    const rename = (part: typeof recordedL4) => ({
      ...part,
      servers: part.servers.map((server) => ({ ...server, name: `<${server.name}>` })),
    });
    const html = htmlPage(rename(recordedL4), rename(recordedL7));
    expect(html).not.toContain("<kube-apiserver-0>");
    expect(html).toContain("&lt;kube-apiserver-0>");
  });
});
