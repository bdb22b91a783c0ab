import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createProgress } from "../test/cluster";
import { settled } from "../test/harness/eventually";
import { hostedAPIServer, internalGateway, namespace, service } from "../test/harness/objects";
import { countRequests, type ProcessMode, type RequestCount } from "../test/harness/requests";
import { setStage, untilCondition, type Stage } from "../test/harness/stage";
import { issuedCertificates, makeTenantKeys, sourceObjects } from "../test/harness/tenant";
import { mebibytes, printFigures } from "./figures";

const modes: readonly ProcessMode[] = ["admission", "watch"];
const gateway = "istio-ingress";

/** A small landscape: a gateway, and tenants with credentials and topology-aware Services. */
async function settle(stage: Stage, tenantCount: number): Promise<void> {
  const { api } = stage;
  await api.create(internalGateway(gateway));
  for (let index = 1; index <= tenantCount; index += 1) {
    const tenant = `tenant-${index}`;
    await api.createAll([
      namespace(tenant),
      ...sourceObjects(tenant, await makeTenantKeys(tenant)),
      service(tenant, "kube-apiserver"),
      service(tenant, "etcd-main-client"),
      hostedAPIServer(tenant, "main", {
        certificates: issuedCertificates,
        topologyAware: { enabled: true },
      }),
    ]);
  }
  for (let index = 1; index <= tenantCount; index += 1) {
    const of = { namespace: `tenant-${index}` };
    await untilCondition(api, of, { type: "CredentialsSynced", status: "True" });
  }
}

async function count(stage: Stage, since: Date): Promise<Record<ProcessMode, RequestCount>> {
  const [admission, watch] = await Promise.all(
    modes.map(async (mode) => countRequests(stage.cluster, mode, { since })),
  );
  if (admission === undefined || watch === undefined) throw new Error("two processes were counted");
  return { admission, watch };
}

async function waitFor(minutes: number): Promise<void> {
  const step = createProgress().step(`idle for ${minutes} minutes`);
  for (let minute = 0; minute < minutes; minute += 1) {
    step.update({ fraction: minute / minutes });
    await sleep(Math.min(1, minutes - minute) * 60_000);
  }
  step.done();
}

function report(mode: ProcessMode, counted: RequestCount, minutes: number): boolean {
  const { writes, reads, versionReads } = counted;
  const isWithin = writes.length === 0 && reads.length <= minutes;
  console.log(
    `${mode}: ${writes.length} writes, ${reads.length} reads (${(reads.length / minutes).toFixed(2)} a minute), and ${versionReads} reads of /version${isWithin ? "" : "  OVER THE LIMIT"}`,
  );
  for (const [line, times] of tally([...writes, ...reads])) console.log(`  ${times} × ${line}`);
  return isWithin;
}

function tally(lines: readonly string[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const line of lines) {
    const general = line.replace(/resourceVersion=\d+/, "resourceVersion=…");
    counts.set(general, (counts.get(general) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "30" },
      tenants: { type: "string", default: "5" },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error("--minutes is a positive number");
  const stage = await setStage({ objects: [namespace(gateway)] });
  try {
    await settle(stage, Number(values.tenants));
    const started = new Date();
    await settled(
      async () => {
        const { admission, watch } = await count(stage, started);
        return [admission, watch].map(({ writes, reads }) => writes.length + reads.length);
      },
      { quietMs: 5_000 },
    );
    const since = new Date();
    await waitFor(minutes);
    const counted = await count(stage, since);
    const within = modes.map((mode) => report(mode, counted[mode], minutes));
    const { admission, watch } = stage.fairlead;
    const rss = { admission: admission.rssBytes(), watch: watch.rssBytes() };
    console.log(`RSS: admission ${mebibytes(rss.admission)}, watch ${mebibytes(rss.watch)}`);
    const numbers = Object.fromEntries(
      modes.map((mode) => {
        const { writes, reads, versionReads } = counted[mode];
        return [mode, { writes: writes.length, reads: reads.length, versionReads }];
      }),
    );
    printFigures("idle", { minutes, ...numbers, rssBytes: rss });
    process.exitCode = within.every(Boolean) ? 0 : 1;
  } finally {
    await stage.stop();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
