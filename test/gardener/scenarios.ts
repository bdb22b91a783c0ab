import type { RouteState, StateObject } from "./types";

/** One control-plane namespace and the state that its Pods meet. */
export interface Scenario {
  /** The namespace, `gd-NN`. */
  readonly name: string;
  /** What is special about it, in a few words. */
  readonly about: string;
  /** The ConfigMaps of the namespace, by name. */
  readonly configMaps: Readonly<Record<string, Readonly<Record<string, string>>>>;
}

interface Gateway {
  readonly namespace: string;
  readonly services: Readonly<Record<string, readonly string[] | "ExternalName" | "LoadBalancer">>;
}

const configMapName = "istio-internal-load-balancing";
const internal = "istio-ingressgateway-internal";
const hostA = "api.a.example.com";
const hostB = "api.b.example.com";
const hostC = "api.c.example.net";

const namespaceOfLength = (length: number): string => "istio-ingress-".padEnd(length, "long-");
/** Its 54th character is a dash, so that a label cut after 57 characters is cut at a dash. */
const namespaceCutAtDash = `istio-ingress-${"x".repeat(39)}-zone-b`;

/** A Service is of type LoadBalancer where its cluster IP is this one. */
const loadBalancerIP = "10.96.200.10";

const gateways: readonly Gateway[] = [
  { namespace: "istio-ingress", services: { [internal]: ["10.96.200.1"] } },
  { namespace: "istio-ingress-v6", services: { [internal]: ["fd00:10:96::c801"] } },
  { namespace: "istio-ingress-46", services: { [internal]: ["10.96.200.2", "fd00:10:96::c802"] } },
  { namespace: "istio-ingress-64", services: { [internal]: ["fd00:10:96::c803", "10.96.200.3"] } },
  { namespace: "istio-headless", services: { [internal]: ["None"] } },
  { namespace: "istio-external", services: { [internal]: "ExternalName" } },
  { namespace: "istio-empty", services: {} },
  {
    namespace: "istio-two",
    services: { [internal]: ["10.96.200.4"], "gateway-b": ["10.96.200.5", "fd00:10:96::c805"] },
  },
  { namespace: namespaceOfLength(21), services: { [internal]: ["10.96.200.6"] } },
  { namespace: namespaceOfLength(22), services: { [internal]: ["10.96.200.7"] } },
  { namespace: namespaceOfLength(62).concat("z"), services: { [internal]: ["10.96.200.8"] } },
  { namespace: namespaceCutAtDash, services: { [internal]: ["10.96.200.9"] } },
  { namespace: "istio-public", services: { [internal]: "LoadBalancer" } },
  { namespace: "gd-39", services: { [internal]: ["10.96.200.11"] } },
];

const route = (hosts: string, gateway: string, extra: Record<string, string> = {}) => ({
  [configMapName]: { hosts, "istio-namespace": gateway, ...extra },
});
const sixteenHosts = Array.from({ length: 16 }, (_, n) => `api-${n}.a.example.com`).join(",");

