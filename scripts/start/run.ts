import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { Connection, KubernetesClient } from "../../lib/cluster";
import { connectCluster, createProgress, startCluster, type Cluster } from "../../test/cluster";
import { startFairlead, type Fairlead, type FairleadOptions } from "../../test/harness/fairlead";
import { prepareCleanUp } from "./existing";
import { figureRows, type Figures } from "./figures";
import { type CleanUps, type Interruption } from "./interruption";
import { ensureModule } from "./module-build";
import type { Narrator } from "./narrator";
import type { StartOptions } from "./options";
import type { Stage } from "./stage";
import { tellStory } from "./story";

const root = resolve(__dirname, "../..");

/** What a run has, besides its options. */
export interface RunContext {
  readonly tell: Narrator;
  readonly interruption: Interruption;
  /** What is left to undo, however the run ends. */
  readonly cleanUps: CleanUps;
}

interface Started {
  readonly cluster: Cluster;
  readonly fairlead: Fairlead;
  readonly clusterStartMs: number | undefined;
  readonly fairleadStartMs: number;
}

async function timed<T>(run: () => Promise<T>): Promise<{ value: T; tookMs: number }> {
  const startMs = performance.now();
  const value = await run();
  return { value, tookMs: performance.now() - startMs };
}

async function openCluster(options: StartOptions, context: RunContext): Promise<Cluster> {
  const { signal } = context.interruption;
  const progress = createProgress();
  const cluster =
    options.kubeconfig === undefined
      ? await startCluster({ version: options.version, progress, signal })
      : await connectCluster({ kubeconfig: resolve(options.kubeconfig), progress, signal });
  context.cleanUps.add(() => cluster.stop());
  return cluster;
}

/** An existing cluster signs no certificate for administrators, so both processes use the user's own kubeconfig. */
function withOwnKubeconfig(cluster: Cluster): Cluster {
  return { ...cluster, kubeconfigFor: () => Promise.resolve(cluster.kubeconfigPath) };
}

async function startOn(
  cluster: Cluster,
  options: StartOptions,
  context: RunContext,
): Promise<Fairlead> {
  const { cleanUps, tell } = context;
  const isExisting = options.kubeconfig !== undefined;
  const cleanUp = isExisting ? await prepareCleanUp(cluster) : undefined;
  const settings: FairleadOptions =
    options.webhookHost === undefined ? {} : { host: options.webhookHost };
  const report = (problems: readonly string[]): void => {
    for (const problem of problems) tell.text(tell.style.bad(`left behind: ${problem}`));
  };
  if (cleanUp !== undefined) {
    cleanUps.add(async () => {
      report(await cleanUp.removeFairlead());
    });
  }
  const fairlead = await startFairlead(isExisting ? withOwnKubeconfig(cluster) : cluster, settings);
  cleanUps.add(() => fairlead.stop());
  if (cleanUp !== undefined) {
    cleanUps.add(async () => {
      tell.line();
      tell.line("Removing what the story has made … (Ctrl-C leaves it behind)");
      report(
        await cleanUp.removeStory(async () => {
          // Ctrl-C in a terminal goes to every process, so it may have ended.
          if (!fairlead.watch.isRunning()) await fairlead.watch.start();
        }),
      );
    });
  }
  return fairlead;
}

async function startAll(options: StartOptions, context: RunContext): Promise<Started> {
  const progress = createProgress();
  const opened = await timed(() => openCluster(options, context));
  const cluster = opened.value;
  const step = progress.step("start fairlead: admission and watch, and a webhook that is called");
  try {
    const started = await timed(() => startOn(cluster, options, context));
    step.done();
    return {
      cluster,
      fairlead: started.value,
      clusterStartMs: options.kubeconfig === undefined ? opened.tookMs : undefined,
      fairleadStartMs: started.tookMs,
    };
  } catch (error) {
    step.fail();
    throw error;
  }
}

function clientOf(cluster: Cluster): KubernetesClient {
  const config = new KubeConfig();
  config.loadFromFile(cluster.kubeconfigPath);
  return new KubernetesClient(new Connection(config));
}

function fairleadVersion(): string {
  const text = readFileSync(join(root, "package.json"), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}

/**
 * Starts everything, tells the story and shows its figures.
 * @throws {StoryError} when a claim does not hold; the interruption's reason; what the parts throw that are started.
 */
export async function runStory(
  options: StartOptions,
  context: RunContext,
): Promise<{ readonly figures: Figures; readonly cluster: Cluster }> {
  const { tell, interruption } = context;
  await ensureModule(root, createProgress(), interruption.signal);
  const startMs = performance.now();
  const { cluster, fairlead, clusterStartMs, fairleadStartMs } = await startAll(options, context);
  const where = options.kubeconfig === undefined ? "a cluster of its own" : "your cluster";
  tell.line(
    tell.style.bold(
      `fairlead ${fairleadVersion()} on Kubernetes ${cluster.version}, ${where}: two processes, as in production`,
    ),
  );
  const stage: Stage = {
    cluster,
    client: clientOf(cluster),
    fairlead,
    tell,
    signal: interruption.signal,
    privateKeys: [],
  };
  const measured = await tellStory(stage);
  const figures: Figures = {
    kubernetesVersion: cluster.version,
    clusterStartMs,
    fairleadStartMs,
    ...measured,
    claims: tell.claims,
    totalMs: performance.now() - startMs,
  };
  tell.chapter("Figures of this run");
  tell.table(["what", "how much"], figureRows(figures));
  return { figures, cluster };
}
