import { StoryError } from "../narrator";
import { formatDuration, type Figures } from "../figures";
import { coreRef, serviceManifest, type Service } from "../objects";
import { kubectl, until, type Stage } from "../stage";
import type { Tenants } from "./tenants";

/**
 * What trafficDistribution is to be on a cluster.
 * @param version "1.34.4", for example.
 * @throws {StoryError} where fairlead sets nothing.
 */
export function expectedDistribution(version: string): "PreferClose" | "PreferSameZone" {
  const minor = Number(/^1\.(\d+)/.exec(version)?.[1]);
  if (minor >= 34) return "PreferSameZone";
  if (minor >= 31) return "PreferClose";
  throw new StoryError(`Kubernetes ${version} is too old to show Services: 1.31 or later, please.`);
}

/** The part of a Service that the story shows. */
function shown({ metadata, spec }: Service): object {
  const { name, annotations = {} } = metadata;
  const { trafficDistribution } = spec;
  const own = Object.entries(annotations).filter(([key]) => key.startsWith("fairlead.dev/"));
  return {
    metadata: {
      name,
      ...(own.length === 0 ? {} : { annotations: Object.fromEntries(own) }),
    },
    spec: {
      ports: (spec.ports ?? []).map(({ port }) => ({ port })),
      ...(trafficDistribution === undefined ? {} : { trafficDistribution }),
    },
  };
}

/**
 * Services: existing ones are brought in line, new ones come out right, the API server's own is left alone in L7.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellServices(
  stage: Stage,
  tenants: Tenants,
  { serviceInLineMs }: Pick<Figures, "serviceInLineMs">,
): Promise<void> {
  const { tell, client, cluster } = stage;
  const value = expectedDistribution(cluster.version);
  const hasValue = ({ spec }: Service): boolean => spec.trafficDistribution === value;
  tell.chapter("Services prefer the client's zone");
  const { before, after } = tenants.etcd;
  tell.change(
    "Service tenant-a/etcd-main-client, which was there first (written by the watch process):",
    shown(before),
    shown(after),
  );
  tell.claim(
    `it got ${value}, as Kubernetes ${cluster.version} calls it, ${formatDuration(serviceInLineMs)} after the HostedAPIServer`,
    hasValue(after),
    `it has ${after.spec.trafficDistribution ?? "nothing"}`,
  );
  const sent = serviceManifest("tenant-a", "vpa-webhook", 443) as Service;
  const stored = JSON.parse(
    await kubectl(stage, ["create", "-o", "json", "-f", "-"], sent),
  ) as Service;
  tell.change(
    "Service tenant-a/vpa-webhook, as it was sent and as the API server answered (by admission):",
    shown(sent),
    shown(stored),
  );
  tell.claim("a new Service comes out right at once", hasValue(stored));

  const own = await client.get<Service>(coreRef("Service", "tenant-a", "kube-apiserver"));
  tell.claim(
    "tenant-a's kube-apiserver is left alone: in L7 the gateway balances requests over all zones",
    own !== undefined && own.spec.trafficDistribution === undefined,
  );
}

/**
 * Waits until a tenant's own kube-apiserver Service prefers the client's zone, or no longer does so.
 * @throws {StoryError} when it does not come about.
 */
export async function untilDistribution(
  stage: Stage,
  tenant: string,
  wanted: "set" | "unset",
): Promise<void> {
  const value = wanted === "set" ? expectedDistribution(stage.cluster.version) : undefined;
  const words = wanted === "set" ? `has ${value ?? ""}` : "has no trafficDistribution";
  await until(stage, `${tenant}'s kube-apiserver ${words}`, async () => {
    const found = await stage.client.get<Service>(coreRef("Service", tenant, "kube-apiserver"));
    return found !== undefined && found.spec.trafficDistribution === value ? found : undefined;
  });
}
