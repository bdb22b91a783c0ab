import { setTimeout as sleep } from "node:timers/promises";
import { settled } from "../../test/harness/eventually";
import { internalGateway, namespace } from "../../test/harness/objects";
import { countRequests } from "../../test/harness/requests";
import { setStage, untilCondition, type Stage } from "../../test/harness/stage";
import { makeTenantKeys, tenantObjects } from "../../test/harness/tenant";
import { changeUnrelatedSecret, createUnrelatedSecrets } from "../../test/harness/unrelated";
import type { Part, PartContext, PartResult } from "../framework/part";
import { usageOf } from "../../test/cluster/processes";

const GATEWAY = "istio-ingress";
const LIMIT_MEBIBYTES = 256;
const CHANGES = 100;
/** Until a request that a change had led to would have been made. */
const REACTION_MS = 3_000;

interface Measured {
  /** The highest, in bytes, while the Secrets were created one after another. */
  readonly growingBytes: number;
  /** After a start in a cluster that has them all: the highest, and what stayed. */
  readonly startedBytes: number;
  readonly restBytes: number;
  /** Requests of the watch process for all changes of unrelated Secrets. */
  readonly requests: number;
}

async function requestsSince(stage: Stage, since: Date): Promise<number> {
  const { writes, reads } = await countRequests(stage.cluster, "watch", { since });
  return writes.length + reads.length;
}

async function measure(stage: Stage, secrets: number, context: PartContext): Promise<Measured> {
  const { api, fairlead } = stage;
  await api.create(internalGateway(GATEWAY));
  await api.createAll(tenantObjects("tenant", await makeTenantKeys("tenant")));
  const expected = { type: "CredentialsSynced", status: "True" };
  await untilCondition(api, { namespace: "tenant" }, expected);
  const step = context.progress.step(`${secrets} unrelated Secrets of 10 KiB`);
  await createUnrelatedSecrets(api, secrets, (done) => {
    if (done % 100 === 0) step.update({ fraction: done / secrets });
  });
  step.done();
  const growingBytes = usageOf(fairlead.watch.pid).peakBytes;
  await fairlead.watch.stop();
  const started = new Date();
  await fairlead.watch.start();
  await settled(async () => requestsSince(stage, started), { quietMs: 4_000 });
  const since = new Date();
  for (let index = 0; index < CHANGES; index += 1) await changeUnrelatedSecret(api, index);
  await sleep(REACTION_MS);
  const { peakBytes: startedBytes, residentBytes: restBytes } = usageOf(fairlead.watch.pid);
  return { growingBytes, startedBytes, restBytes, requests: await requestsSince(stage, since) };
}

const mebibytes = (bytes: number): number => Number((bytes / 1024 / 1024).toFixed(1));

async function run(context: PartContext): Promise<PartResult> {
  const secrets = context.quick ? 2_000 : 10_000;
  const stage = await setStage({ objects: [namespace(GATEWAY)] });
  try {
    const measured = await measure(stage, secrets, context);
    const beside = `${secrets.toLocaleString("en")} unrelated Secrets of 10 KiB`;
    const memory = [
      [`peak resident memory while there come to be ${beside}`, measured.growingBytes],
      [`peak resident memory, started beside ${beside}`, measured.startedBytes],
      [`resident memory at rest beside ${beside}`, measured.restBytes],
    ] as const;
    return {
      figures: [
        ...memory.map(([name, bytes]) => ({
          name: `watch process, ${name}`,
          value: mebibytes(bytes),
          unit: "MiB",
          goal: { atMost: LIMIT_MEBIBYTES },
        })),
        {
          name: `requests of the watch process for ${CHANGES} changes of unrelated Secrets`,
          value: measured.requests,
          unit: "requests",
          goal: { atMost: 0 },
        },
      ],
      charts: [],
    };
  } finally {
    await stage.stop();
  }
}

/** What the objects of others cost. */
export const part: Part = {
  name: "memory",
  title: "Memory beside what is none of fairlead's business",
  run,
};
