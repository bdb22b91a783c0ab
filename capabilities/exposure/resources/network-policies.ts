import type {
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  ObjectMeta,
} from "../../../lib/api";
import { intersect, isWithin } from "../../../lib/domain/label-selectors";
import { INTERNAL_SERVICE, LABEL_NAMESPACE_NAME, isManaged } from "../../../lib/domain/names";
import {
  NETWORK_POLICY_ALLOWED,
  networkPolicyLabel,
} from "../../../lib/domain/network-policy-label";
import { marks, serviceOf, targetPortOf } from "./exposure";
import { objectName, shortHash } from "./names";
import { tunnelPortsOf } from "./tunnel/names";

/** What is looked at of the Service of a hosted API server. */
export interface APIServerService extends KubernetesObject {
  readonly spec: {
    readonly selector?: Readonly<Record<string, string>> | null;
    readonly ports?:
      | readonly { readonly port: number; readonly targetPort?: number | string }[]
      | null;
  };
}

/** The policies to have, or why there are none. */
export type PlannedPolicies =
  | { readonly kind: "policies"; readonly policies: readonly NetworkPolicy[] }
  | {
      readonly kind: "none";
      /**
       * Never: the gateway's owner wants none. NotIsolated: nothing else isolates these Pods. NoSelector: the Service
       * does not say which Pods are API servers. NoSuchPort: the Service does not have the port.
       */
      readonly reason: "Never" | "NotIsolated" | "NoSelector" | "NoSuchPort";
    };

/** What a hosted API server's policies depend on. */
export interface ObservedPolicies {
  readonly server: HostedAPIServer;
  readonly gateway: InternalGateway;
  /** Undefined where it does not exist. */
  readonly service: APIServerService | undefined;
  /** All NetworkPolicies of the control-plane namespace and of the gateway's; fairlead's own do not count. */
  readonly policies: readonly NetworkPolicy[];
}

type Direction = "Ingress" | "Egress";

/** A connection that must pass, seen from one of its ends. */
interface Passage {
  /** The end of the policy's name: what the policy is for. */
  readonly purpose: string;
  readonly namespace: string;
  readonly direction: Direction;
  /** The Pods at this end. */
  readonly pods: LabelSelector;
  /** The other end; undefined: whoever it is. */
  readonly peer: NetworkPolicyPeer | undefined;
  readonly port: NetworkPolicyPort;
}

