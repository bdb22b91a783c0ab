import { setTimeout as sleep } from "node:timers/promises";
import { settled } from "../../test/harness/eventually";
import { hostedAPIServer, internalGateway, namespace, service } from "../../test/harness/objects";
import { countRequests, type ProcessMode, type RequestCount } from "../../test/harness/requests";
import { setStage, untilCondition, type Stage } from "../../test/harness/stage";
import { issuedCertificates, makeTenantKeys, sourceObjects } from "../../test/harness/tenant";
import type { Chart, Figure, Part, PartContext } from "../framework/part";

const modes: readonly ProcessMode[] = ["admission", "watch"];
const gateway = "istio-ingress";
const tenantCount = 5;
const MINUTES = { quick: 2, full: 30 };
/**
 * By default an API server ends a watch 30 to 60 minutes after its start, so half an hour after a start would see no
 * renewal at all. With 18 to 36 minutes two thirds of the watches are renewed in it, as many as in any half an hour of a
 * long run at the default.
 */
const RENEWAL_FLAGS = ["--min-request-timeout=1080"];

/** A small landscape: a gateway, and tenants with credentials and topology-aware Services. */
async function settle({ api }: Stage): Promise<void> {
  await api.create(internalGateway(gateway));
  const tenants = Array.from({ length: tenantCount }, (_, index) => `tenant-${index + 1}`);
  for (const tenant of tenants) {
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
  for (const tenant of tenants) {
    await untilCondition(api, { namespace: tenant }, { type: "CredentialsSynced", status: "True" });
  }
}

async function untilQuiet(stage: Stage): Promise<void> {
  const since = new Date();
  await settled(
    async () => {
      const counts = await Promise.all(
        modes.map((mode) => countRequests(stage.cluster, mode, { since })),
      );
      return counts.map(({ writes, reads }) => writes.length + reads.length);
    },
    { quietMs: 5_000 },
  );
}

async function waitFor(minutes: number, { progress }: PartContext): Promise<void> {
  const step = progress.step(`idle for ${minutes} minutes`);
  for (let minute = 0; minute < minutes; minute += 1) {
    step.update({ fraction: minute / minutes });
    await sleep(60_000);
  }
  step.done();
}

/** What a process asked, minute by minute. */
async function countMinutes(
  stage: Stage,
  mode: ProcessMode,
  times: { readonly since: Date; readonly minutes: number },
): Promise<readonly RequestCount[]> {
  const starts = Array.from({ length: times.minutes }, (_, minute) => minute);
  return Promise.all(
    starts.map((minute) => {
      const startMs = times.since.getTime() + 60_000 * minute;
      const span = { since: new Date(startMs), until: new Date(startMs + 59_999) };
      return countRequests(stage.cluster, mode, span);
    }),
  );
}

interface Totals {
  readonly mode: ProcessMode;
  /** Requests in each minute, of every kind. */
  readonly eachMinute: readonly number[];
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  readonly versionReads: number;
  readonly rssBytes: number;
}

function total(stage: Stage, mode: ProcessMode, counts: readonly RequestCount[]): Totals {
  return {
    mode,
    eachMinute: counts.map(
      ({ writes, reads, versionReads }) => writes.length + reads.length + versionReads,
    ),
    writes: counts.flatMap(({ writes }) => writes),
    reads: counts.flatMap(({ reads }) => reads),
    versionReads: counts.reduce((sum, { versionReads }) => sum + versionReads, 0),
    rssBytes: stage.fairlead[mode].rssBytes(),
  };
}

/** Requests by what they ask for, the most frequent first. */
function tally(requests: readonly string[]): readonly (readonly [string, number])[] {
  const counts = new Map<string, number>();
  for (const request of requests) {
    const general = request.replace(/resourceVersion=\d+/, "resourceVersion=…");
    counts.set(general, (counts.get(general) ?? 0) + 1);
  }
  return [...counts].sort(([, a], [, b]) => b - a);
}

function figuresOf(totals: Totals, { quick }: PartContext): readonly Figure[] {
  const { mode, eachMinute, writes, reads, versionReads, rssBytes } = totals;
  const minutes = eachMinute.length;
  const all = writes.length + reads.length + versionReads;
  const unit = "requests/min";
  return [
    {
      name: `${mode} process, requests a minute while nothing happens, all together`,
      value: all / minutes,
      unit,
      samples: eachMinute,
      goal: { atMost: 1 },
      note: quick ? "too short to see a watch renewed" : "watch renewals included",
    },
    {
      name: `${mode} process, of these lists, gets and starts of watches`,
      value: reads.length / minutes,
      unit,
    },
    { name: `${mode} process, of these reads of /version`, value: versionReads / minutes, unit },
    {
      name: `${mode} process, writes while nothing happens`,
      value: writes.length,
      unit: "requests",
      goal: { atMost: 0 },
    },
    {
      name: `${mode} process, resident memory at the end`,
      value: rssBytes / 1024 / 1024,
      unit: "MiB",
    },
  ];
}

function chartOf(all: readonly Totals[]): Chart {
  return {
    name: "requests",
    title: "Requests to the API server while nothing happens",
    kind: "lines",
    xLabel: "time, minutes",
    yLabel: "requests in the minute",
    series: all.map(({ mode, eachMinute }) => ({
      name: `${mode} process`,
      points: eachMinute.map((y, minute) => ({ x: minute + 1, y })),
    })),
  };
}

/** Requests of each process to the API server while nothing happens, by the audit log. */
export const part: Part = {
  name: "idle",
  title: "Idle",
  async run(context) {
    const minutes = context.quick ? MINUTES.quick : MINUTES.full;
    const apiServerFlags = context.quick ? [] : RENEWAL_FLAGS;
    const stage = await setStage({ objects: [namespace(gateway)], apiServerFlags });
    try {
      await settle(stage);
      await untilQuiet(stage);
      const since = new Date();
      await waitFor(minutes, context);
      const all = await Promise.all(
        modes.map(async (mode) =>
          total(stage, mode, await countMinutes(stage, mode, { since, minutes })),
        ),
      );
      for (const { mode, reads, writes } of all) {
        for (const [request, times] of tally([...writes, ...reads])) {
          context.say(`${mode}: ${times} × ${request}`);
        }
      }
      return { figures: all.flatMap((one) => figuresOf(one, context)), charts: [chartOf(all)] };
    } finally {
      await stage.stop();
    }
  },
};
