import { startCluster, type EmbeddedCluster } from "../../test/cluster";
import { until } from "../../test/cluster/until";
import { Api, type AnyObject } from "../../test/harness/api";
import { startFairlead, type Fairlead } from "../../test/harness/fairlead";
import { namespace, routeConfigMap, service } from "../../test/harness/objects";
import type { PartContext } from "../framework/part";
import { startLoadClient, type LoadClient } from "./load-client";
import { SHOOT_LABELS, startPeer, type Peer, type WebhookServer } from "./peer";
import { podOf } from "./pods";
import { findBenchProgram } from "./programs";

/** Who changes a Pod on its way. `control` is `none` once more: what differs between the two is noise. */
export const VARIANTS = ["none", "control", "fairlead", "peer"] as const;

/** One of `VARIANTS`. */
export type Variant = (typeof VARIANTS)[number];

/** The oldest version in which policies can mutate without a feature gate. */
const KUBERNETES_VERSION = "1.36.3";
const GATEWAY_NAMESPACE = "istio-ingress";
/** A control plane's. */
export const NAMESPACE = "shoot--bench--one";

/** A cluster in which one variant at a time is at work. */
export interface AdmissionStage {
  readonly cluster: EmbeddedCluster;
  readonly api: Api;
  readonly load: LoadClient;
  readonly fairlead: Fairlead;
  /** Both webhooks' servers, to be called without an API server. */
  readonly servers: Readonly<Record<"fairlead" | "peer", WebhookServer>>;
  /** Does something while a variant, and no other, is at work. */
  during<T>(variant: Variant, work: () => Promise<T>): Promise<T>;
  stop(): Promise<void>;
}

/**
 * A webhook's URL, as the API server is to call it. It speaks HTTP/2 to "localhost" and loopback addresses, but never to
 * a Service, which is how webhooks are called in clusters. With the last dot the name is not taken for "localhost".
 * @see https://issue.k8s.io/75791
 */
function urlOf({ port, path }: WebhookServer): string {
  return `https://localhost.:${port}${path}`;
}

const ground: readonly AnyObject[] = [
  namespace(GATEWAY_NAMESPACE),
  service(GATEWAY_NAMESPACE, "istio-ingressgateway-internal"),
  namespace(NAMESPACE, { labels: SHOOT_LABELS }),
  routeConfigMap(NAMESPACE, {
    hosts: "api.one.bench.example.com,api.one.bench.internal.example.com",
    "istio-namespace": GATEWAY_NAMESPACE,
  }),
];

/** fairlead's own configuration, as it was built, with the URL in the stead of its Service. */
async function takeConfiguration(api: Api, server: WebhookServer): Promise<AnyObject> {
  const ref = { kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" } as const;
  const { metadata, ...rest } = await api.get(ref);
  await api.remove(ref);
  const webhooks = (rest as unknown as { webhooks: readonly { clientConfig: object }[] }).webhooks;
  return {
    ...rest,
    metadata: { name: metadata.name ?? "" },
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      clientConfig: { ...webhook.clientConfig, url: urlOf(server) },
    })),
  };
}

/** What each variant needs in the cluster while it is at work. */
type Installations = Readonly<Record<Variant, readonly AnyObject[]>>;

/** Waits until the API server does, or does no more, what is expected with a routed Pod. */
async function untilRouted(api: Api, expected: boolean): Promise<void> {
  await until(
    async () => {
      const { body } = await api.tryToCreate(podOf("routed", NAMESPACE));
      return (body.spec?.hostAliases !== undefined) === expected;
    },
    { what: expected ? "Pods to be routed" : "Pods not to be routed any more", pollMs: 20 },
  );
}

async function during<T>(
  api: Api,
  objects: readonly AnyObject[],
  work: () => Promise<T>,
): Promise<T> {
  await api.createAll(objects);
  try {
    await untilRouted(api, objects.length > 0);
    return await work();
  } finally {
    for (const { kind, metadata } of objects) {
      await api.remove({ kind: kind as "MutatingWebhookConfiguration", name: metadata.name ?? "" });
    }
    await untilRouted(api, false);
  }
}

async function serve(cluster: EmbeddedCluster, { progress }: PartContext) {
  const fairlead = await startFairlead(cluster, { processes: ["admission"] });
  try {
    return { fairlead, peer: await startPeer(cluster, progress) };
  } catch (error) {
    await fairlead.stop();
    throw error;
  }
}

function installations(fairlead: AnyObject, peer: Peer): Installations {
  return { none: [], control: [], fairlead: [fairlead], peer: [peer.configuration(urlOf(peer))] };
}

/** Sets the stage; nothing is left running where that fails. */
export async function setAdmissionStage(context: PartContext): Promise<AdmissionStage> {
  const { progress } = context;
  const load = startLoadClient(await findBenchProgram("load", progress));
  const cluster = await startCluster({
    version: KUBERNETES_VERSION,
    progress,
    // An audit log would be written with each request, whatever the variant.
    apiServerFlags: ["--audit-log-path="],
  });
  const api = new Api(cluster);
  try {
    await api.createAll(ground);
    const { fairlead, peer } = await serve(cluster, context);
    const { port } = fairlead.admission;
    const { caPem } = fairlead;
    const own = { port, caPem, path: new URL(fairlead.webhookUrl).pathname };
    const objects = installations(await takeConfiguration(api, own), peer);
    return {
      cluster,
      api,
      load,
      fairlead,
      servers: { fairlead: own, peer },
      during: async (variant, work) => during(api, objects[variant], work),
      async stop() {
        api.close();
        await load.stop();
        await Promise.all([fairlead.stop(), peer.stop()]);
        await cluster.stop();
      },
    };
  } catch (error) {
    api.close();
    await load.stop();
    await cluster.stop();
    throw error;
  }
}
