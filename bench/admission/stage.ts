import { startCluster, type EmbeddedCluster } from "../../test/cluster";
import { until } from "../../test/cluster/until";
import { Api, refOf, type AnyObject } from "../../test/harness/api";
import { startFairlead, type Fairlead } from "../../test/harness/fairlead";
import { namespace, routeConfigMap, service } from "../../test/harness/objects";
import type { PartContext } from "../framework/part";
import { startLoadClient, type LoadClient } from "./load-client";
import { SHOOT_LABELS, startPeer, type Peer, type WebhookServer } from "./peer";
import { podOf } from "./pods";
import { parametersOf, policies } from "./policies";
import { findBenchProgram } from "./programs";

/** Who changes a Pod on its way; the policies are fairlead's. `control` is `none` once more: what differs between the two is noise. */
export const VARIANTS = ["none", "control", "fairlead", "peer", "policies"] as const;

/** One of `VARIANTS`. */
export type Variant = (typeof VARIANTS)[number];

/** The oldest version in which policies can mutate without a feature gate. */
const KUBERNETES_VERSION = "1.36.3";
const GATEWAY_NAMESPACE = "istio-ingress";
/** A control plane's. */
export const NAMESPACE = "shoot--bench--one";

const HOST = "api.one.bench.example.com";

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
    hosts: `${HOST},api.one.bench.internal.example.com`,
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

/** What a variant needs in the cluster while it is at work. */
interface Installation {
  /** Removed in the reverse order. */
  readonly objects: readonly AnyObject[];
  /** Whether it warns of a Pod that has a host of the route aliased elsewhere, as fairlead does. */
  readonly warns: boolean;
}

/** A Pod that fairlead warns of. */
function aliasedPod(): AnyObject {
  const pod = podOf("routed", NAMESPACE);
  const hostAliases = [{ ip: "192.0.2.1", hostnames: [HOST] }];
  return { ...pod, spec: { ...pod.spec, hostAliases } };
}

/** Waits until the API server does with Pods what it is to do. It hears of each object after it was written. */
async function untilInForce(
  api: Api,
  expected: { readonly routes: boolean; readonly warns: boolean },
): Promise<void> {
  await until(
    async () => {
      const { body } = await api.tryToCreate(podOf("routed", NAMESPACE));
      if ((body.spec?.hostAliases !== undefined) !== expected.routes) return false;
      const { warnings } = await api.tryToCreate(aliasedPod());
      return warnings.length > 0 === expected.warns;
    },
    { what: `Pods to be routed (${String(expected.routes)})`, pollMs: 20 },
  );
}

async function during<T>(
  api: Api,
  { objects, warns }: Installation,
  work: () => Promise<T>,
): Promise<T> {
  await api.createAll(objects);
  try {
    await untilInForce(api, { routes: objects.length > 0, warns });
    return await work();
  } finally {
    for (const object of [...objects].reverse()) await api.remove(refOf(object));
    await untilInForce(api, { routes: false, warns: false });
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

function installations(fairlead: AnyObject, peer: Peer): Readonly<Record<Variant, Installation>> {
  const nothing = { objects: [], warns: false };
  return {
    none: nothing,
    control: nothing,
    fairlead: { objects: [fairlead], warns: true },
    peer: { objects: [peer.configuration(urlOf(peer))], warns: false },
    policies: { objects: policies, warns: true },
  };
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
    await api.createAll(await parametersOf(api, NAMESPACE));
    const variants = installations(await takeConfiguration(api, own), peer);
    return {
      cluster,
      api,
      load,
      fairlead,
      servers: { fairlead: own, peer },
      during: async (variant, work) => during(api, variants[variant], work),
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
