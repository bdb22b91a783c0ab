import { GROUP } from "../api/names";

/**
 * Where fairlead's admission policies read what they can't look up: ConfigMaps of this name, of fairlead's own, one in a
 * namespace that has a route or HostedAPIServers, and one in `SYSTEM_NAMESPACE` about all other namespaces. Each must
 * carry `parameterLabels`, by which the API server finds it.
 */
export const PARAMETERS_CONFIG_MAP = "fairlead-admission";
/** The value of label `fairlead.dev/use` on these ConfigMaps. */
export const USE_ADMISSION = "admission";
/** The label by which bindings select parameters. */
export const parameterLabels: Readonly<Record<string, string>> = {
  [`${GROUP}/use`]: USE_ADMISSION,
};

/**
 * What an expression works through in any case: an API server ends one that costs too much, and refuses the object. A
 * route with more hosts, addresses or pairs of both, and a Pod with more aliases, or more names in one of them, is the
 * webhook's. `docs/policies.md` has what was measured.
 */
export const POLICY_LIMITS = {
  hosts: 64,
  addresses: 8,
  pairs: 128,
  aliases: 64,
  hostnames: 64,
} as const;

/** The ConfigMap (in `SYSTEM_NAMESPACE`) that API servers are asked for, to see that they follow fairlead's policies. */
export const IN_FORCE_CONFIG_MAP = "fairlead-policies-in-force";
/** The ConfigMap that nobody can make: API servers are asked by the attempt. */
export const IN_FORCE_PROBE = "fairlead-policies-probe";
