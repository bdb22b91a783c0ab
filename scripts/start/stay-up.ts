import { chmod, mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Cluster } from "../../test/cluster";
import { hostOf, type Machinery } from "./data-plane";
import type { RunContext, Told } from "./run";
import { openBars } from "./spread/live-view";
import { showLoad } from "./spread/measure";
import type { Server } from "./spread/spread";
import { quote } from "./stage";
import { sourcesOf } from "./story/balancing";
import type { TenantClient } from "./story/client";

/** A load that leaves the machine some air: at most a few hundred requests per second. */
const QUIET_CONNECTIONS = [
  { streams: 2, pauseMs: 10 },
  { pauseMs: 200 },
  { pauseMs: 200 },
  { pauseMs: 200 },
];

/** A program that runs its arguments in a client's Pod, as an administrator of the hosted cluster. */
export function clientScript(request: {
  readonly prefix: readonly string[];
  readonly kubeconfigPath: string;
  readonly kubectlPath: string;
}): string {
  const { prefix, kubeconfigPath, kubectlPath } = request;
  return [
    "#!/bin/sh",
    `export KUBECONFIG=${quote(kubeconfigPath)}`,
    `export PATH=${quote(dirname(kubectlPath))}:"$PATH"`,
    `exec ${prefix.map(quote).join(" ")} "$@"`,
    "",
  ].join("\n");
}

/** Writes a program for each client, called as its tenant; answers the directories for PATH. */
async function writePrograms(
  cluster: Cluster,
  { hosted }: Machinery,
  clients: readonly TenantClient[],
): Promise<readonly string[]> {
  const directory = join(cluster.directory, "bin");
  await mkdir(directory, { recursive: true });
  for (const { tenant, client, caPem } of clients) {
    const admin = { name: "admin", groups: ["system:masters"] };
    const access = { server: `https://${hostOf(tenant)}`, caPem };
    const { kubectlPath } = hosted[tenant];
    const script = clientScript({
      prefix: client.prefix,
      kubeconfigPath: await hosted[tenant].kubeconfigFor(admin, access),
      kubectlPath,
    });
    const path = join(directory, tenant);
    await writeFile(path, script);
    await chmod(path, 0o755);
  }
  return [directory, dirname(hosted["tenant-a"].kubectlPath)];
}

function tellSteps({ tell }: RunContext, steps: readonly string[]): void {
  tell.line();
  tell.line(tell.style.bold("Now you, in another terminal:"));
  tell.line();
  for (const step of steps) tell.line(step);
  tell.line();
  tell.line("Ctrl-C ends it all.");
}

async function tellDataPlane(context: RunContext, told: Told, machinery: Machinery): Promise<void> {
  const { cluster, clients } = told;
  const directories = await writePrograms(cluster, machinery, clients);
  tellSteps(context, [
    `export KUBECONFIG=${cluster.kubeconfigPath} PATH=${directories.join(":")}:$PATH`,
    "kubectl get hapi,igw --all-namespaces",
    "tenant-a cat /etc/hosts                 # in the Pod of tenant-a's client",
    "tenant-a kubectl get nodes              # likewise, in the hosted cluster, through the gateway",
    `kubectl patch hapi tenant-a -n tenant-a --type=merge -p '{"spec":{"loadBalancing":"L4"}}'`,
    "kubectl get gateway,virtualservice,destinationrule,envoyfilter -n istio-ingress",
  ]);
  const { terminal, interruption, tell } = context;
  if (terminal === undefined) return;
  tell.line();
  tell.line("Meanwhile a small load goes on; requests per second, and since it began:");
  const openView = (servers: readonly Server[]) =>
    openBars({ terminal, style: tell.style }, servers);
  const sources = await sourcesOf(machinery, clients, QUIET_CONNECTIONS);
  try {
    await showLoad({ sources, openView, signal: interruption.signal });
  } catch (error) {
    interruption.signal.throwIfAborted();
    // Whoever tries things may break it: all else stays.
    const sentence = error instanceof Error ? error.message : String(error);
    tell.line(tell.style.bad(`The load has ended: ${sentence}`));
  }
}

/**
 * Says what can be tried, and stays until the user ends it.
 * @throws The interruption's reason, where a load goes on meanwhile.
 */
export async function stayUp(context: RunContext, told: Told): Promise<void> {
  const { machinery, cluster } = told;
  if (machinery === undefined) {
    tellSteps(context, [
      `export KUBECONFIG=${cluster.kubeconfigPath}`,
      "kubectl get hapi,igw --all-namespaces",
      "kubectl run mine -n shoot--demo--one --image=none --labels=fairlead.dev/route=true --dry-run=server -o yaml",
      "kubectl delete secret ca-client -n tenant-a; kubectl describe hapi -n tenant-a",
    ]);
  } else {
    await tellDataPlane(context, told, machinery);
  }
  await context.interruption.wait();
}
