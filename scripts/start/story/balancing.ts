import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import type { HostedAPIServer } from "../../../lib/api";
import { alike, type ConnectionOptions, type LoadReport } from "../../../test/harness/load";
import { hostOf, tenantNames, type Machinery } from "../data-plane";
import { formatDuration, type Figures } from "../figures";
import { isReady, refOf } from "../hosted-api-servers";
import { openBars, openLines } from "../spread/live-view";
import { measure, type LoadSource, type Measured } from "../spread/measure";
import { drawShares, htmlPage } from "../spread/picture";
import {
  formatCount,
  formatSkew,
  requestsOf,
  secondsOf,
  skewsOf,
  spreadHead,
  spreadRows,
  tenantsOf,
  worstSkewOf,
  type Mode,
  type Part,
} from "../spread/spread";
import { kubectl, until, type Stage } from "../stage";
import { publicCAName } from "../tenant-keys";
import { tellKubeconfig, type TenantClient } from "./client";
import { untilDistribution } from "./services";

/** What the two parts have measured. */
export type BalancingFigures = Required<
  Pick<
    Figures,
    "skew" | "requests" | "failedRequests" | "skewByTenant" | "loadMs" | "switchMs" | "picture"
  >
>;

const LOAD_MS = 12_000;
/** What the issue of L7 is: at most this far from even. */
const EVEN_SKEW = 1.05;
/** A connection that has nearly all of the requests makes nearly 3 of it. */
const UNEVEN_SKEW = 1.5;
const HOSTED_SERVER_CA = "hosted server CA";

/** A busy controller and three quiet ones, a connection and a watch each. */
const CONNECTIONS: readonly ConnectionOptions[] = [
  { streams: 4, watches: 1 },
  ...alike(3, { pauseMs: 100, watches: 1 }),
];

/** The load of each tenant's client. */
export async function sourcesOf(
  { hosted }: Pick<Machinery, "hosted">,
  clients: readonly TenantClient[],
  connections: readonly ConnectionOptions[] = CONNECTIONS,
): Promise<readonly LoadSource[]> {
  return Promise.all(
    clients.map(async ({ tenant, client, caPem }) => ({
      tenant,
      hosted: hosted[tenant],
      client,
      options: {
        url: `https://${hostOf(tenant)}`,
        caPem,
        identity: await hosted[tenant].issueClient({
          name: "controller",
          groups: ["system:masters"],
        }),
        connections,
      },
    })),
  );
}

/** Switches both tenants by one write each; answers how long it took until the gateway was seen to serve them so. */
async function switchTo(stage: Stage, mode: Mode): Promise<number> {
  const startMs = performance.now();
  for (const tenant of tenantNames) {
    const patch = JSON.stringify({ spec: { loadBalancing: mode } });
    await kubectl(stage, ["patch", "hapi", tenant, "-n", tenant, "--type=merge", "-p", patch]);
  }
  for (const tenant of tenantNames) {
    await until(stage, `${tenant} is served in ${mode}`, async () => {
      const hapi = await stage.client.get<HostedAPIServer>(refOf(tenant));
      if (hapi === undefined || !isReady(hapi)) return undefined;
      return hapi.status?.loadBalancing === mode ? hapi : undefined;
    });
  }
  return performance.now() - startMs;
}

/** Who ended TLS on the clients' connections, by the CA whose certificate they were shown. */
function checkIssuers({ tell }: Stage, mode: Mode, measured: Measured): void {
  const expected = (tenant: string): string =>
    mode === "L4" ? HOSTED_SERVER_CA : publicCAName(tenant);
  const shown = measured.part.clients.map(({ tenant }, index) => {
    const connections = measured.reports[index]?.connections ?? [];
    return connections.every(({ issuer }) => issuer === expected(tenant));
  });
  tell.claim(
    mode === "L4"
      ? "TLS ended at the API servers: the gateway has only passed connections on"
      : "TLS ended at the gateway, on every connection",
    shown.every(Boolean),
    "some connections were shown another's certificate",
  );
}

function failuresOf(reports: readonly LoadReport[]): string {
  const samples = reports.flatMap(({ failures }) => failures);
  return samples.map(({ request, what }) => `${request}: ${what}`).join("; ");
}

/** That what the API servers have counted is what clients have sent. */
function checkCounts({ tell }: Stage, { part, reports }: Measured): void {
  const sent = reports.reduce((sum, { requests }) => sum + requests, 0);
  const counted = Object.values(requestsOf(part))
    .flatMap((counts) => Object.values(counts))
    .reduce((sum, count) => sum + count, 0);
  const failed = part.clients.reduce((sum, client) => sum + client.failed, 0);
  tell.claim(
    `${formatCount(sent)} requests in ${secondsOf(part).toFixed(0)} s, and none failed`,
    failed === 0,
    `${failed} failed (${failuresOf(reports)})`,
  );
  tell.claim(
    "the API servers have counted as many as clients have sent",
    Math.abs(counted - sent) <= 0.01 * sent,
    `they counted ${counted}, and clients sent ${sent}`,
  );
}

