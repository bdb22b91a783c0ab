import type { Figures } from "../figures";
import type { Stage } from "../stage";
import { tellGateway } from "./gateway";
import { tellPods } from "./pods";
import { tellRotation } from "./rotation";
import { tellSecrecy } from "./secrecy";
import { tellServices } from "./services";
import { tellTenants } from "./tenants";

export { nodeNames } from "./gateway";

/** What the story itself measures; the rest is known to whoever set the stage. */
export type StoryFigures = Omit<
  Figures,
  "kubernetesVersion" | "clusterStartMs" | "fairleadStartMs" | "claims" | "totalMs"
>;

/** Namespaces that the story makes. */
export const storyNamespaces: readonly string[] = [
  "istio-ingress",
  "shoot--demo--one",
  "tenant-a",
  "tenant-b",
  "tenant-c",
];

/**
 * Tells the story, chapter by chapter, on a cluster where fairlead runs.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellStory(stage: Stage): Promise<StoryFigures> {
  const { addresses, gatewayServiceMs } = await tellGateway(stage);
  const { figures: ofTenants, ...tenants } = await tellTenants(stage);
  await tellServices(stage, tenants, ofTenants);
  const pods = await tellPods(stage, { addresses });
  const rotation = await tellRotation(stage, tenants);
  await tellSecrecy(stage);
  const { admission, watch } = stage.fairlead;
  return {
    gatewayServiceMs,
    ...ofTenants,
    ...pods,
    ...rotation,
    admissionMemoryBytes: admission.rssBytes(),
    watchMemoryBytes: watch.rssBytes(),
  };
}
