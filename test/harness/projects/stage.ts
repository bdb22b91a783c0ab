import {
  startCluster,
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
  type HostedAPIServer,
} from "../../cluster";
import { Api, type AnyObject } from "../api";
import { refusalsOf } from "../exposure-stage";
import { startFairlead, type Fairlead } from "../fairlead";
import { keepLogs, speak, type Stage } from "../stage";
import { examplePath, readKind, type Project } from "./project";

/** A project's control plane, its gateway, and what came of its example. */
export interface StagedProject {
  readonly project: Project;
  readonly hosted: HostedAPIServer;
  readonly gateway: Gateway;
  /** The example's objects, as they are in its files. */
  readonly hapi: AnyObject;
  readonly internalGateway: AnyObject;
}

/** One management cluster in which every project hosts a control plane. */
export interface ProjectsStage extends Stage {
  readonly plane: DataPlane;
  readonly projects: readonly StagedProject[];
  /** What istiod and all Envoys have refused; empty when they took everything. */
  refusals(): Promise<Readonly<Record<string, number>>>;
}

interface Ground {
  readonly cluster: EmbeddedCluster;
  readonly plane: DataPlane;
  readonly api: Api;
}

/** Makes what is there before fairlead is told of it: gateway, API servers, their Secrets. */
async function stageProject({ plane, api }: Ground, project: Project): Promise<StagedProject> {
  const hapi = readKind(project.name, "hosted-api-server.yaml", "HostedAPIServer");
  const internalGateway = readKind(project.name, "internal-gateway.yaml", "InternalGateway");
  const { namespace = "" } = internalGateway.metadata;
  const labels = internalGateway.spec?.selector as Readonly<Record<string, string>>;
  const [gateway, hosted] = await Promise.all([
    plane.addGateway({ namespace, name: labels.app ?? "", labels }),
    plane.addHostedAPIServer(project.hosted),
  ]);
  await api.createAll([...(await project.secrets(hosted.keys)), ...project.objects]);
  return { project, hosted, gateway, hapi, internalGateway };
}

/**
 * Starts all of it, and applies the examples' files as they are. Nothing is left running where that fails.
 * @param namespaces What exists before anything else does.
 */
export async function setProjectsStage(
  projects: readonly Project[],
  namespaces: readonly AnyObject[],
): Promise<ProjectsStage> {
  const cluster = await startCluster({ version: "1.34", controllerManager: "run" });
  const api = new Api(cluster);
  const ending: (() => Promise<void>)[] = [async () => cluster.stop()];
  const stop = async () => {
    api.close();
    for (const end of ending.reverse()) await end();
  };
  try {
    const plane = await startDataPlane(cluster);
    ending.push(async () => plane.stop());
    await api.createAll(namespaces);
    const started: { fairlead?: Fairlead } = {};
    ending.push(async () => {
      const { fairlead } = started;
      if (fairlead === undefined) return;
      await fairlead.stop();
      keepLogs(cluster, fairlead);
    });
    const [fairlead, ...staged] = await Promise.all([
      startFairlead(cluster, { dataPlane: plane }).then((one) => (started.fairlead = one)),
      ...projects.map(async (project) => stageProject({ cluster, plane, api }, project)),
    ]);
    const spoken = speak(cluster);
    for (const { name, files } of projects) {
      const flags = files.flatMap((file) => ["-f", examplePath(name, file)]);
      await spoken.kubectl(["apply", "--validate=strict", ...flags]);
    }
    return {
      cluster,
      api,
      fairlead,
      plane,
      projects: staged,
      ...spoken,
      async refusals() {
        const found = await Promise.all(
          staged.map(async ({ gateway }) => refusalsOf(plane, gateway)),
        );
        return Object.assign({}, ...found) as Record<string, number>;
      },
      stop,
    };
  } catch (error) {
    await stop();
    throw error;
  }
}