async function runPart(
  stage: Stage,
  mode: Mode,
  sources: readonly LoadSource[],
): Promise<Measured> {
  const { tell, terminal, signal } = stage;
  const connections = CONNECTIONS.length;
  tell.text(
    `Load for ${formatDuration(LOAD_MS)}: ${connections} HTTP/2 connections a tenant, one of them busy, from its Pod in the cluster.`,
    "Requests per second, and since the load began:",
  );
  const measured = await measure({
    mode,
    sources,
    durationMs: LOAD_MS,
    openView: (servers) =>
      terminal === undefined ? openLines(tell) : openBars({ terminal, style: tell.style }, servers),
    signal,
  });
  checkCounts(stage, measured);
  checkIssuers(stage, mode, measured);
  return measured;
}

const skewWords = (part: Part): string =>
  Object.entries(skewsOf(part))
    .map(([tenant, skew]) => `${formatSkew(skew)} for ${tenant}`)
    .join(", ");

async function tellL4(
  stage: Stage,
  sources: readonly LoadSource[],
): Promise<{ readonly part: Part; readonly switchMs: number }> {
  const { tell } = stage;
  tell.chapter("L4: connections are balanced");
  tell.text(
    "What a gateway does that passes TLS on. One write a tenant. The clients' Pods were admitted while the route existed, and stay as they are.",
  );
  const switchMs = await switchTo(stage, "L4");
  tell.claim(`the gateway was seen to serve both so, ${formatDuration(switchMs)} after it`, true);
  const { part } = await runPart(stage, "L4", sources);
  tell.claim(
    `whoever got the busy connection has the work: max/mean is ${skewWords(part)}`,
    Object.values(skewsOf(part)).every((skew) => skew >= UNEVEN_SKEW),
  );
  await tellKubeconfig(stage, "L4");
  await untilDistribution(stage, "tenant-a", "set");
  tell.claim("in L4 alone, tenant-a's kube-apiserver Service prefers the client's zone", true);
  return { part, switchMs };
}

async function tellL7(
  stage: Stage,
  sources: readonly LoadSource[],
): Promise<{ readonly part: Part; readonly switchMs: number }> {
  const { tell } = stage;
  tell.chapter("L7: requests are balanced");
  const switchMs = await switchTo(stage, "L7");
  tell.claim(`the gateway was seen to serve both so, ${formatDuration(switchMs)} after it`, true);
  const { part } = await runPart(stage, "L7", sources);
  tell.claim(
    `each API server has its share: max/mean is ${skewWords(part)}`,
    worstSkewOf(part) <= EVEN_SKEW,
    `it is to be at most ${EVEN_SKEW}`,
  );
  await tellKubeconfig(stage, "L7");
  await untilDistribution(stage, "tenant-a", "unset");
  return { part, switchMs };
}

async function writePicture({ picturePath }: Stage, l4: Part, l7: Part): Promise<string> {
  const path =
    picturePath ?? join(await mkdtemp(join(tmpdir(), "fairlead-picture-")), "l4-and-l7.html");
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, path.endsWith(".svg") ? drawShares(l4, l7) : htmlPage(l4, l7));
  return resolve(path);
}

/** That neither istiod nor a gateway has refused anything of what fairlead wrote. */
async function checkRefusals({ tell }: Stage, { plane, gateway }: Machinery): Promise<void> {
  const byIstiod = Object.entries(await plane.istiod.rejections());
  const byEnvoy = await Promise.all(
    gateway.replicas.map(async (replica) => Object.entries(await replica.rejectedUpdates())),
  );
  const refused = [...byIstiod, ...byEnvoy.flat()].filter(([, count]) => count > 0);
  tell.claim(
    "istiod and Envoy have refused nothing of what fairlead wrote",
    refused.length === 0,
    `there are ${refused.map(([what, count]) => `${count} of ${what}`).join(" and ")}`,
  );
}

/**
 * The same load in L4 and in L7, and who got it.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellBalancing(
  stage: Stage,
  machinery: Machinery,
  clients: readonly TenantClient[],
): Promise<BalancingFigures> {
  const { tell } = stage;
  const sources = await sourcesOf(machinery, clients);
  const l4 = await tellL4(stage, sources);
  const l7 = await tellL7(stage, sources);
  const parts: Readonly<Record<Mode, Part>> = { L4: l4.part, L7: l7.part };
  const both = <T>(of: (part: Part) => T): Record<Mode, T> => ({
    L4: of(parts.L4),
    L7: of(parts.L7),
  });
  tell.chapter("L4 and L7 side by side");
  tell.table(spreadHead, spreadRows(l4.part, l7.part));
  await checkRefusals(stage, machinery);
  const picture = await writePicture(stage, l4.part, l7.part);
  tell.text(`A picture of it: ${picture}`);
  const skews = both(skewsOf);
  return {
    skew: both(worstSkewOf),
    requests: both(requestsOf),
    failedRequests: [l4.part, l7.part]
      .flatMap((part) => part.clients)
      .reduce((sum, { failed }) => sum + failed, 0),
    skewByTenant: Object.fromEntries(
      tenantsOf(l4.part).map((tenant) => [
        tenant,
        { L4: skews.L4[tenant] ?? 0, L7: skews.L7[tenant] ?? 0 },
      ]),
    ),
    loadMs: both((part) => secondsOf(part) * 1_000),
    switchMs: { L4: l4.switchMs, L7: l7.switchMs },
    picture,
  };
}
