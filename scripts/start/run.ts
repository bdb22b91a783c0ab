import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { KubeConfig } from "@kubernetes/client-node";
import { Connection, KubernetesClient } from "../../lib/cluster";
import {
  connectCluster,
  createProgress,
  startCluster,
  type Cluster,
  type DataPlane,
  type EmbeddedCluster,
} from "../../test/cluster";
import { startFairlead, type Fairlead, type FairleadOptions } from "../../test/harness/fairlead";
import {
  chooseDataPlane,
  preparePrograms,
  startMachinery,
  startPlane,
  type DataPlaneChoice,
  type Machinery,
} from "./data-plane";
import { prepareCleanUp } from "./existing";
import { figureRows, type Figures } from "./figures";
import { type CleanUps, type Interruption } from "./interruption";
import { ensureModule } from "./module-build";
import type { Narrator } from "./narrator";
import type { StartOptions } from "./options";
import type { Stage } from "./stage";
import { wrap } from "./render";
import { tellStory } from "./story";
import type { TenantClient } from "./story/client";

const root = resolve(__dirname, "../..");

/** What a run has, besides its options. */
export interface RunContext {
  readonly tell: Narrator;
  /** Where the story is told, if that is a terminal. */
  readonly terminal: NodeJS.WriteStream | undefined;
  readonly interruption: Interruption;
  /** What is left to undo, however the run ends. */
  readonly cleanUps: CleanUps;
}

interface Started {
  readonly cluster: Cluster;
  readonly fairlead: Fairlead;
  readonly machinery: Machinery | undefined;
  readonly clusterStartMs: number | undefined;
  readonly fairleadStartMs: number;
}

async function timed<T>(run: () => Promise<T>): Promise<{ value: T; tookMs: number }> {
  const startMs = performance.now();
  const value = await run();
  return { value, tookMs: performance.now() - startMs };
}

/** A cluster, and what runs beside it. */
interface Opened {
  readonly cluster: Cluster;
  readonly plane: DataPlane | undefined;
}

async function openExisting(kubeconfig: string, context: RunContext): Promise<Opened> {
  const { signal } = context.interruption;
  const options = { kubeconfig: resolve(kubeconfig), progress: createProgress(), signal };
  const cluster = await connectCluster(options);
  context.cleanUps.add(async () => cluster.stop());
  return { cluster, plane: undefined };
}

async function openCluster(
  options: StartOptions,
  choice: DataPlaneChoice,
  context: RunContext,
): Promise<Opened> {
  if (options.kubeconfig !== undefined) return openExisting(options.kubeconfig, context);
  const { cleanUps, interruption } = context;
  const common = { progress: createProgress(), signal: interruption.signal };
  const cluster: EmbeddedCluster = await startCluster({ version: options.version, ...common });
  cleanUps.add(async () => cluster.stop());
  if (choice.kind !== "run") return { cluster, plane: undefined };
  const plane = await startPlane(cluster, common);
  cleanUps.add(async () => plane.stop());
  return { cluster, plane };
}

/** An existing cluster signs no certificate for administrators, so both processes use the user's own kubeconfig. */
function withOwnKubeconfig(cluster: Cluster): Cluster {
  return { ...cluster, kubeconfigFor: () => Promise.resolve(cluster.kubeconfigPath) };
}

