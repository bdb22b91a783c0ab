import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { startFairlead } from "../../test/harness/fairlead";
import type { Part, PartContext, PartResult } from "../framework/part";
import { interleave } from "../framework/statistics";
import {
  chartsOf,
  figuresOf,
  shareFigures,
  type DirectRound,
  type Round,
  type Shares,
} from "./figures";
import { askServer, measureVariant, type Amounts, type ServerName } from "./measure";
import { monotonicUs, sharesOf, type CpuProfile } from "./profile";
import { setAdmissionStage, VARIANTS, type AdmissionStage, type Variant } from "./stage";

const QUICK: Amounts = {
  rounds: 7,
  requests: { serial: 100, parallel: 320 },
  warmUp: { serial: 20, parallel: 64 },
  keptRequests: 30,
  directRequests: 4_000,
};
const WHOLE: Amounts = {
  rounds: 25,
  requests: { serial: 250, parallel: 800 },
  warmUp: { serial: 30, parallel: 96 },
  keptRequests: 60,
  directRequests: 10_000,
};

function byName<Name extends string, T>(
  names: readonly Name[],
  of: (name: Name) => T,
): Readonly<Record<Name, T>> {
  return Object.fromEntries(names.map((name) => [name, of(name)])) as Record<Name, T>;
}

async function measureRounds(
  stage: AdmissionStage,
  amounts: Amounts,
  { progress }: PartContext,
): Promise<readonly Round[]> {
  const step = progress.step("Pods created, variant by variant");
  const rounds = await interleave({
    rounds: amounts.rounds,
    warmUpRounds: 1,
    variants: byName(
      VARIANTS,
      (variant: Variant) => async () => measureVariant(stage, variant, amounts),
    ),
    onRound: (done) => {
      step.update({
        fraction: done / amounts.rounds,
        detail: `round ${done} of ${amounts.rounds}`,
      });
    },
  });
  step.done();
  return rounds;
}

async function measureServers(
  stage: AdmissionStage,
  { directRequests }: Amounts,
): Promise<readonly DirectRound[]> {
  const servers: readonly ServerName[] = ["fairlead", "peer"];
  return interleave({
    rounds: 5,
    warmUpRounds: 1,
    variants: byName(servers, (server) => async () => {
      return (await askServer(stage, server, directRequests)).perSecond;
    }),
  });
}

/** Runs fairlead once more, under V8's profiler, and asks it about routed Pods. */
async function profile(stage: AdmissionStage, { directRequests }: Amounts): Promise<Shares> {
  const folder = join(stage.cluster.directory, "profile");
  const fairlead = await startFairlead(stage.cluster, {
    name: "profiled",
    processes: ["admission"],
    nodeArgs: ["--cpu-prof", `--cpu-prof-dir=${folder}`],
  });
  await stage.api.remove({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" });
  const { admission, caPem, webhookUrl } = fairlead;
  const server = { port: admission.port, caPem, path: new URL(webhookUrl).pathname };
  const profiled = { ...stage, servers: { ...stage.servers, fairlead: server } };
  await askServer(profiled, "fairlead", directRequests);
  const fromUs = monotonicUs();
  await askServer(profiled, "fairlead", directRequests);
  const span = { fromUs, toUs: monotonicUs() };
  // With any other signal there is no profile.
  await admission.stop("SIGTERM");
  await fairlead.stop();
  const [file = ""] = await readdir(folder);
  return sharesOf(JSON.parse(await readFile(join(folder, file), "utf8")) as CpuProfile, span);
}

async function run(context: PartContext): Promise<PartResult> {
  const amounts = context.quick ? QUICK : WHOLE;
  const stage = await setAdmissionStage(context);
  try {
    const rounds = await measureRounds(stage, amounts, context);
    const directRounds = await measureServers(stage, amounts);
    const shares = await profile(stage, amounts);
    const figures = figuresOf(rounds, directRounds);
    return {
      figures: [...figures, ...shareFigures(shares)],
      charts: chartsOf(figures, shares),
    };
  } finally {
    await stage.stop();
  }
}

/** What admission costs a Pod: fairlead, Gardener's way, and nothing at all. */
export const part: Part = { name: "admission", title: "Admission", run };
