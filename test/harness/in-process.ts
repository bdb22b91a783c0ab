import { KubeConfig } from "@kubernetes/client-node";
import { credentialsController } from "../../capabilities/credentials";
import { exposureController, openExposureCaches } from "../../capabilities/exposure";
import { statusController } from "../../capabilities/status";
import { customResourceDefinitions } from "../../lib/api";
import {
  Connection,
  createEventRecorder,
  installDefinitions,
  KubernetesClient,
  openWatchCaches,
  silentLogger,
  type Clock,
} from "../../lib/cluster";
import packageJson from "../../package.json";

/** fairlead's controllers in this process. */
export interface InProcess {
  stop(): void;
}

/** What the controllers run with. */
export interface InProcessOptions {
  readonly kubeconfigPath: string;
  readonly clock: Clock;
  readonly drainMs: number;
}

/** Connects to an API server, and installs the CustomResourceDefinitions. */
export async function connectInProcess({ kubeconfigPath, clock }: InProcessOptions) {
  const config = new KubeConfig();
  config.loadFromFile(kubeconfigPath);
  const client = new KubernetesClient(new Connection(config));
  const cluster = { client, clock, log: silentLogger };
  await installDefinitions({ ...cluster, version: packageJson.version }, customResourceDefinitions);
  return cluster;
}

/**
 * Runs the controllers of credentials, exposure and status, connected as the watch process connects them, but on the
 * clock that is given: the built module has the machine's.
 */
export async function startInProcess(options: InProcessOptions): Promise<InProcess> {
  const cluster = await connectInProcess(options);
  const caches = openWatchCaches(cluster);
  await Promise.all(
    Object.values(caches).map(async ({ synced }: { synced: Promise<void> }) => synced),
  );
  const exposureCaches = openExposureCaches(cluster, caches);
  await Promise.all([
    exposureCaches.istio.known,
    exposureCaches.networkPolicies.synced,
    exposureCaches.routeConfigMaps.synced,
  ]);
  const events = createEventRecorder(cluster);
  const exposure = exposureController({
    ...cluster,
    caches: exposureCaches,
    events,
    clusterDomain: "cluster.local",
  });
  statusController({ ...cluster, caches });
  const credentials = credentialsController({
    ...cluster,
    caches,
    events,
    references: exposure.references,
    settings: { drainMs: options.drainMs, graceMs: 1_000 },
  });
  await credentials.start();
  return {
    stop() {
      credentials.stop();
      exposure.gateways.stop();
      exposure.servers.stop();
      for (const cache of Object.values(caches) as readonly { stop(): void }[]) cache.stop();
    },
  };
}
