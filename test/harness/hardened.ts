import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { EmbeddedCluster } from "../cluster";
import type { AnyObject } from "./api";
import { manifestObjects } from "./installation";
import { speak } from "./stage";

/** What a process that is played has need of nothing of. */
const notPlayed = ["Deployment", "MutatingWebhookConfiguration"];

interface Kubeconfig {
  readonly users: readonly { readonly name: string }[];
}

/** A kubeconfig with a token of a ServiceAccount instead of the administrator's certificate. */
async function tokenKubeconfig(cluster: EmbeddedCluster, account: string): Promise<string> {
  const args = ["create", "token", account, "--namespace=pepr-system", "--duration=8h"];
  const token = (await speak(cluster).kubectl(args)).trim();
  const kubeconfig = parse(readFileSync(cluster.kubeconfigPath, "utf8")) as Kubeconfig;
  const users = kubeconfig.users.map(({ name }) => ({ name, user: { token } }));
  const path = join(cluster.directory, `${account}.kubeconfig`);
  writeFileSync(path, stringify({ ...kubeconfig, users }), { mode: 0o600 });
  return path;
}

/** The user that one of fairlead's processes is. */
export function userOf(process: "admission" | "watch"): string {
  return `system:serviceaccount:pepr-system:fairlead-${process}`;
}

/**
 * Installs what fairlead's processes live by, with their ServiceAccounts and rights, but neither their Pods nor the
 * webhook.
 * @param objects Of another installation than the plain manifest.
 * @returns The cluster, in which `fairlead-admission` and `fairlead-watch` are those ServiceAccounts, with no other right.
 */
export async function installHardened(
  cluster: EmbeddedCluster,
  objects: readonly AnyObject[] = manifestObjects(),
): Promise<EmbeddedCluster> {
  const { kubectl } = speak(cluster);
  const played = objects.filter(({ kind }) => !notPlayed.includes(kind));
  await kubectl(["apply", "--server-side", "--validate=strict", "-f", "-"], played);
  const hardened = Object.create(cluster) as { kubeconfigFor: EmbeddedCluster["kubeconfigFor"] };
  hardened.kubeconfigFor = async (user) =>
    user.name.startsWith("fairlead-")
      ? tokenKubeconfig(cluster, user.name)
      : cluster.kubeconfigFor(user);
  return hardened as EmbeddedCluster;
}
