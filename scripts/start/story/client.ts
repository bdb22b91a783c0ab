import type { KubernetesObject } from "../../../lib/api";
import type { Client } from "../../../test/cluster";
import { hostOf, tenantNames, zoneOf, type Machinery, type TenantName } from "../data-plane";
import { StoryError } from "../narrator";
import { coreRef, GENERIC_KUBECONFIG, podManifest, type Pod, type Secret } from "../objects";
import { aliasLines, shownPod } from "../pods";
import { kubectl, mustKubectl, tryKubectl, until, type Stage } from "../stage";
import type { Mode } from "../spread/spread";
import { serverOfKubeconfig, type TenantKeys } from "../tenant-keys";
import { directServer, type Tenants } from "./tenants";

/** A Pod that uses a tenant's API server, as its programs see the world. */
export interface TenantClient {
  readonly tenant: TenantName;
  readonly client: Client;
  /** CAs that it trusts (PEM): of what the gateway serves, and of the API servers' own certificate. */
  readonly caPem: string;
  /** Of a user of the hosted cluster, with a client certificate. */
  readonly kubeconfigPath: string;
}

/** Who the client is. */
const USER = { name: "jane", groups: ["developers", "on-call"] };
const POD = "controller";
const ROUTE = "istio-internal-load-balancing";

interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

interface UserInfo {
  readonly username: string;
  readonly groups: readonly string[];
}

function manifestOf(tenant: TenantName): Pod {
  const manifest = podManifest(tenant, POD);
  return { ...manifest, spec: { ...manifest.spec, nodeName: `node-${zoneOf[tenant]}` } };
}

/** Waits until the admission process has seen the route; a dry run leaves nothing behind. */
async function untilRouted(stage: Stage, manifest: Pod): Promise<void> {
  await until(stage, `Pods of ${manifest.metadata.namespace ?? ""} are routed`, async () => {
    const args = ["create", "--dry-run=server", "-o", "json", "-f", "-"];
    const { succeeded, stdout } = await tryKubectl(stage, args, manifest);
    return succeeded && aliasLines(JSON.parse(stdout) as Pod).length > 0 ? true : undefined;
  });
}

/** Creates a Pod for the admission to look at; what comes back is how it is stored. */
async function createPod(stage: Stage, tenant: TenantName): Promise<Pod> {
  const manifest = manifestOf(tenant);
  await untilRouted(stage, manifest);
  const run = tenant === "tenant-a" ? kubectl : mustKubectl;
  const stored = JSON.parse(await run(stage, ["create", "-o", "json", "-f", "-"], manifest)) as Pod;
  if (tenant !== "tenant-a") return stored;
  stage.tell.change(
    `Pod ${tenant}/${POD}, as it was sent and as it is stored:`,
    shownPod(manifest),
    shownPod(stored),
  );
  return stored;
}

async function addClient(
  stage: Stage,
  { plane, hosted }: Machinery,
  { tenant, keys }: { readonly tenant: TenantName; readonly keys: TenantKeys },
): Promise<TenantClient> {
  const { spec } = await createPod(stage, tenant);
  const { hostAliases = [] } = spec;
  const client = await plane.addClient({
    name: `${tenant}-${POD}`,
    zone: zoneOf[tenant],
    hostAliases: hostAliases.map(({ ip, hostnames }) => ({ ip, hostnames: [...hostnames] })),
  });
  const caPem = `${keys.publicCA.certificatePem}${keys.serverCA.certificatePem}`;
  const server = `https://${hostOf(tenant)}`;
  const kubeconfigPath = await hosted[tenant].kubeconfigFor(USER, { server, caPem });
  return { tenant, client, caPem, kubeconfigPath };
}