const table: readonly (readonly [string, Scenario["configMaps"]])[] = [
  ["no ConfigMap", {}],
  ["one host, IPv4", route(hostA, "istio-ingress")],
  ["three hosts, not sorted", route(`${hostC},${hostA},${hostB}`, "istio-ingress")],
  ["sixteen hosts", route(sixteenHosts, "istio-ingress")],
  ["IPv6 only", route(`${hostA},${hostB}`, "istio-ingress-v6")],
  ["dual stack, IPv4 first", route(`${hostA},${hostB}`, "istio-ingress-46")],
  ["dual stack, IPv6 first", route(`${hostA},${hostB}`, "istio-ingress-64")],
  ["a blank after the comma", route(`${hostA}, ${hostB}`, "istio-ingress")],
  ["a comma at the end", route(`${hostA},${hostB},`, "istio-ingress")],
  ["blanks and a line end around hosts", route(` ${hostA} ,\t${hostB}\n`, "istio-ingress-46")],
  ["two commas in a row", route(`${hostA},,${hostB}`, "istio-ingress")],
  ["empty hosts", route("", "istio-ingress")],
  ["no hosts key", { [configMapName]: { "istio-namespace": "istio-ingress" } }],
  ["a ConfigMap without data", { [configMapName]: {} }],
  ["hosts of blanks only", route("  ", "istio-ingress")],
  ["hosts of commas only", route(",,", "istio-ingress")],
  ["no istio-namespace key", { [configMapName]: { hosts: hostA } }],
  ["empty istio-namespace", route(hostA, "")],
  ["istio-namespace does not exist", route(hostA, "istio-nowhere")],
  ["istio-namespace without the Service", route(hostA, "istio-empty")],
  ["headless Service", route(hostA, "istio-headless")],
  ["ExternalName Service", route(hostA, "istio-external")],
  ["a label of 63 characters", route(hostA, namespaceOfLength(21))],
  ["a label of 64 characters", route(hostA, namespaceOfLength(22))],
  ["a label of 105 characters", route(hostA, namespaceOfLength(62).concat("z"))],
  ["a long label that is cut at a dash", route(hostA, namespaceCutAtDash)],
  ["blanks around istio-namespace", route(hostA, " istio-ingress ")],
  ["a host given twice", route(`${hostA},${hostB},${hostA}`, "istio-ingress")],
  ["a host that is no valid name", route(`API.a.example.com,${hostB}`, "istio-ingress")],
  ["another Service", route(hostA, "istio-two", { service: "gateway-b" })],
  ["another port", route(hostA, "istio-two", { port: "8443" })],
  ["another Service and port", route(hostA, "istio-two", { service: "gateway-b", port: "8443" })],
  ["one address", route(`${hostA},${hostB}`, "istio-ingress-46", { addresses: "10.96.200.2" })],
  [
    "addresses with blanks",
    route(hostA, "istio-two", { addresses: "10.96.201.1, fd00:10:96::c901," }),
  ],
  ["empty addresses", route(hostA, "istio-ingress-46", { addresses: "" })],
  ["addresses without a Service", route(hostA, "istio-empty", { addresses: "10.96.201.2" })],
  [
    "only ConfigMaps of other names",
    { [`${configMapName}-2`]: { hosts: hostA, "istio-namespace": "istio-ingress" } },
  ],
  ["LoadBalancer Service", route(`${hostA},${hostB}`, "istio-public")],
  ["the gateway in the Pod's namespace", route(`${hostA},${hostB}`, "gd-39")],
  ["another Service that does not exist", route(hostA, "istio-two", { service: "gateway-c" })],
];

/** The scenarios; the order and the names are part of the recordings. */
export const scenarios: readonly Scenario[] = table.map(([about, configMaps], index) => ({
  name: `gd-${String(index + 1).padStart(2, "0")}`,
  about,
  configMaps,
}));

const clusterIPsOf = (service: Gateway["services"][string]): readonly string[] => {
  if (service === "ExternalName") return [];
  return service === "LoadBalancer" ? [loadBalancerIP] : service;
};

const serviceSpec = (service: Gateway["services"][string]): Record<string, unknown> => {
  if (service === "ExternalName")
    return { type: "ExternalName", externalName: "gateway.example.com" };
  const clusterIPs = clusterIPsOf(service);
  const ipFamilies = clusterIPs.map((ip) => (ip.includes(":") ? "IPv6" : "IPv4"));
  return {
    ...(service === "LoadBalancer"
      ? { type: "LoadBalancer", allocateLoadBalancerNodePorts: false }
      : { type: "ClusterIP" }),
    clusterIP: clusterIPs[0],
    clusterIPs,
    ipFamilies,
    ipFamilyPolicy: clusterIPs.length > 1 ? "RequireDualStack" : "SingleStack",
    selector: { app: "istio-ingressgateway" },
    ports: [{ name: "tls", port: 443, targetPort: 9443, protocol: "TCP" }],
  };
};

const namespaceObject = (name: string): StateObject => ({
  apiVersion: "v1",
  kind: "Namespace",
  metadata: name.startsWith("gd-")
    ? { name, labels: { "gardener.cloud/role": "shoot" } }
    : { name },
});

/** All objects of all scenarios, Namespaces first, in an order in which they can be created. */
export const stateObjects = (): readonly StateObject[] => {
  const namespaces = new Set([
    ...scenarios.map(({ name }) => name),
    ...gateways.map(({ namespace }) => namespace),
  ]);
  const configMaps = scenarios.flatMap((scenario) =>
    Object.entries(scenario.configMaps).map(
      ([name, data]): StateObject => ({
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name, namespace: scenario.name },
        ...(Object.keys(data).length > 0 ? { data } : {}),
      }),
    ),
  );
  const services = gateways.flatMap(({ namespace, services }) =>
    Object.entries(services).map(
      ([name, service]): StateObject => ({
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace },
        spec: serviceSpec(service),
      }),
    ),
  );
  return [...[...namespaces].map(namespaceObject), ...configMaps, ...services];
};

const allClusterIPs: RouteState["clusterIPs"] = new Map(
  gateways.flatMap(({ namespace, services }) =>
    Object.entries(services).map(
      ([name, service]) => [`${namespace}/${name}`, clusterIPsOf(service)] as const,
    ),
  ),
);

/** What a Pod of this scenario meets. */
export const stateOf = (scenario: Scenario): RouteState => ({
  config: scenario.configMaps[configMapName],
  clusterIPs: allClusterIPs,
});
