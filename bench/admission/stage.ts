import { isDeepStrictEqual } from "node:util";
import { webhookRules } from "../../lib/domain/webhook";
import { startCluster, type EmbeddedCluster } from "../../test/cluster";
import { until } from "../../test/cluster/until";
import { Api, Refusal, type AnyObject } from "../../test/harness/api";
import { startFairlead, type Fairlead } from "../../test/harness/fairlead";
import { ownAddress } from "../../test/harness/own-address";
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
const HOST = "api.one.bench.example.com";
/** By it, each variant is at work in one namespace. */
const VARIANT_LABEL = "bench.fairlead.dev/variant";

/** A control plane's namespace, in which one variant is at work and no other. */
export const namespaceOf = (variant: Variant): string => `shoot--bench--${variant}`;

/** A cluster in which every variant is at work, each in its namespace. */
export interface AdmissionStage {
  readonly cluster: EmbeddedCluster;
  readonly api: Api;
  readonly load: LoadClient;
  readonly fairlead: Fairlead;
  /** Both webhooks' servers, to be called without an API server. */
  readonly servers: Readonly<Record<"fairlead" | "peer", WebhookServer>>;
  stop(): Promise<void>;
}

/**
 * A webhook's URL. At a loopback address an API server would speak HTTP/2, which it never does to a Service, and so not
 * to webhooks in a cluster.
 * @see https://issue.k8s.io/75791
 */
function urlOf({ port, path }: WebhookServer): string {
  return `https://${ownAddress()}:${port}${path}`;
}

const ground: readonly AnyObject[] = [
  namespace(GATEWAY_NAMESPACE),
  service(GATEWAY_NAMESPACE, "istio-ingressgateway-internal"),
  ...VARIANTS.flatMap((variant) => [
    namespace(namespaceOf(variant), { labels: { ...SHOOT_LABELS, [VARIANT_LABEL]: variant } }),
    routeConfigMap(namespaceOf(variant), {
      hosts: `${HOST},api.one.bench.internal.example.com`,
      "istio-namespace": GATEWAY_NAMESPACE,
    }),
  ]),
];

interface NamespaceSelector {
  readonly matchLabels?: Readonly<Record<string, string>>;
  readonly matchExpressions?: readonly object[];
}

/** A namespace selector that asks for a variant's namespace on top. */
function only(variant: Variant, selector: NamespaceSelector): NamespaceSelector {
  return { ...selector, matchLabels: { ...selector.matchLabels, [VARIANT_LABEL]: variant } };
}

interface Webhooks {
  readonly webhooks: readonly { readonly namespaceSelector: NamespaceSelector }[];
}

/** A webhook configuration that is in force in the variant's namespace alone. */
function confinedWebhooks(variant: Variant, configuration: AnyObject): AnyObject {
  const { webhooks } = configuration as unknown as Webhooks;
  return {
    ...configuration,
    webhooks: webhooks.map((webhook) => ({
      ...webhook,
      namespaceSelector: only(variant, webhook.namespaceSelector),
    })),
  };
}

/** A webhook configuration with the rules that fairlead's watch process keeps there. */
function withRules(configuration: AnyObject): AnyObject {
  const { webhooks } = configuration as unknown as Webhooks;
  const kept = webhooks.map((webhook) => ({ ...webhook, ...webhookRules() }));
  return { ...configuration, webhooks: kept };
}

/** A policy that is in force in its variant's namespace alone; a binding as it is. */
function confinedPolicy(object: AnyObject): AnyObject {
  const { spec } = object;
  const constraints = spec?.matchConstraints as
    | { readonly namespaceSelector: NamespaceSelector }
    | undefined;
  if (constraints === undefined) return object;
  const namespaceSelector = only("policies", constraints.namespaceSelector);
  return { ...object, spec: { ...spec, matchConstraints: { ...constraints, namespaceSelector } } };
}

/** A Pod that fairlead warns of. */
function aliasedPod(at: string): AnyObject {
  const pod = podOf("routed", at);
  const hostAliases = [{ ip: "192.0.2.1", hostnames: [HOST] }];
  return { ...pod, spec: { ...pod.spec, hostAliases } };
}

/** What the API server is seen to do with routed Pods. */
interface Conduct {
  readonly routes: boolean;
  /** Of a Pod that has a host of the route aliased elsewhere. */
  readonly warns: boolean;
}

const conducts: Readonly<Record<Variant, Conduct>> = {
  none: { routes: false, warns: false },
  control: { routes: false, warns: false },
  fairlead: { routes: true, warns: true },
  peer: { routes: true, warns: false },
  policies: { routes: true, warns: true },
};

/** Undefined where it refuses them: it has heard of a policy that looks at what another one did, and not of that one. */
async function conductOf(api: Api, at: string): Promise<Conduct | undefined> {
  try {
    const { body } = await api.tryToCreate(podOf("routed", at));
    const { warnings } = await api.tryToCreate(aliasedPod(at));
    return { routes: body.spec?.hostAliases !== undefined, warns: warnings.length > 0 };
  } catch (error) {
    if (error instanceof Refusal && error.code === 403) return undefined;
    throw error;
  }
}

/** Waits until the API server does with Pods what it is to do. It hears of each object after it was written. */
async function untilInForce(api: Api): Promise<void> {
  for (const variant of VARIANTS) {
    const expected = conducts[variant];
    await until(
      async () => isDeepStrictEqual(await conductOf(api, namespaceOf(variant)), expected),
      { what: `the API server to do with Pods of ${variant} ${JSON.stringify(expected)}` },
    );
  }
}

async function serve(cluster: EmbeddedCluster, { progress }: PartContext) {
  const fairlead = await startFairlead(cluster, { host: ownAddress(), processes: ["admission"] });
  try {
    return { fairlead, peer: await startPeer(cluster, progress) };
  } catch (error) {
    await fairlead.stop();
    throw error;
  }
}

/** Puts every variant to work in its namespace. */
async function install(api: Api, peer: Peer): Promise<void> {
  // It is there as Pepr built it, with the URL in the stead of its Service.
  const own = await api.get({ kind: "MutatingWebhookConfiguration", name: "pepr-fairlead" });
  await api.replace(confinedWebhooks("fairlead", withRules(own)));
  await api.create(confinedWebhooks("peer", peer.configuration(urlOf(peer))));
  await api.createAll(await parametersOf(api, namespaceOf("policies")));
  await api.createAll(policies.map(confinedPolicy));
  await untilInForce(api);
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
  const ends: (() => Promise<void>)[] = [async () => load.stop(), async () => cluster.stop()];
  const stop = async (): Promise<void> => {
    api.close();
    for (const end of ends) await end();
  };
  try {
    await api.createAll(ground);
    const { fairlead, peer } = await serve(cluster, context);
    ends.unshift(
      async () => fairlead.stop(),
      async () => peer.stop(),
    );
    await install(api, peer);
    const { admission, caPem, webhookUrl } = fairlead;
    const own = { port: admission.port, caPem, path: new URL(webhookUrl).pathname };
    return { cluster, api, load, fairlead, servers: { fairlead: own, peer }, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
