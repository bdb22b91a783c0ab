import type { HostedAPIServer } from "../../../lib/api";
import { conditionRows, conditionsHead, findCondition, findStatus } from "../conditions";
import { hostOf, tenantNames, type TenantName } from "../data-plane";
import type { Figures } from "../figures";
import { isReady } from "../hosted-api-servers";
import { StoryError } from "../narrator";
import { coreRef, serviceManifest, type Service } from "../objects";
import { watchFor, type Sighting } from "../sightings";
import { kubectl, listOf, mustKubectl, type Stage } from "../stage";
import {
  createTenantKeys,
  fullSources,
  kubeconfigSecret,
  privateKeysOf,
  readyMadeSources,
  type TenantKeys,
} from "../tenant-keys";

/** What later chapters know of the tenants. */
export interface Tenants {
  readonly a: TenantKeys;
  readonly b: TenantKeys;
  /** As they were once they had come to rest, in the order of the tenants. */
  readonly servers: readonly HostedAPIServer[];
  /** Services as they were before there was a HostedAPIServer, and as they are now. */
  readonly etcd: { readonly before: Service; readonly after: Service };
}

type TenantFigures = Pick<Figures, "credentialsSyncedMs" | "readyMs" | "serviceInLineMs">;

/** Where a tenant's API servers are without a gateway. */
export const directServer = (tenant: string): string => `https://kube-apiserver.${tenant}.svc`;

const namespaceManifest = (name: string): object => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: { name },
});

async function makeControlPlanes(stage: Stage): Promise<Pick<Tenants, "a" | "b">> {
  const { machinery } = stage;
  const keysOf = async (tenant: TenantName): Promise<TenantKeys> =>
    createTenantKeys(tenant, hostOf(tenant), machinery?.hosted[tenant].keys);
  const [a, b] = await Promise.all([keysOf("tenant-a"), keysOf("tenant-b")]);
  stage.privateKeys.push(...privateKeysOf(a), ...privateKeysOf(b));
  await mustKubectl(
    stage,
    ["apply", "--server-side", "-f", "-"],
    listOf([
      ...tenantNames.map(namespaceManifest),
      ...fullSources("tenant-a", a),
      ...readyMadeSources("tenant-b", b),
      kubeconfigSecret("tenant-a", a, directServer("tenant-a")),
      // With a data plane, the API servers' own is there.
      ...(machinery === undefined
        ? tenantNames.map((namespace) => serviceManifest(namespace, "kube-apiserver", 443))
        : []),
      serviceManifest("tenant-a", "etcd-main-client", 2379),
    ]),
  );
  return { a, b };
}

async function readService(stage: Stage, name: string): Promise<Service | undefined> {
  return stage.client.get<Service>(coreRef("Service", "tenant-a", name));
}

interface Outcome {
  readonly servers: readonly HostedAPIServer[];
  readonly etcd: Service;
  readonly figures: TenantFigures;
}

/** Applies the examples and answers what came of them, with times as watches see them. */
async function applyExamples(stage: Stage): Promise<Outcome> {
  const apiVersion = "fairlead.dev/v1alpha1";
  const servers = await watchFor<HostedAPIServer>(stage, { apiVersion, kind: "HostedAPIServer" });
  const services = await watchFor<Service>(stage, {
    apiVersion: "v1",
    kind: "Service",
    namespace: "tenant-a",
  });
  try {
    for (const file of ["", "-ready-made-client"]) {
      await kubectl(stage, ["apply", "-f", `examples/hosted-api-server${file}.yaml`]);
    }
    const appliedMs = async (name: string): Promise<number> => {
      const isIt = ({ metadata }: HostedAPIServer): boolean => metadata.name === name;
      return (await servers.first(`HostedAPIServer ${name} exists`, isIt)).atMs;
    };
    const firstOf = async (what: string, isIt: (hapi: HostedAPIServer) => boolean) =>
      Promise.all(
        tenantNames.map(async (name) =>
          servers.first(`HostedAPIServer ${name} ${what}`, (hapi) => {
            return hapi.metadata.name === name && isIt(hapi);
          }),
        ),
      );
    const synced = await firstOf("has its credentials synced", (hapi) => {
      return findStatus(hapi, "CredentialsSynced") === "True";
    });
    const settled =
      stage.machinery === undefined
        ? await firstOf("has all its conditions", hasAllConditions)
        : await firstOf("is Ready", isReady);
    const etcd = await services.first(
      "Service etcd-main-client is brought in line",
      ({ metadata, spec }) =>
        metadata.name === "etcd-main-client" && spec.trafficDistribution !== undefined,
    );
    const since = async (all: readonly Sighting<HostedAPIServer>[]) =>
      Object.fromEntries(
        await Promise.all(
          all.map(async ({ object, atMs }): Promise<[string, number]> => {
            const { name } = object.metadata;
            return [name, atMs - (await appliedMs(name))];
          }),
        ),
      );
    return {
      servers: settled.map(({ object }) => object),
      etcd: etcd.object,
      figures: {
        credentialsSyncedMs: await since(synced),
        ...(stage.machinery === undefined ? {} : { readyMs: await since(settled) }),
        serviceInLineMs: Math.max(0, etcd.atMs - (await appliedMs("tenant-a"))),
      },
    };
  } finally {
    servers.stop();
    services.stop();
  }
}

/** Whether all conditions are there that the story shows, and the one that follows from the others has done so. */
function hasAllConditions(hapi: HostedAPIServer): boolean {
  const programmed = findCondition(hapi, "Programmed");
  return (
    findStatus(hapi, "Accepted") === "True" &&
    findStatus(hapi, "CredentialsSynced") === "True" &&
    findStatus(hapi, "TopologyAware") !== undefined &&
    programmed !== undefined &&
    findCondition(hapi, "Ready")?.message.includes(programmed.message) === true
  );
}

function tellStatus({ tell, machinery }: Stage, servers: readonly HostedAPIServer[]): void {
  const [first] = servers;
  if (first === undefined) throw new StoryError("There is no HostedAPIServer.");
  tell.text(`Conditions of HostedAPIServer ${first.metadata.name}:`);
  tell.table(conditionsHead, conditionRows(first));
  const own = ["Accepted", "ResolvedRefs", "CredentialsSynced"];
  const expected = machinery === undefined ? own : [...own, "Programmed", "Ready"];
  tell.claim(
    `${tenantNames.join(" and ")}: ${expected.join(", ")} are True`,
    servers.every((hapi) => expected.every((type) => findStatus(hapi, type) === "True")),
  );
  if (machinery !== undefined) return;
  tell.text("Programmed, and so Ready, are False: no gateway runs here that could serve them.");
}

/**
 * The control planes' side: two tenants ask for the gateway, and get it.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellTenants(stage: Stage): Promise<Tenants & { figures: TenantFigures }> {
  const { tell } = stage;
  tell.chapter("Control planes ask for it");
  tell.text(
    "Namespaces tenant-a and tenant-b, with Services as a control plane has them, and Secrets and ConfigMaps",
    "with certificates that were made a moment ago.",
  );
  const keys = await makeControlPlanes(stage);
  const before = await readService(stage, "etcd-main-client");
  const { servers, etcd, figures } = await applyExamples(stage);
  tellStatus(stage, servers);
  return { ...keys, servers, etcd: { before: before ?? etcd, after: etcd }, figures };
}
