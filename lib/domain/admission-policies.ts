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