/** Whose policies they are: what their names begin with, and their labels. */
interface Maker {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** @see https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/ policyTypes */
function isolates({ spec }: NetworkPolicy, direction: Direction): boolean {
  const types = spec.policyTypes ?? [];
  if (types.length > 0) return types.includes(direction);
  return direction === "Ingress" || (spec.egress ?? []).length > 0;
}

interface Isolation {
  /** Pods of the passage that are isolated already. */
  readonly pods: LabelSelector;
  readonly by: NetworkPolicy;
}

function isolationsOf(passage: Passage, policies: readonly NetworkPolicy[]): readonly Isolation[] {
  return policies
    .filter((policy) => !isManaged(policy))
    .filter(({ metadata }) => metadata.namespace === passage.namespace)
    .filter((policy) => isolates(policy, passage.direction))
    .flatMap((by) => {
      const pods = intersect(by.spec.podSelector ?? {}, passage.pods);
      return pods === undefined ? [] : [{ pods, by }];
    });
}

function byName(a: KubernetesObject, b: KubernetesObject): number {
  return a.metadata.name < b.metadata.name ? -1 : 1;
}

function toPolicy(passage: Passage, maker: Maker, isolations: readonly Isolation[]): NetworkPolicy {
  const [first] = isolations;
  const podSelector = first?.pods ?? {};
  const ports = [passage.port];
  const peers = passage.peer === undefined ? undefined : [passage.peer];
  const rule =
    passage.direction === "Ingress"
      ? { ingress: [{ ...(peers === undefined ? {} : { from: peers }), ports }] }
      : { egress: [{ ...(peers === undefined ? {} : { to: peers }), ports }] };
  const metadata: ObjectMeta = {
    name: objectName(maker.name, passage.purpose, shortHash(JSON.stringify(podSelector))),
    namespace: passage.namespace,
    labels: maker.labels,
    // Not the Namespace: should the policies go that isolate these Pods, ours would be the one that cuts them off. The
    // garbage collector takes it when all of them are gone, even while fairlead does not run.
    ownerReferences: isolations
      .map(({ by }) => by)
      .sort(byName)
      .map(({ metadata: { name, uid = "" } }) => ({
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        name,
        uid,
      })),
  };
  return {
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata,
    spec: { podSelector, policyTypes: [passage.direction], ...rule },
  };
}

/**
 * Policies for a passage, which select only Pods that another policy isolates already: each takes the selector of that
 * policy and narrows it. Where one of those selectors is within another's, the wider one is enough.
 */
function policiesOf(
  passage: Passage,
  maker: Maker,
  policies: readonly NetworkPolicy[],
): readonly NetworkPolicy[] {
  const groups = new Map<string, Isolation[]>();
  for (const isolation of isolationsOf(passage, policies)) {
    const key = JSON.stringify(isolation.pods);
    groups.set(key, [...(groups.get(key) ?? []), isolation]);
  }
  const all = [...groups.values()];
  const widest = all.filter(
    ([mine]) =>
      !all.some(
        ([other]) =>
          mine !== undefined &&
          other !== undefined &&
          other !== mine &&
          isWithin(mine.pods, other.pods),
      ),
  );
  return widest.map((isolations) => toPolicy(passage, maker, isolations));
}

function plannedOf(policies: readonly NetworkPolicy[]): PlannedPolicies {
  if (policies.length === 0) return { kind: "none", reason: "NotIsolated" };
  const keyOf = ({ metadata }: NetworkPolicy): string =>
    `${metadata.namespace ?? ""}/${metadata.name}`;
  return {
    kind: "policies",
    policies: [...policies].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
  };
}

const inNamespace = (name: string): LabelSelector => ({
  matchLabels: { [LABEL_NAMESPACE_NAME]: name },
});

const tcp = (port: number | string): NetworkPolicyPort => ({ protocol: "TCP", port });

const gatewayPods = (gateway: InternalGateway): LabelSelector => ({
  matchLabels: gateway.spec.selector,
});

/** Pods that admission routes carry this label, in their own namespace. */
function routedPods(gateway: InternalGateway): LabelSelector {
  const label = networkPolicyLabel({
    namespace: gateway.metadata.namespace ?? "",
    service: gateway.spec.serviceName ?? INTERNAL_SERVICE,
    port: targetPortOf(gateway),
  });
  return { matchLabels: { [label]: NETWORK_POLICY_ALLOWED } };
}

function passagesOf(
  { server, gateway }: ObservedPolicies,
  apiServers: LabelSelector,
  port: number | string,
): readonly Passage[] {
  const { namespace: controlPlane = "" } = server.metadata;
  const { namespace: gateways = "" } = gateway.metadata;
  const toGateway = { namespaceSelector: inNamespace(gateways), podSelector: gatewayPods(gateway) };
  return [
    {
      purpose: "to-gateway",
      namespace: controlPlane,
      direction: "Egress",
      pods: routedPods(gateway),
      peer: toGateway,
      port: tcp(targetPortOf(gateway)),
    },
    {
      purpose: "to-api-servers",
      namespace: gateways,
      direction: "Egress",
      pods: gatewayPods(gateway),
      peer: { namespaceSelector: inNamespace(controlPlane), podSelector: apiServers },
      port: tcp(port),
    },
    {
      purpose: "from-gateway",
      namespace: controlPlane,
      direction: "Ingress",
      pods: apiServers,
      peer: toGateway,
      port: tcp(port),
    },
  ];
}

/**
 * The policies of a hosted API server: routed Pods may reach the gateway, and the gateway the API servers, each only
 * where another policy isolates those Pods in that direction. What the gateway lets in is the shared
 * `gatewayNetworkPoliciesOf`'s. The policies of other APIs (Cilium's, Calico's, AdminNetworkPolicy) are not seen.
 */
export function networkPoliciesOf(observed: ObservedPolicies): PlannedPolicies {
  const { server, gateway, service, policies } = observed;
  if (gateway.spec.networkPolicies === "Never") return { kind: "none", reason: "Never" };
  const selector = service?.spec.selector ?? {};
  // An empty selector would mean all Pods of the namespace.
  if (Object.keys(selector).length === 0) return { kind: "none", reason: "NoSelector" };
  const port = service?.spec.ports?.find((found) => found.port === serviceOf(server).port);
  if (port === undefined) return { kind: "none", reason: "NoSuchPort" };
  const maker: Maker = {
    name: objectName(server.metadata.namespace ?? "", server.metadata.name),
    labels: marks(server.metadata),
  };
  return plannedOf(
    passagesOf(observed, { matchLabels: selector }, port.targetPort ?? port.port).flatMap(
      (passage) => policiesOf(passage, maker, policies),
    ),
  );
}

function allowedNamespaces({ metadata, spec }: InternalGateway): LabelSelector {
  switch (spec.allowedNamespaces?.from ?? "Same") {
    case "All":
      return {};
    case "Same":
      return inNamespace(metadata.namespace ?? "");
    case "Selector":
      return spec.allowedNamespaces?.selector ?? inNamespace(metadata.namespace ?? "");
  }
}

/**
 * The policies of an InternalGateway, shared by all hosted API servers: its Pods take connections of routed Pods in the
 * namespaces that it allows, on fairlead's port, and of anybody on the port of tunnels, where another policy isolates
 * them: the nodes of hosted clusters are not of this cluster.
 * @param gateway The InternalGateway.
 * @param policies All NetworkPolicies of its namespace; fairlead's own do not count.
 */
export function gatewayNetworkPoliciesOf(
  gateway: InternalGateway,
  policies: readonly NetworkPolicy[],
): PlannedPolicies {
  if (gateway.spec.networkPolicies === "Never") return { kind: "none", reason: "Never" };
  const gateways = {
    namespace: gateway.metadata.namespace ?? "",
    direction: "Ingress",
    pods: gatewayPods(gateway),
  } as const;
  const routed: Passage = {
    ...gateways,
    purpose: "from-routed-pods",
    peer: { namespaceSelector: allowedNamespaces(gateway), podSelector: routedPods(gateway) },
    port: tcp(targetPortOf(gateway)),
  };
  const maker: Maker = {
    name: objectName("fairlead", gateway.metadata.name),
    labels: marks(gateway.metadata),
  };
  const ports = tunnelPortsOf(gateway);
  const tunnels: readonly Passage[] =
    ports === undefined
      ? []
      : [{ ...gateways, purpose: "from-tunnels", peer: undefined, port: tcp(ports.port) }];
  return plannedOf([routed, ...tunnels].flatMap((passage) => policiesOf(passage, maker, policies)));
}
