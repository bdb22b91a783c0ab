import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse, stringify } from "yaml";
import type { EmbeddedCluster } from "../cluster";
import { manifestObjects as objectsOf } from "../../deploy/chart";
import { packModule } from "../../deploy/objects";
import { defaultValues } from "../../deploy/values";
import type { AnyObject } from "./api";
import { findObject, manifestObjects } from "./installation";
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

/** An installation that is restricted to namespaces. */
export interface RestrictedInstallation {
  readonly objects: readonly AnyObject[];
  /** What the processes are told of it. */
  readonly env: Readonly<Record<string, string>>;
}

/** What the chart makes of `rbac.restricted`; the module is left out, since nobody mounts it. */
export function restrictedInstallation(namespaces: {
  readonly gatewayNamespaces: readonly string[];
  readonly controlPlaneNamespaces: readonly string[];
}): RestrictedInstallation {
  const image = "registry.example.com/controller:v1";
  const values = defaultValues(image);
  const module = packModule(Buffer.from(""), "");
  const { gatewayNamespaces, controlPlaneNamespaces } = namespaces;
  const objects = objectsOf(
    { version: "0.0.1", description: "", image, failurePolicy: "Fail", module },
    {
      ...values,
      rbac: {
        restricted: true,
        gatewayNamespaces: [...gatewayNamespaces],
        controlPlaneNamespaces: [...controlPlaneNamespaces],
      },
    },
  ) as readonly unknown[] as readonly AnyObject[];
  const { spec } = findObject(objects, "Deployment", "pepr-fairlead-watcher") as unknown as {
    spec: { template: { spec: { containers: { env: { name: string; value: string }[] }[] } } };
  };
  const env = spec.template.spec.containers.flatMap((container) => container.env);
  return {
    objects,
    env: Object.fromEntries(
      env
        .filter(({ name }) => name.startsWith("FAIRLEAD_"))
        .map(({ name, value }) => [name, value]),
    ),
  };
}
