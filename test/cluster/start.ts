import { mkdtemp, realpath, rename } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startApiServer } from "./api-server";
import { readAuditEvents } from "./audit";
import { findPrograms, type Programs } from "./binaries";
import type { ClusterOptions, EmbeddedCluster } from "./cluster";
import {
  createClusterKeys,
  issueUser,
  type User,
  writeClusterFiles,
  writeKubeconfig,
} from "./cluster-files";
import { startControllerManager } from "./controller-manager";
import { type Etcd, startEtcd } from "./etcd";
import { createKubectl } from "./kubectl";
import { type Progress, silentProgress } from "./progress";
import type { ProgramName } from "./versions";
import { startWatchdog, type Watchdog } from "./watchdog";

/**
 * Starts etcd and kube-apiserver, of programs that are found or built, and waits until they serve.
 * Everything that it starts ends with this process, whatever way that ends, and nothing of it
 * keeps the process alive.
 * @throws {UnknownVersionError}, {BuildError} and their like when programs are missing,
 * {PortTakenError}, {ProgramEndedError}, {NotReadyError}, or the signal's reason; nothing is left
 * running then.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<EmbeddedCluster> {
  const progress = options.progress ?? silentProgress;
  const programs = await findPrograms({
    version: options.version,
    programs: neededPrograms(options),
    progress,
    signal: options.signal,
  });
  options.signal?.throwIfAborted();
  const directory = await mkdtemp(join(await realpath(tmpdir()), "fairlead-cluster-"));
  const watchdog = startWatchdog(directory);
  try {
    const title = `start Kubernetes ${programs.version} (from the ${programs.source})`;
    return await inStep(progress, title, async () =>
      startPrograms(options, { programs, directory, watchdog }),
    );
  } catch (error) {
    await watchdog.close();
    throw error;
  }
}

interface Ground {
  readonly programs: Programs;
  readonly directory: string;
  readonly watchdog: Watchdog;
}

async function startPrograms(options: ClusterOptions, ground: Ground): Promise<EmbeddedCluster> {
  const { directory, watchdog, programs } = ground;
  const { signal, beside } = options;
  const keys = beside?.keys ?? (await createClusterKeys());
  const files = await writeClusterFiles(directory, keys);
  const etcd = beside?.etcd ?? (await startOwnEtcd(ground, signal));
  const apiServer = await startApiServer({
    program: programPath(programs, "kube-apiserver"),
    directory,
    etcdUrl: etcd.url,
    keys,
    files,
    watchdog,
    flags: options.apiServerFlags ?? [],
    serviceAccountAdmission: options.serviceAccountAdmission ?? "off",
    port: options.port,
    signal,
  });
  const writeFor = async (path: string, userName: string, client = keys.admin) =>
    writeKubeconfig(path, { url: apiServer.url, caPem: apiServer.caPem, userName, client });
  const kubeconfigPath = join(directory, "kubeconfig");
  await writeFor(kubeconfigPath, "admin");
  let kubeconfigs = 0;
  if (options.controllerManager === "run") {
    const program = programPath(programs, "kube-controller-manager");
    await startControllerManager({ program, directory, kubeconfigPath, files, watchdog });
  }
  return {
    version: programs.version,
    kubeconfigPath,
    directory,
    apiServer,
    etcd,
    keys,
    files,
    kubectl: createKubectl({
      program: programPath(programs, "kubectl"),
      directory,
      kubeconfig: kubeconfigPath,
    }),
    controllerManager: options.controllerManager ?? "none",
    async kubeconfigFor(user: User) {
      const path = join(directory, `kubeconfig-${encodeURIComponent(user.name)}`);
      kubeconfigs += 1;
      const written = `${path}.${kubeconfigs}`;
      await writeFor(written, user.name, await issueUser(keys.ca, user));
      // At once, as another caller may ask for the same user, and a process read what it was given before.
      await rename(written, path);
      return path;
    },
    auditEvents: async (filter) => readAuditEvents(files.auditLog, filter),
    // The data is thrown away, so nothing has to end in good order.
    stop: async () => watchdog.close(),
  };
}

async function startOwnEtcd(ground: Ground, signal: AbortSignal | undefined): Promise<Etcd> {
  const { directory, watchdog, programs } = ground;
  return startEtcd({ program: programPath(programs, "etcd"), directory, watchdog, signal });
}

function neededPrograms(options: ClusterOptions): ProgramName[] {
  return [
    ...(options.beside === undefined ? (["etcd"] as const) : []),
    "kube-apiserver",
    "kubectl",
    ...(options.controllerManager === "run" ? (["kube-controller-manager"] as const) : []),
  ];
}

function programPath(programs: Programs, name: ProgramName): string {
  const path = programs.paths[name];
  if (path === undefined) throw new Error(`The place of ${name} was not asked for.`);
  return path;
}

/** Shows work as a step that ends as the work does. */
export async function inStep<T>(
  progress: Progress,
  title: string,
  work: () => Promise<T>,
): Promise<T> {
  const step = progress.step(title);
  try {
    const result = await work();
    step.done();
    return result;
  } catch (error) {
    step.fail();
    throw error;
  }
}
