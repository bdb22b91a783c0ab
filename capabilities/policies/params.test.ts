import type { HostedAPIServer } from "../../lib/api";
import type { RouteInputs } from "../../lib/domain/routes";
import { clusterParamsOf, namespaceParamsOf, type NamespaceInputs } from "./params";

function route(data?: Record<string, string>, clusterIPs?: readonly string[]): RouteInputs {
  const configMap = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name: "istio-internal-load-balancing", namespace: "tenant" },
    ...(data === undefined ? {} : { data }),
  };
  return {
    namespace: "tenant",
    configMap: data === undefined ? undefined : configMap,
    service: (namespace, name) =>
      clusterIPs && {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name, namespace },
        spec: { clusterIPs },
      },
  };
}

function hapi(spec: object, mode?: "L4" | "L7"): HostedAPIServer {
  return {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { name: "main", namespace: "tenant" },
    spec: { kubernetesVersion: "1.34.2", hosts: ["api.example.com"], ...spec },
    ...(mode === undefined ? {} : { status: { loadBalancing: mode } }),
  } as HostedAPIServer;
}

const nothing: NamespaceInputs = { minor: 34, zones: 2, route: route(), hostedAPIServers: [] };
const data = { hosts: "api.b.example.com, api.a.example.com,", "istio-namespace": "gateway" };

describe("what policies are told about a namespace", () => {
  it("is nothing where there is no route and no HostedAPIServer", () => {
    expect(namespaceParamsOf(nothing)).toBeUndefined();
  });

  it("is its route, with the cluster IPs of the Service", () => {
    const ips = ["10.96.3.7", "fd00:10:96::307"];

    expect(namespaceParamsOf({ ...nothing, route: route(data, ips) })).toEqual({
      hosts: "api.b.example.com,api.a.example.com",
      addresses: "10.96.3.7,fd00:10:96::307",
      label:
        "networking.resources.gardener.cloud/to-gateway-istio-ingressgateway-internal-tcp-9443",
    });
  });

  it("is each address once, in the spelling that came first", () => {
    const given = { ...data, addresses: "fd00:0::9,10.0.0.1,fd00::9,10.0.0.1" };
    const parameters = namespaceParamsOf({ ...nothing, route: route(given, ["10.96.3.7"]) });

    expect(parameters?.addresses).toBe("fd00:0::9,10.0.0.1");
  });

  it("is the denial alone where the route can't be followed", () => {
    expect(namespaceParamsOf({ ...nothing, route: route(data) })).toEqual({
      denial:
        "fairlead: ConfigMap tenant/istio-internal-load-balancing leads to Service gateway/istio-ingressgateway-internal, which does not exist: create it, or correct istio-namespace and service.",
    });
  });

  it("is which Services are topology-aware, and which are left to all zones", () => {
    const hostedAPIServers = [
      hapi({
        topologyAware: { enabled: true, services: ["b", "a", "api"] },
        service: { name: "api" },
      }),
    ];

    expect(namespaceParamsOf({ ...nothing, hostedAPIServers })).toEqual({
      "traffic-distribution": "PreferSameZone",
      "topology-aware-services": "a,api,b",
      "all-zones-services": "api,kube-apiserver,virtual-garden-kube-apiserver",
    });
  });

  it("leaves no API server to all zones that is served in L4", () => {
    const hostedAPIServers = [hapi({ service: { name: "api" } }, "L4")];

    expect(namespaceParamsOf({ ...nothing, hostedAPIServers })).toEqual({
      "traffic-distribution": "PreferSameZone",
      "topology-aware-services": "",
      "all-zones-services": "",
    });
  });

  it.each([
    [{ minor: 33, zones: 3 }, "PreferClose"],
    [{ minor: 30, zones: 2 }, "off"],
    [{ minor: 30, zones: undefined }, "off"],
    [{ minor: 34, zones: 1 }, "off"],
    [{ minor: 34, zones: undefined }, undefined],
    [{ minor: undefined, zones: 2 }, undefined],
  ])("for %j is the value %s", (topology, value) => {
    const parameters = namespaceParamsOf({ ...nothing, ...topology, hostedAPIServers: [hapi({})] });

    expect(parameters?.["traffic-distribution"]).toBe(value);
  });
});

describe("what policies are told about the cluster", () => {
  it("is the value, and which namespaces have parameters of their own", () => {
    expect(clusterParamsOf({ minor: 34, zones: 2, namespaces: ["b", "a"] })).toEqual({
      "traffic-distribution": "PreferSameZone",
      "topology-aware-services": "",
      "all-zones-services": "kube-apiserver,virtual-garden-kube-apiserver",
      "namespace.a": "",
      "namespace.b": "",
    });
  });
});
