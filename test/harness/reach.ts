import { readFileSync, writeFileSync } from "node:fs";
import type { EmbeddedCluster } from "../cluster";

/** The same cluster, whose new users reach it at other URLs, through a proxy say. */
export function reachedAt(
  cluster: EmbeddedCluster,
  urlFor: (userName: string) => string | Promise<string>,
): EmbeddedCluster {
  return {
    ...cluster,
    async kubeconfigFor(user) {
      const path = await cluster.kubeconfigFor(user);
      const url = await urlFor(user.name);
      const text = readFileSync(path, "utf8").replaceAll(cluster.apiServer.url, url);
      writeFileSync(path, text, { mode: 0o600 });
      return path;
    },
  };
}
