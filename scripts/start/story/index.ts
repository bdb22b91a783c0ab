import type { Figures } from "../figures";
import type { Stage } from "../stage";
import { tellBalancing, type BalancingFigures } from "./balancing";
import { tellClients, type TenantClient } from "./client";
import { tellCredentials } from "./credentials";
import { tellGateway } from "./gateway";
import { tellPods } from "./pods";
import { tellRotation } from "./rotation";
import { tellSecrecy } from "./secrecy";
import { tellServices } from "./services";
import { tellTenants, type Tenants } from "./tenants";

export { nodeNames } from "./gateway";

/** What the story itself measures; the rest is known to whoever set the stage. */
export type StoryFigures = Omit<
  Figures,
  "kubernetesVersion" | "clusterStartMs" | "fairleadStartMs" | "dataPlane" | "claims" | "totalMs"
>;

/** What a story comes to. */
export interface StoryEnd {
  readonly figures: StoryFigures;
  /** The tenants' clients; none without a data plane. */
  readonly clients: readonly TenantClient[];
}

/** Namespaces that the story makes. */
export const storyNamespaces: readonly string[] = [
  "istio-ingress",
  "shoot--demo--one",
  "tenant-a",
  "tenant-b",
];

/** What needs a gateway and API servers that run: the story's heart. */
async function tellHeart(
  stage: Stage,
  tenants: Tenants,
): Promise<Pick<StoryEnd, "clients"> & { readonly figures: Partial<BalancingFigures> }> {
  const { machinery } = stage;
  if (machinery === undefined) return { figures: {}, clients: [] };
  const clients = await tellClients(stage, machinery, tenants);
  return { figures: await tellBalancing(stage, machinery, clients), clients };
}

/**
 * Tells the story, chapter by chapter, on a cluster where fairlead runs.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellStory(stage: Stage): Promise<StoryEnd> {
  const { gatewayServiceMs } = await tellGateway(stage);
  const { figures: ofTenants, ...tenants } = await tellTenants(stage);
  const heart = await tellHeart(stage, tenants);
  await tellCredentials(stage, tenants);
  await tellServices(stage, tenants, ofTenants);
  const pods = await tellPods(stage);
  const rotation = await tellRotation(stage, tenants);
  await tellSecrecy(stage);
  const { admission, watch } = stage.fairlead;
  const figures: StoryFigures = {
    ...heart.figures,
    gatewayServiceMs,
    ...ofTenants,
    ...pods,
    ...rotation,
    admissionMemoryBytes: admission.rssBytes(),
    watchMemoryBytes: watch.rssBytes(),
  };
  return { figures, clients: heart.clients };
}
