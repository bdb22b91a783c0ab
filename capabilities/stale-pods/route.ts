import { createHash } from "node:crypto";
import type { ServiceObject } from "../../lib/cluster";
import { parseRouteConfig, type ConfigMap } from "../../lib/domain/route-config";
import type { Route } from "./observed";

/**
 * Reads where a namespace's Pods are routed, as admission does.
 * @param configMap Its route ConfigMap; undefined where there is none.
 * @param service Finds the Service that it names.
 */
export function readRoute(
  configMap: ConfigMap | undefined,
  service: (name: string, namespace: string) => ServiceObject | undefined,
): Route {
  if (configMap === undefined) return { kind: "none" };
  const parsed = parseRouteConfig(configMap.data);
  if (parsed.kind === "invalid") return { kind: "invalid", problem: parsed.problem };
  const { hosts, addresses, gatewayNamespace, service: name } = parsed.config;
  if (addresses.length > 0) return { kind: "known", hosts, addresses };
  const { clusterIP = "", clusterIPs = [clusterIP] } = service(name, gatewayNamespace)?.spec ?? {};
  const usable = clusterIPs.filter((ip) => ip !== "" && ip !== "None");
  if (usable.length > 0) return { kind: "known", hosts, addresses: usable };
  const problem = `leads to Service ${gatewayNamespace}/${name}, which has no cluster IP.`;
  return { kind: "invalid", problem };
}

/** What a restart is for: the same for the same hosts and addresses, in whatever order. */
export function routeHash(route: Route): string {
  const what = route.kind === "known" ? [[...route.hosts].sort(), [...route.addresses].sort()] : [];
  return createHash("sha256").update(JSON.stringify(what)).digest("hex").slice(0, 10);
}
