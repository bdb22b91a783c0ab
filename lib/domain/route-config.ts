import type { KubernetesObject } from "../api";
import { findHostProblem, isDNSLabel, splitList } from "./hosts";
import { canonicalAddress } from "./ip-addresses";
import { INTERNAL_SERVICE, INTERNAL_TARGET_PORT } from "./names";

const MAX_PORT = 65_535;
const MAX_QUOTED_CHARACTERS = 80;

/** A ConfigMap, as it is on the wire. */
export interface ConfigMap extends KubernetesObject {
  readonly data?: Readonly<Record<string, string>>;
}

/** What the route ConfigMap says: where the Pods of its namespace find their hosted API server. */
export interface RouteConfig {
  /** Host names of the API server, in the order given, each once; at least one. */
  readonly hosts: readonly string[];
  /** The gateway's namespace. */
  readonly gatewayNamespace: string;
  /** The Service in front of the gateway. */
  readonly service: string;
  /** The gateway's port, which the network policy label names. */
  readonly port: number;
  /** The addresses to use, in the order given, each once; empty: all cluster IPs of the Service. */
  readonly addresses: readonly string[];
}

/** Why a route ConfigMap can't be followed. */
export type RouteConfigReason =
  | "NoHosts"
  | "InvalidHost"
  | "NoGatewayNamespace"
  | "InvalidGatewayNamespace"
  | "InvalidService"
  | "InvalidPort"
  | "InvalidAddress";

/** A route ConfigMap, read. */
export type ParsedRouteConfig =
  | { readonly kind: "valid"; readonly config: RouteConfig }
  | {
      readonly kind: "invalid";
      readonly reason: RouteConfigReason;
      /** The end of a sentence that begins with the ConfigMap: what is wrong and what to change. */
      readonly problem: string;
    };

type Parsed<T> =
  | { readonly kind: "valid"; readonly value: T }
  | Extract<ParsedRouteConfig, { kind: "invalid" }>;

const valid = <T>(value: T): Parsed<T> => ({ kind: "valid", value });
const invalid = (reason: RouteConfigReason, problem: string): Parsed<never> => ({
  kind: "invalid",
  reason,
  problem,
});

/** A value in quotes, on one line, and not so long that it hides the sentence. */
function quote(text: string): string {
  const long = text.length > MAX_QUOTED_CHARACTERS;
  return JSON.stringify(long ? `${text.slice(0, MAX_QUOTED_CHARACTERS)}…` : text);
}

function parseHosts(text: string): Parsed<readonly string[]> {
  const hosts = splitList(text);
  if (hosts.length === 0) {
    return invalid(
      "NoHosts",
      "names no hosts: write the API server's host names into hosts, separated by commas.",
    );
  }
  for (const host of hosts) {
    const found = findHostProblem(host);
    if (found === undefined) continue;
    const problem = `has the host ${quote(host)}, which ${found.problem}: ${found.remedy}.`;
    return invalid("InvalidHost", problem);
  }
  return valid(hosts);
}

function parseGatewayNamespace(text: string): Parsed<string> {
  if (text === "") {
    return invalid(
      "NoGatewayNamespace",
      "does not say where the gateway is: write its namespace into istio-namespace.",
    );
  }
  if (isDNSLabel(text)) return valid(text);
  return invalid(
    "InvalidGatewayNamespace",
    `has the istio-namespace ${quote(text)}, which is not a namespace's name: write the name alone.`,
  );
}

function parseService(text: string): Parsed<string> {
  if (text === "") return valid(INTERNAL_SERVICE);
  if (isDNSLabel(text)) return valid(text);
  return invalid(
    "InvalidService",
    `has the service ${quote(text)}, which is not a Service's name: write the name alone.`,
  );
}

function parsePort(text: string): Parsed<number> {
  if (text === "") return valid(INTERNAL_TARGET_PORT);
  const port = Number(text);
  // No other spelling of a number: the label is made of it.
  if (/^[1-9][0-9]{0,4}$/.test(text) && port <= MAX_PORT) return valid(port);
  return invalid(
    "InvalidPort",
    `has the port ${quote(text)}, which is not a port: write the gateway's port, a number from 1 to ${MAX_PORT}.`,
  );
}

function parseAddresses(text: string): Parsed<readonly string[]> {
  const addresses = new Map<string, string>();
  for (const address of splitList(text)) {
    const canonical = canonicalAddress(address);
    if (canonical === undefined) {
      return invalid(
        "InvalidAddress",
        `has the address ${quote(address)}, which is not an IP address: write IP addresses into addresses, separated by commas.`,
      );
    }
    if (!addresses.has(canonical)) addresses.set(canonical, address);
  }
  return valid([...addresses.values()]);
}

/** The Service that a route ConfigMap names, valid or not: what to watch for it. */
export function routeServiceName(data: ConfigMap["data"]): string {
  const parsed = parseService(data?.service ?? "");
  return parsed.kind === "valid" ? parsed.value : INTERNAL_SERVICE;
}

/**
 * Reads the data of a route ConfigMap. `service`, `port` and `addresses` are optional, and empty is absent.
 * @returns The route, or the first thing that is wrong with it; nothing is thrown.
 */
export function parseRouteConfig(data: ConfigMap["data"]): ParsedRouteConfig {
  const value = (key: string): string => data?.[key] ?? "";
  const hosts = parseHosts(value("hosts"));
  if (hosts.kind === "invalid") return hosts;
  const gatewayNamespace = parseGatewayNamespace(value("istio-namespace"));
  if (gatewayNamespace.kind === "invalid") return gatewayNamespace;
  const service = parseService(value("service"));
  if (service.kind === "invalid") return service;
  const port = parsePort(value("port"));
  if (port.kind === "invalid") return port;
  const addresses = parseAddresses(value("addresses"));
  if (addresses.kind === "invalid") return addresses;
  return {
    kind: "valid",
    config: {
      hosts: hosts.value,
      gatewayNamespace: gatewayNamespace.value,
      service: service.value,
      port: port.value,
      addresses: addresses.value,
    },
  };
}
