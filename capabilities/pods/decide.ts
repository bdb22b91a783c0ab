import { isSameAddress } from "../../lib/domain/ip-addresses";
import { NETWORK_POLICY_ALLOWED } from "../../lib/domain/network-policy-label";
import { routingOf, type HostAlias, type Pod } from "../../lib/domain/routed-pods";
import {
  aliasedElsewhereWarning,
  resolveRoute,
  type Route,
  type RouteInputs,
  type RouteProblem,
} from "../../lib/domain/routes";

/** What becomes of a Pod. `warnings` are for whoever created it, a sentence each. */
export type RoutingDecision =
  | { readonly kind: "change"; readonly pod: Pod; readonly warnings: readonly string[] }
  | {
      readonly kind: "keep";
      readonly reason: "NotRouted" | "OptedOut" | "NoRoute" | "AlreadyRouted";
      readonly warnings: readonly string[];
    }
  | { readonly kind: "deny"; readonly reason: RouteProblem; readonly message: string };

/** Appends to the address's alias the hosts that none of its aliases has; a new alias comes last. */
function withHosts(
  aliases: readonly HostAlias[],
  address: string,
  hosts: readonly string[],
): readonly HostAlias[] {
  const same = aliases.filter(({ ip }) => isSameAddress(ip, address));
  const present = same.flatMap(({ hostnames }) => hostnames ?? []);
  const missing = hosts.filter((host) => !present.includes(host));
  if (missing.length === 0) return aliases;
  const [first] = same;
  if (first === undefined) return [...aliases, { ip: address, hostnames: missing }];
  return aliases.map((alias) =>
    alias === first ? { ...alias, hostnames: [...(alias.hostnames ?? []), ...missing] } : alias,
  );
}

/** The hosts that the user has aliased to an address that is none of the route's, and the first such address. */
function findAliasedElsewhere(
  aliases: readonly HostAlias[],
  hosts: readonly string[],
  addresses: readonly string[],
): ReadonlyMap<string, string> {
  const foreign = aliases.filter(({ ip }) => !addresses.some((own) => isSameAddress(own, ip)));
  const found = hosts.flatMap((host) => {
    const alias = foreign.find(({ hostnames }) => hostnames?.includes(host) === true);
    return alias === undefined ? [] : [[host, alias.ip] as const];
  });
  return new Map(found);
}

function routePod(pod: Pod, { hosts: all, addresses, label }: Route): RoutingDecision {
  const before = pod.spec.hostAliases ?? [];
  const elsewhere = findAliasedElsewhere(before, all, addresses);
  const hosts = all.filter((host) => !elsewhere.has(host));
  const hostAliases = addresses.reduce<readonly HostAlias[]>(
    (aliases, address) => withHosts(aliases, address, hosts),
    before,
  );
  const warnings = [...elsewhere].map(([host, ip]) => aliasedElsewhereWarning({ host, ip }));
  const labelled = pod.metadata.labels?.[label] === NETWORK_POLICY_ALLOWED;
  if (hostAliases === before && labelled)
    return { kind: "keep", reason: "AlreadyRouted", warnings };
  const labels = { ...pod.metadata.labels, [label]: NETWORK_POLICY_ALLOWED };
  const routed: Pod = {
    ...pod,
    metadata: { ...pod.metadata, labels },
    spec: hostAliases === before ? pod.spec : { ...pod.spec, hostAliases },
  };
  return { kind: "change", pod: routed, warnings };
}

/**
 * Decides how a new Pod reaches its hosted API server: by host aliases to the gateway, and a label that lets it through
 * network policies.
 * @param pod The Pod to create. It is not modified.
 * @param inputs What is known of its namespace's route.
 * @returns The changed Pod; or why it stays as it is; or why it must not be created, since it would run without its
 *   route for as long as it lives. Nothing is thrown. Deciding about a changed Pod again keeps it.
 * @see https://github.com/gardener/gardener/blob/master/pkg/resourcemanager/webhook/podkubeapiserverloadbalancing/handler.go
 */
export function decideRouting(pod: Pod, inputs: RouteInputs): RoutingDecision {
  const routing = routingOf(pod);
  if (routing !== "Routed") return { kind: "keep", reason: routing, warnings: [] };

  const route = resolveRoute(inputs);
  switch (route.kind) {
    case "none":
      return { kind: "keep", reason: "NoRoute", warnings: [] };
    case "broken":
      return { kind: "deny", reason: route.reason, message: route.message };
    case "found":
      return routePod(pod, route);
  }
}
