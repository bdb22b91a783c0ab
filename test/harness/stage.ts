import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import { startCluster, type ClusterOptions, type EmbeddedCluster } from "../cluster";
import { Api, type AnyObject } from "./api";
import { startFairlead, type Fairlead, type FairleadOptions } from "./fairlead";
import { eventually, type Patience } from "./eventually";
import { node, routedPod } from "./objects";

/** Long enough to find or build the programs of a version. */
export const START_TIMEOUT_MS = 1_800_000;

/** What an end-to-end test plays on: a real API server and both processes of the built module. */
export interface Stage {
  readonly cluster: EmbeddedCluster;
  readonly api: Api;
  readonly fairlead: Fairlead;
  /**
   * Runs kubectl, which must succeed.
   * @throws Error with what kubectl said.
   */
  kubectl(args: readonly string[], input?: object | readonly object[]): Promise<string>;
  /** What kubectl says when it is refused; throws when it is not. */
  refusal(args: readonly string[], input?: object): Promise<string>;
  stop(): Promise<void>;
}

/** How a stage is set. */
export interface StageOptions
  extends Pick<ClusterOptions, "version" | "controllerManager" | "apiServerFlags"> {
  readonly fairlead?: FairleadOptions;
  /** Zones of the nodes, one node each; two zones by default. */
  readonly zones?: readonly string[];
  /** Created before fairlead starts. */
  readonly objects?: readonly object[];
}

/** The text that kubectl reads: JSON, and several objects as a List, which kubectl of any version takes apart. */
export function toInput(objects: object | readonly object[]): string {
  const isOne = !Array.isArray(objects);
  return JSON.stringify(isOne ? objects : { apiVersion: "v1", kind: "List", items: objects });
}

/** kubectl's words on both ends. */
export function speak(cluster: EmbeddedCluster): Pick<Stage, "kubectl" | "refusal"> {
  const run = (args: readonly string[], input: object | readonly object[] | undefined) =>
    cluster.kubectl(args, input === undefined ? {} : { input: toInput(input) });
  return {
    async kubectl(args, input) {
      const { exitCode, stdout, stderr } = await run(args, input);
      if (exitCode !== 0) throw new Error(`kubectl ${args.join(" ")}: ${stderr}`);
      return stdout;
    },
    async refusal(args, input) {
      const { exitCode, stdout, stderr } = await run(args, input);
      if (exitCode === 0) throw new Error(`kubectl ${args.join(" ")} was not refused: ${stdout}`);
      return stderr;
    },
  };
}

/** `FAIRLEAD_LOGS`: a folder in which the logs of both processes and the audit log are kept, to look into a failure. */
export function keepLogs(
  { directory, files }: EmbeddedCluster,
  { admission, watch }: Fairlead,
): void {
  const folder = process.env.FAIRLEAD_LOGS;
  if (folder === undefined) return;
  const kept = join(folder, basename(directory));
  mkdirSync(kept, { recursive: true });
  for (const path of [admission.logPath, watch.logPath, files.auditLog]) {
    if (existsSync(path)) copyFileSync(path, join(kept, basename(path)));
  }
}

/** Starts a cluster and fairlead in it; nothing is left running where that fails. */
export async function setStage(options: StageOptions = {}): Promise<Stage> {
  const { version, controllerManager, apiServerFlags } = options;
  const cluster = await startCluster({ version, controllerManager, apiServerFlags });
  const api = new Api(cluster);
  try {
    const { zones = ["zone-a", "zone-b"], objects = [] } = options;
    await api.createAll(zones.map((zone, index) => node(`node-${index + 1}`, zone)));
    await api.createAll(objects);
    const fairlead = await startFairlead(cluster, options.fairlead);
    return {
      cluster,
      api,
      fairlead,
      ...speak(cluster),
      async stop() {
        api.close();
        await fairlead.stop();
        keepLogs(cluster, fairlead);
        await cluster.stop();
      },
    };
  } catch (error) {
    api.close();
    await cluster.stop();
    throw error;
  }
}

/** A condition of an object; undefined when it has none of that type. */
export interface SeenCondition {
  readonly type: string;
  readonly status: string;
  readonly reason: string;
  readonly message: string;
  readonly observedGeneration?: number;
}

/** The conditions of an object by type, as they are now. */
export function conditionsOf(
  object: AnyObject | undefined,
): Readonly<Record<string, SeenCondition | undefined>> {
  const conditions = (object?.status?.conditions ?? []) as readonly SeenCondition[];
  return Object.fromEntries(conditions.map((condition) => [condition.type, condition]));
}

/**
 * Waits until a condition of a HostedAPIServer is as expected.
 * @returns The HostedAPIServer.
 * @throws Error with the conditions that it has instead.
 */
export async function untilCondition(
  api: Api,
  tenant: { readonly namespace: string; readonly name?: string },
  expected: Partial<SeenCondition> & { readonly type: string },
): Promise<AnyObject> {
  const { namespace, name = "main" } = tenant;
  return eventually(async () => {
    const hapi = await api.get({ kind: "HostedAPIServer", namespace, name });
    const seen = conditionsOf(hapi)[expected.type];
    const differs = Object.entries(expected).some(
      ([field, value]) => seen?.[field as keyof SeenCondition] !== value,
    );
    if (!differs) return hapi;
    const [want, have] = [expected, hapi.status?.conditions ?? []].map((value) =>
      JSON.stringify(value),
    );
    throw new Error(`HostedAPIServer ${namespace}/${name} should have ${want} and has ${have}`);
  });
}

/** Waits until Pods of a namespace are routed: the admission process, and who calls it, hear of a route for themselves. */
export async function untilRouted(
  api: Api,
  inNamespace: string,
  patience: Patience = {},
): Promise<void> {
  await eventually(async () => {
    const { body } = await api.tryToCreate(routedPod(inNamespace, "trial"));
    if (body.spec?.hostAliases === undefined) throw new Error("Pods are not routed");
  }, patience);
}
