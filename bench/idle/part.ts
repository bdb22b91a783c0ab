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
/** How long nothing happens, in spans of which each is counted by itself. */
const SPANS = { quick: { count: 3, seconds: 10 }, full: { count: 30, seconds: 60 } };
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

/** When nothing happened, in spans. */
interface Idleness {
  readonly since: Date;
  readonly count: number;
  readonly seconds: number;
}

async function beIdle(
  { count, seconds }: (typeof SPANS)["full"],
  { progress }: PartContext,
): Promise<Idleness> {
  const since = new Date();
  const step = progress.step(`idle for ${count * seconds} s`);
  for (let span = 0; span < count; span += 1) {
    step.update({ fraction: span / count });
    await sleep(1_000 * seconds);
  }
  step.done();
  return { since, count, seconds };
}

/** What a process asked, span by span. */
async function countSpans(
  stage: Stage,
  mode: ProcessMode,
  { since, count, seconds }: Idleness,
): Promise<readonly RequestCount[]> {
  const starts = Array.from({ length: count }, (_, span) => span);
  return Promise.all(
    starts.map((span) => {
      const startMs = since.getTime() + 1_000 * seconds * span;
      const times = { since: new Date(startMs), until: new Date(startMs + 1_000 * seconds - 1) };
      return countRequests(stage.cluster, mode, times);
    }),
  );
}

interface Totals {
  readonly mode: ProcessMode;
  /** Requests a minute in each span, of every kind. */
  readonly perMinute: readonly number[];
  readonly minutes: number;
  readonly writes: readonly string[];
  readonly reads: readonly string[];
  readonly versionReads: number;
  readonly rssBytes: number;
}

async function total(stage: Stage, mode: ProcessMode, idleness: Idleness): Promise<Totals> {
  const counts = await countSpans(stage, mode, idleness);
  const { count, seconds } = idleness;
  return {
    mode,
    perMinute: counts.map(
      ({ writes, reads, versionReads }) =>
        ((writes.length + reads.length + versionReads) * 60) / seconds,
    ),
    minutes: (count * seconds) / 60,
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
  const { mode, perMinute, minutes, writes, reads, versionReads, rssBytes } = totals;
  const all = writes.length + reads.length + versionReads;
  const unit = "requests/min";
  return [
    {
      name: `${mode} process, requests a minute while nothing happens, all together`,
      value: all / minutes,
      unit,
      samples: perMinute,
      goal: { atMost: 1 },
      note: quick
        ? "half a minute only: too short to see a watch renewed"
        : "watch renewals included",
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
    yLabel: "requests per minute",
    series: all.map(({ mode, perMinute, minutes }) => ({
      name: `${mode} process`,
      points: perMinute.map((y, span) => ({ x: ((span + 1) * minutes) / perMinute.length, y })),
    })),
  };
}

/** Requests of each process to the API server while nothing happens, by the audit log. */
export const part: Part = {
  name: "idle",
  title: "Idle",
  async run(context) {
    const apiServerFlags = context.quick ? [] : RENEWAL_FLAGS;
    const stage = await setStage({ objects: [namespace(gateway)], apiServerFlags });
    try {
      await settle(stage);
      await untilQuiet(stage);
      const idleness = await beIdle(context.quick ? SPANS.quick : SPANS.full, context);
      const all = await Promise.all(modes.map(async (mode) => total(stage, mode, idleness)));
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
