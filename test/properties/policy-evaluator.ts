import type {
  LabelSelector,
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
} from "../../lib/api";

/**
 * Who may connect to whom, by the semantics of `networking.k8s.io/v1`: read anew from the API's documentation, and
 * sharing no code with what it is to prove.
 * @see https://kubernetes.io/docs/reference/kubernetes-api/policy-resources/network-policy-v1/
 */

/** A Pod, as policies see it. */
export interface PolicyPod {
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  /** Names of its containers' ports. */
  readonly portNames?: Readonly<Record<string, number>>;
}

/** A TCP connection from a Pod to another's port. */
export interface Connection {
  readonly from: PolicyPod;
  readonly to: PolicyPod;
  readonly port: number;
}

/** The labels of each namespace. */
export type Namespaces = Readonly<Record<string, Readonly<Record<string, string>>>>;

function matchesSelector(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>>,
): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    if (labels[key] !== value) return false;
  }
  for (const { key, operator, values } of selector.matchExpressions ?? []) {
    const value = labels[key];
    const isListed = value !== undefined && (values ?? []).includes(value);
    if (operator === "In" && !isListed) return false;
    if (operator === "NotIn" && isListed) return false;
    if (operator === "Exists" && value === undefined) return false;
    if (operator === "DoesNotExist" && value !== undefined) return false;
  }
  return true;
}

function matchesPeer(
  peer: NetworkPolicyPeer,
  pod: PolicyPod,
  { policyNamespace, namespaces }: { policyNamespace: string; namespaces: Namespaces },
): boolean {
  // Pods have no addresses here.
  if (peer.ipBlock !== undefined) return peer.ipBlock.cidr === "0.0.0.0/0";
  const isNamespaceRight =
    peer.namespaceSelector === undefined
      ? pod.namespace === policyNamespace
      : matchesSelector(peer.namespaceSelector, namespaces[pod.namespace] ?? {});
  return (
    isNamespaceRight &&
    (peer.podSelector === undefined || matchesSelector(peer.podSelector, pod.labels))
  );
}

function matchesPort(wanted: NetworkPolicyPort, port: number, target: PolicyPod): boolean {
  if ((wanted.protocol ?? "TCP") !== "TCP") return false;
  if (wanted.port === undefined) return true;
  if (typeof wanted.port === "string") return target.portNames?.[wanted.port] === port;
  return port >= wanted.port && port <= (wanted.endPort ?? wanted.port);
}

type Direction = "Ingress" | "Egress";

function typesOf({ spec }: NetworkPolicy): readonly string[] {
  if (spec.policyTypes != null && spec.policyTypes.length > 0) return spec.policyTypes;
  return (spec.egress ?? []).length > 0 ? ["Ingress", "Egress"] : ["Ingress"];
}

function isAllowedIn(
  direction: Direction,
  { from, to, port }: Connection,
  { policies, namespaces }: { policies: readonly NetworkPolicy[]; namespaces: Namespaces },
): boolean {
  const [self, other] = direction === "Ingress" ? [to, from] : [from, to];
  const applying = policies.filter(
    (policy) =>
      policy.metadata.namespace === self.namespace &&
      typesOf(policy).includes(direction) &&
      matchesSelector(policy.spec.podSelector ?? {}, self.labels),
  );
  if (applying.length === 0) return true;
  const context = { policyNamespace: self.namespace, namespaces };
  return applying.some(({ spec }) => {
    const rules =
      direction === "Ingress"
        ? (spec.ingress ?? []).map((rule) => ({ peers: rule.from ?? [], ports: rule.ports ?? [] }))
        : (spec.egress ?? []).map((rule) => ({ peers: rule.to ?? [], ports: rule.ports ?? [] }));
    return rules.some(
      ({ peers, ports }) =>
        (peers.length === 0 || peers.some((peer) => matchesPeer(peer, other, context))) &&
        (ports.length === 0 || ports.some((wanted) => matchesPort(wanted, port, to))),
    );
  });
}

/** Whether a connection passes: its sender may send it, and its receiver may take it. */
export function isConnectionAllowed(
  connection: Connection,
  policies: readonly NetworkPolicy[],
  namespaces: Namespaces,
): boolean {
  const world = { policies, namespaces };
  return isAllowedIn("Egress", connection, world) && isAllowedIn("Ingress", connection, world);
}
