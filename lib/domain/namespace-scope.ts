/**
 * The restricted mode: the namespaces that fairlead works in. It neither reads nor writes in any other, but for its own
 * kinds: those it sees everywhere, and says in their status why it leaves them alone.
 */
export interface NamespaceScope {
  /** Where InternalGateways are, sorted. */
  readonly gateways: readonly string[];
  /** Where HostedAPIServers are, sorted. */
  readonly controlPlanes: readonly string[];
}

/** What a namespace is there for. */
export type NamespaceRole = "gateways" | "controlPlanes";

/** Why an object is left alone: its namespace is not listed. */
export interface Unlisted {
  readonly reason: "NamespaceNotListed";
  /** A sentence that says what to do. */
  readonly message: string;
}

const settingsOf: Readonly<Record<NamespaceRole, { variable: string; value: string }>> = {
  gateways: { variable: "FAIRLEAD_GATEWAY_NAMESPACES", value: "rbac.gatewayNamespaces" },
  controlPlanes: {
    variable: "FAIRLEAD_CONTROL_PLANE_NAMESPACES",
    value: "rbac.controlPlaneNamespaces",
  },
};

/** All namespaces of which anything is read, sorted, each once. */
export function namespacesIn({ gateways, controlPlanes }: NamespaceScope): readonly string[] {
  return [...new Set([...gateways, ...controlPlanes])].sort();
}

/**
 * Finds out whether a namespace is left alone.
 * @param scope Undefined: fairlead works in all namespaces.
 * @returns Why it is; undefined where fairlead works in it.
 */
export function findUnlisted(
  scope: NamespaceScope | undefined,
  namespace: string,
  role: NamespaceRole,
): Unlisted | undefined {
  if (scope === undefined || scope[role].includes(namespace)) return undefined;
  const { variable, value } = settingsOf[role];
  return {
    reason: "NamespaceNotListed",
    message: `fairlead is restricted to listed namespaces, and ${namespace} is not in ${variable}: nothing is read or written there, and what was made stays as it is. Add it to the chart's ${value}.`,
  };
}