/** Runs a command in the client's Pod, shown as its own. */
async function runInside(
  { tell }: Stage,
  { tenant, client }: TenantClient,
  command: { readonly shown: string; readonly args: readonly string[] },
): Promise<string> {
  tell.line(`   ${tell.style.dim(`${tenant}/${POD} $`)} ${tell.style.bold(command.shown)}`);
  const { exitCode, stdout, stderr } = await client.run(command.args);
  if (exitCode !== 0) throw new StoryError(`${command.shown} failed in the Pod: ${stderr.trim()}`);
  return stdout;
}

async function tellInside(
  stage: Stage,
  { hosted }: Machinery,
  inside: TenantClient,
): Promise<void> {
  const { tell } = stage;
  const host = hostOf(inside.tenant);
  const hosts = await runInside(stage, inside, {
    shown: `grep ${host} /etc/hosts`,
    args: ["grep", host, "/etc/hosts"],
  });
  for (const line of hosts.trim().split("\n")) tell.text(line);
  const json = await runInside(stage, inside, {
    shown: "kubectl auth whoami",
    args: [
      hosted[inside.tenant].kubectlPath,
      "--kubeconfig",
      inside.kubeconfigPath,
      ...["auth", "whoami", "-o", "json"],
    ],
  });
  const { username, groups } = (JSON.parse(json) as { status: { userInfo: UserInfo } }).status
    .userInfo;
  tell.text(`${username}, in ${groups.join(", ")}`);
  tell.claim(
    "the API server knows the client by its certificate, though it is the gateway that has seen that",
    username === USER.name && groups.join() === [...USER.groups, "system:authenticated"].join(),
    `it knows ${username} in ${groups.join(", ")}`,
  );
}

/** Waits for the route ConfigMap that fairlead writes once the gateway was seen to serve a host. */
async function untilRoute(stage: Stage, tenant: TenantName): Promise<ConfigMap> {
  return until(stage, `${tenant} has its route ConfigMap`, async () =>
    stage.client.get<ConfigMap>(coreRef("ConfigMap", tenant, ROUTE)),
  );
}

/**
 * Where tenant-a's generic kubeconfig leads: by the gateway in L7, directly to the API servers in L4.
 * @throws {StoryError} when it stays as it was.
 */
export async function tellKubeconfig(stage: Stage, mode: Mode): Promise<void> {
  const expected = mode === "L7" ? `https://${hostOf("tenant-a")}` : directServer("tenant-a");
  const name = `tenant-a/${GENERIC_KUBECONFIG}`;
  await until(stage, `kubeconfig ${name} leads to ${expected}`, async () => {
    const ref = coreRef("Secret", "tenant-a", GENERIC_KUBECONFIG);
    const { kubeconfig = "" } = (await stage.client.get<Secret>(ref))?.data ?? {};
    const text = Buffer.from(kubeconfig, "base64").toString("utf8");
    return serverOfKubeconfig(text) === expected ? true : undefined;
  });
  stage.tell.claim(`fairlead keeps kubeconfig ${name}, which leads to ${expected} now`, true);
}

/**
 * A Pod in each tenant's namespace, and what it sees.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellClients(
  stage: Stage,
  machinery: Machinery,
  tenants: Tenants,
): Promise<readonly TenantClient[]> {
  const { tell } = stage;
  tell.chapter("Clients find the gateway");
  const routes = await Promise.all(tenantNames.map(async (tenant) => untilRoute(stage, tenant)));
  const [data = {}] = routes.map((route) => route.data);
  tell.claim(
    `fairlead has seen both hosts served, and written ConfigMap ${ROUTE}: ${data.hosts ?? ""} is at ${data.addresses ?? ""}`,
    data.hosts === hostOf("tenant-a") && (data.addresses ?? "") !== "",
  );
  await tellKubeconfig(stage, "L7");
  const keys = { "tenant-a": tenants.a, "tenant-b": tenants.b };
  const clients: TenantClient[] = [];
  for (const tenant of tenantNames) {
    clients.push(await addClient(stage, machinery, { tenant, keys: keys[tenant] }));
  }
  const [first] = clients;
  if (first === undefined) throw new StoryError("There is no client.");
  await tellInside(stage, machinery, first);
  return clients;
}