async function startOn(
  { cluster, plane }: Opened,
  options: StartOptions,
  context: RunContext,
): Promise<Fairlead> {
  const { cleanUps, tell } = context;
  const isExisting = options.kubeconfig !== undefined;
  const cleanUp = isExisting ? await prepareCleanUp(cluster) : undefined;
  const settings: FairleadOptions = {
    ...(options.webhookHost === undefined ? {} : { host: options.webhookHost }),
    ...(plane === undefined ? {} : { dataPlane: plane }),
  };
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

async function startAll(
  options: StartOptions,
  choice: DataPlaneChoice,
  context: RunContext,
): Promise<Started> {
  const { signal } = context.interruption;
  const opened = await timed(async () => openCluster(options, choice, context));
  const { cluster, plane } = opened.value;
  const progress = createProgress();
  const startStep = async () => {
    const step = progress.step("start fairlead: admission and watch, and a webhook that is called");
    try {
      const started = await timed(async () => startOn(opened.value, options, context));
      step.done();
      return started;
    } catch (error) {
      step.fail();
      throw error;
    }
  };
  const [fairlead, machinery] = await Promise.all([
    startStep(),
    plane === undefined ? undefined : startMachinery(plane, { progress, signal }),
  ]);
  return {
    cluster,
    fairlead: fairlead.value,
    machinery,
    clusterStartMs: options.kubeconfig === undefined ? opened.tookMs : undefined,
    fairleadStartMs: fairlead.tookMs,
  };
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

function tellChoice({ tell }: RunContext, choice: DataPlaneChoice): void {
  if (choice.kind === "run") return;
  tell.line(tell.style.bold("Without a data plane: no istiod, no gateway, no hosted API servers."));
  tell.text(
    ...choice.reason.flatMap((line) => wrap(line, 110)),
    "So no request is balanced here. What runs: credentials, Pods, Services and the internal Service, against a",
    "real API server.",
  );
}

const headline = (cluster: Cluster, options: StartOptions): string => {
  const where = options.kubeconfig === undefined ? "a cluster of its own" : "your cluster";
  return `fairlead ${fairleadVersion()} on Kubernetes ${cluster.version}, ${where}: two processes, as in production`;
};

function tellMachinery({ tell }: RunContext, machinery: Machinery | undefined): void {
  if (machinery === undefined) return;
  const { gateway, hosted } = machinery;
  const tenants = Object.values(hosted)
    .map(({ namespace, replicas }) => `${replicas.length} of ${namespace}`)
    .join(" and ");
  tell.line(
    `With istiod, an Istio gateway of ${gateway.replicas.length} Pods in two zones, and hosted kube-apiservers: ${tenants}`,
  );
}

/** What a run has shown, and what goes on until its end. */
export interface Told {
  readonly figures: Figures;
  readonly cluster: Cluster;
  readonly machinery: Machinery | undefined;
  readonly clients: readonly TenantClient[];
}

/**
 * Starts everything, tells the story and shows its figures.
 * @throws {StoryError} when a claim does not hold; the interruption's reason; what the parts throw that are started.
 */
export async function runStory(options: StartOptions, context: RunContext): Promise<Told> {
  const { tell, interruption, terminal } = context;
  const choice = await chooseDataPlane(options, interruption.signal);
  tellChoice(context, choice);
  const preparation = { progress: createProgress(), signal: interruption.signal };
  // Neither is a part of what is measured: it is done once.
  if (choice.kind === "run") await preparePrograms(options.version, preparation);
  await ensureModule(root, preparation.progress, preparation.signal);
  const startMs = performance.now();
  const started = await startAll(options, choice, context);
  const { cluster, fairlead, machinery } = started;
  tell.line(tell.style.bold(headline(cluster, options)));
  tellMachinery(context, machinery);
  const stage: Stage = {
    cluster,
    client: clientOf(cluster),
    fairlead,
    machinery,
    terminal,
    picturePath: options.picture,
    tell,
    signal: interruption.signal,
    privateKeys: [],
  };
  const { figures: measured, clients } = await tellStory(stage);
  const figures: Figures = {
    kubernetesVersion: cluster.version,
    dataPlane: choice.kind === "run" ? "run" : (choice.reason[0] ?? "left out"),
    clusterStartMs: started.clusterStartMs,
    fairleadStartMs: started.fairleadStartMs,
    ...measured,
    claims: tell.claims,
    totalMs: performance.now() - startMs,
  };
  tell.chapter("Figures of this run");
  tell.table(["what", "how much"], figureRows(figures));
  return { figures, cluster, machinery, clients };
}
