import type { Cluster } from "../../test/cluster";
import { nodeNames, storyNamespaces } from "./story";

/** The existing cluster holds what the story would make; the message says what. */
export class ClusterInUseError extends Error {
  override readonly name = "ClusterInUseError";
}

const WEBHOOK = "mutatingwebhookconfigurations/pepr-fairlead";
const DEFINITIONS = ["hostedapiservers.fairlead.dev", "internalgateways.fairlead.dev"];
/** As `kubectl get -o name` prints them. */
const PEPR = [
  "namespace/pepr-system",
  "customresourcedefinition.apiextensions.k8s.io/peprstores.pepr.dev",
];

async function findThese(cluster: Cluster, names: readonly string[]): Promise<readonly string[]> {
  const { exitCode, stdout, stderr } = await cluster.kubectl([
    "get",
    ...names,
    "--ignore-not-found",
    "-o",
    "name",
  ]);
  if (exitCode !== 0) throw new Error(`kubectl get failed: ${stderr.trim()}`);
  return stdout.split("\n").filter((line) => line !== "");
}

/** Takes away what the story made in an existing cluster. */
export interface CleanUp {
  /**
   * Answers what could not be removed.
   * @param ensureWatch Makes sure that fairlead's watch process runs: it takes its finalizers away.
   */
  removeStory(ensureWatch: () => Promise<void>): Promise<readonly string[]>;
  /** After fairlead has ended. */
  removeFairlead(): Promise<readonly string[]>;
}

/**
 * Makes sure that an existing cluster holds nothing of the names that the story uses, and says how to clean up.
 * @throws {ClusterInUseError} when it does.
 */
export async function prepareCleanUp(cluster: Cluster): Promise<CleanUp> {
  const namespaces = storyNamespaces.map((name) => `namespaces/${name}`);
  const definitions = DEFINITIONS.map((name) => `customresourcedefinitions/${name}`);
  const nodes = nodeNames.map((name) => `nodes/${name}`);
  const inUse = await findThese(cluster, [WEBHOOK, ...definitions, ...namespaces, ...nodes]);
  if (inUse.length > 0) {
    throw new ClusterInUseError(
      `This cluster already has ${inUse.join(", ")}: npm start makes these itself and removes them at the end, so it needs a cluster without them.`,
    );
  }
  const foreign = await findThese(cluster, PEPR);
  const remove = async (...args: string[]): Promise<readonly string[]> => {
    const { exitCode, stderr } = await cluster.kubectl([
      "delete",
      "--ignore-not-found",
      "--timeout=60s",
      ...args,
    ]);
    return exitCode === 0 ? [] : [stderr.trim()];
  };
  return {
    async removeStory(ensureWatch) {
      // The webhook goes first: nothing is to be denied while its process ends.
      const problems = [await remove(WEBHOOK)];
      await ensureWatch();
      const defined = await findThese(cluster, definitions);
      if (defined.length === definitions.length) {
        problems.push(await remove("hostedapiservers", "--all-namespaces", "--all"));
        problems.push(await remove("internalgateways", "--all-namespaces", "--all"));
      }
      problems.push(await remove(...namespaces, ...nodes));
      return problems.flat();
    },
    async removeFairlead() {
      return remove(...definitions, ...PEPR.filter((name) => !foreign.includes(name)));
    },
  };
}
