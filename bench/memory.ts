import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import { createProgress } from "../test/cluster";
import { settled } from "../test/harness/eventually";
import { internalGateway, namespace } from "../test/harness/objects";
import { countRequests } from "../test/harness/requests";
import { setStage, untilCondition, type Stage } from "../test/harness/stage";
import { makeTenantKeys, tenantObjects } from "../test/harness/tenant";
import { changeUnrelatedSecret, createUnrelatedSecrets } from "../test/harness/unrelated";
import { mebibytes, printFigures } from "./figures";

const gateway = "istio-ingress";
const limitBytes = 256 * 1024 * 1024;
const changes = 100;
/** Until a request that a change had led to would have been made. */
const reactionMs = 3_000;

interface Figures {
  /** The highest that was seen, in bytes, while the Secrets were created one after another. */
  readonly growingBytes: number;
  /** After a start in a cluster that has them all: the highest that was seen, and what stayed. */
  readonly startedBytes: number;
  readonly restBytes: number;
  /** Requests of the watch process for all changes of unrelated Secrets. */
  readonly requests: readonly string[];
}

/** Watches the watch process' memory while something goes on. */
async function highest(stage: Stage, work: () => Promise<unknown>): Promise<number> {
  let bytes = 0;
  const look = (): void => {
    bytes = Math.max(bytes, stage.fairlead.watch.rssBytes());
  };
  const timer = setInterval(look, 50);
  try {
    await work();
    look();
    return bytes;
  } finally {
    clearInterval(timer);
  }
}

const writesAndReads = async (stage: Stage, since: Date): Promise<readonly string[]> => {
  const { writes, reads } = await countRequests(stage.cluster, "watch", { since });
  return [...writes, ...reads];
};

const untilQuiet = async (stage: Stage): Promise<void> => {
  const since = new Date();
  await settled(async () => writesAndReads(stage, since), { quietMs: 4_000 });
};

async function measure(stage: Stage, secrets: number): Promise<Figures> {
  const { api, fairlead } = stage;
  await api.create(internalGateway(gateway));
  await api.createAll(tenantObjects("tenant", await makeTenantKeys("tenant")));
  const expected = { type: "CredentialsSynced", status: "True" };
  await untilCondition(api, { namespace: "tenant" }, expected);
  const step = createProgress().step(`${secrets} unrelated Secrets of 10 KiB`);
  const growingBytes = await highest(stage, async () =>
    createUnrelatedSecrets(api, secrets, (done) => {
      if (done % 100 === 0) step.update({ fraction: done / secrets });
    }),
  );
  step.done();
  await fairlead.watch.stop();
  const startedBytes = await highest(stage, async () => {
    await fairlead.watch.start();
    await untilQuiet(stage);
  });
  const since = new Date();
  for (let index = 0; index < changes; index += 1) await changeUnrelatedSecret(api, index);
  await sleep(reactionMs);
  const requests = await writesAndReads(stage, since);
  return { growingBytes, startedBytes, restBytes: fairlead.watch.rssBytes(), requests };
}

async function main(): Promise<void> {
  const { values } = parseArgs({ options: { secrets: { type: "string", default: "10000" } } });
  const secrets = Number(values.secrets);
  if (!Number.isInteger(secrets) || secrets < changes) {
    throw new Error(`--secrets is a number of at least ${changes}`);
  }
  const stage = await setStage({ objects: [namespace(gateway)] });
  try {
    const { requests, ...bytes } = await measure(stage, secrets);
    console.log(
      `watch process with ${secrets} unrelated Secrets of 10 KiB: ${mebibytes(bytes.growingBytes)} while they were created; started with them: ${mebibytes(bytes.startedBytes)} at most, ${mebibytes(bytes.restBytes)} at rest (limit ${mebibytes(limitBytes)})`,
    );
    console.log(`${changes} changes of unrelated Secrets: ${requests.length} API calls`);
    for (const request of requests) console.log(`  ${request}`);
    printFigures("memory", { secrets, ...bytes, changes, requests: requests.length });
    const highestBytes = Math.max(bytes.growingBytes, bytes.startedBytes, bytes.restBytes);
    process.exitCode = highestBytes < limitBytes && requests.length === 0 ? 0 : 1;
  } finally {
    await stage.stop();
  }
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 1;
});
