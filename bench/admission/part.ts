import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { startFairlead } from "../../test/harness/fairlead";
import type { Part, PartContext, PartResult } from "../framework/part";
import { chartsOf, figuresOf, shareFigures, type DirectRound, type Shares } from "./figures";
import { askServers, measureRound, type Amounts, type Round } from "./measure";
import { monotonicUs, sharesOf, type CpuProfile } from "./profile";
import { setAdmissionStage, type AdmissionStage } from "./stage";

const QUICK: Amounts = {
  rounds: 12,
  scenes: {
    serial: { warmUp: 10, turns: 5, requests: 10 },
    parallel: { warmUp: 32, turns: 1, requests: 128 },
    kept: { warmUp: 0, turns: 2, requests: 5 },
  },
  directRounds: 6,
  direct: { warmUp: 250, turns: 2, requests: 500 },
};
const WHOLE: Amounts = {
  rounds: 40,
  scenes: {
    serial: { warmUp: 10, turns: 15, requests: 10 },
    parallel: { warmUp: 32, turns: 3, requests: 128 },
    kept: { warmUp: 0, turns: 4, requests: 5 },
  },
  directRounds: 12,
  direct: { warmUp: 500, turns: 4, requests: 500 },
};

async function measureRounds(
  stage: AdmissionStage,
  amounts: Amounts,
  { progress }: PartContext,
): Promise<readonly Round[]> {
  const step = progress.step("Pods created, the variants in turns");
  // The servers' code is compiled while it runs.
  for (let round = 0; round < 2; round += 1) await measureRound(stage, amounts, round);
  const rounds: Round[] = [];
  while (rounds.length < amounts.rounds) {
    const detail = `round ${rounds.length + 1} of ${amounts.rounds}`;
    step.update({ fraction: rounds.length / amounts.rounds, detail });
    rounds.push(await measureRound(stage, amounts, rounds.length));
  }
  step.done();
  return rounds;
}

async function measureServers(
  stage: AdmissionStage,
  { direct, directRounds }: Amounts,
): Promise<readonly DirectRound[]> {
  const rounds: DirectRound[] = [];
  for (let seed = 0; seed < directRounds; seed += 1) {
    const { fairlead, peer } = await askServers(stage, ["fairlead", "peer"], { direct, seed });
    rounds.push({ fairlead: fairlead.perSecond, peer: peer.perSecond });
  }
  return rounds;
}

/** Runs fairlead once more, under V8's profiler, and asks it about routed Pods. */
async function profile(stage: AdmissionStage, { direct }: Amounts): Promise<Shares> {
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
  await askServers(profiled, ["fairlead"], { direct: { ...direct, turns: 5 }, seed: 1 });
  const fromUs = monotonicUs();
  await askServers(profiled, ["fairlead"], { direct: { ...direct, turns: 10 }, seed: 1 });
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
      versions: { kubernetes: stage.cluster.version },
    };
  } finally {
    await stage.stop();
  }
}

/** What admission costs a Pod: fairlead, Gardener's way, and nothing at all. */
export const part: Part = { name: "admission", title: "Admission", run };
