import type { HostedAPIServer } from "../../../lib/api";
import type { DecidedCondition } from "../../../lib/domain/conditions";
import type { Goal } from "./goal";
import type { ObservedServer } from "./observed";
import { isOwnRoute, routedHosts } from "./routes";

/** What exposure shows in a HostedAPIServer's status. */
export interface ExposureStatus {
  /** How it is served; undefined as long as that was not seen. */
  readonly loadBalancing: "L7" | "L4" | undefined;
  readonly conditions: readonly DecidedCondition[];
}

type Serving = Extract<Goal, { kind: "serve" }>;

/** `PassthroughUsable`: whether clients would accept what passed-through connections show them. */
export function passthroughCondition({ direct }: ObservedServer): DecidedCondition {
  const type = "PassthroughUsable";
  if (direct?.uncoveredHosts === undefined) {
    const why = direct?.problem === undefined ? "" : ` (${direct.problem})`;
    return {
      type,
      status: "Unknown",
      reason: "NotSeen",
      message: `The API servers' own certificate was not seen at their Service${why}.`,
    };
  }
  if (direct.uncoveredHosts.length === 0) {
    const message = "The API servers' own certificate covers the hosts.";
    return { type, status: "True", reason: "HostsCovered", message };
  }
  return {
    type,
    status: "False",
    reason: "HostsNotCovered",
    message: `The API servers' own certificate does not cover ${direct.uncoveredHosts.join(", ")}: add them to it (--tls-cert-file) if connections are to be passed through.`,
  };
}

function routeProblem(
  { server, routeConfigMap }: ObservedServer,
  mode: "L7" | "L4",
): DecidedCondition | undefined {
  const type = "ClientsRouted";
  if (mode === "L4") {
    const message = "In L4 clients inside the cluster use the Service itself.";
    return { type, status: "False", reason: "L4Active", message };
  }
  const missing = server.spec.hosts.filter((host) => !routedHosts(routeConfigMap).includes(host));
  if (routeConfigMap === undefined || isOwnRoute(routeConfigMap)) {
    if (missing.length === 0) return undefined;
    const message = `ConfigMap ${routeConfigMap?.metadata.name ?? "istio-internal-load-balancing"} does not name ${missing.join(", ")} yet.`;
    return { type, status: "False", reason: "Pending", message };
  }
  if (missing.length === 0) return undefined;
  return {
    type,
    status: "False",
    reason: "ForeignConfigMap",
    message: `ConfigMap ${routeConfigMap.metadata.name} is not fairlead's, so it is read and not written, and it does not name ${missing.join(", ")}; add them to it, or delete it, and fairlead makes its own.`,
  };
}

function kubeconfigProblem({ clients }: ObservedServer): DecidedCondition | undefined {
  const [first, ...rest] = clients?.state.problems ?? [];
  if (first === undefined) return undefined;
  const message = [first, ...rest]
    .slice(0, 5)
    .map(({ secret, message }) => `Secret ${secret}: ${message}`)
    .join(" ");
  return { type: "ClientsRouted", status: "False", reason: first.reason, message };
}

/** `ClientsRouted`: whether new Pods and the kubeconfigs that are named lead to the gateway. */
export function clientsCondition(observed: ObservedServer, mode: "L7" | "L4"): DecidedCondition {
  const isForeign = observed.routeConfigMap !== undefined && !isOwnRoute(observed.routeConfigMap);
  return (
    routeProblem(observed, mode) ??
    kubeconfigProblem(observed) ?? {
      type: "ClientsRouted",
      status: "True",
      reason: isForeign ? "RoutedByOther" : "Routed",
      message: isForeign
        ? "New Pods are routed by a ConfigMap that is not fairlead's; it is read and not written."
        : "New Pods are routed to the gateway.",
    }
  );
}

/** How a HostedAPIServer is served, as its status is to say while the mode that is wanted was not seen. */
export function unverifiedMode(
  server: HostedAPIServer,
  mode: "L7" | "L4",
  current: "L7" | "L4" | undefined,
): "L7" | "L4" | undefined {
  // Nobody balances its requests, whether or not its connections were seen to pass.
  if (mode === "L4" && current !== "L7") return "L4";
  return server.status?.loadBalancing;
}

/** What is said once it was seen to be served. */
export function servingCondition({ mode, gateway }: Serving): DecidedCondition {
  const name = `${gateway.metadata.namespace ?? ""}/${gateway.metadata.name}`;
  const balanced = mode.kind === "L7" ? "balances its requests" : "passes its connections through";
  return {
    type: "Programmed",
    status: "True",
    reason: "Programmed",
    message: `Every ready Pod of InternalGateway ${name} ${balanced}.`,
  };
}
