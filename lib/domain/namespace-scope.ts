/**
 * The restricted mode: the namespaces that fairlead works in. It neither reads nor writes in any other, but for its own
 * kinds: those it sees everywhere, and says in their status why it leaves them alone.
 */
export interface NamespaceScope {
  /** Where InternalGateways are, sorted. */
  readonly gateways: readonly string[];
  /** Where HostedAPIServers are, sorted. */
  readonly controlPlanes: readonly string[];
  /** What the API server says where a listed namespace can't be read; changes as time goes by. Absent: all can be. */
  readonly refusals?: { of(namespace: string): string | undefined };
}

/** What a namespace is there for. */
export type NamespaceRole = "gateways" | "controlPlanes";

/** Why an object is left alone: its namespace is not listed, or it is and can't be read. */
export interface OutOfScope {
  readonly reason: "NamespaceNotListed" | "ReadRefused";
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

/** When to look again at what is left alone since its namespace can't be read: it may be readable by then. */
export const REFUSED_RETRY_MS = 5_000;

/** All namespaces of which anything is read, sorted, each once. */
export function namespacesIn({ gateways, controlPlanes }: NamespaceScope): readonly string[] {
  return [...new Set([...gateways, ...controlPlanes])].sort();
}

/**
 * Finds out whether a namespace is left alone.
 * @param scope Undefined: fairlead works in all namespaces.
 * @returns Why it is; undefined where fairlead works in it.
 */
export function findOutOfScope(
  scope: NamespaceScope | undefined,
  namespace: string,
  role: NamespaceRole,
): OutOfScope | undefined {
  if (scope === undefined) return undefined;
  if (!scope[role].includes(namespace)) {
    const { variable, value } = settingsOf[role];
    return {
      reason: "NamespaceNotListed",
      message: `fairlead is restricted to listed namespaces, and ${namespace} is not in ${variable}: nothing is read or written there, and what was made stays as it is. Add it to the chart's ${value}.`,
    };
  }
  const refusal = scope.refusals?.of(namespace);
  if (refusal === undefined) return undefined;
  return {
    reason: "ReadRefused",
    message: `fairlead is to work in ${namespace} and can't read it, so that what was made stays as it is; bind fairlead's roles there. The API server says: ${refusal}`,
  };
}
