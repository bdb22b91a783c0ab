import type { ConfigMap } from "./route-config";
import { RouteIndex } from "./route-index";

const route = (namespace: string, data: Readonly<Record<string, string>>): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name: "istio-internal-load-balancing", namespace },
  data,
});

const to = (gateway: string, service?: string) => ({
  hosts: "api.example.com",
  "istio-namespace": gateway,
  ...(service === undefined ? {} : { service }),
});

describe("the index of routes", () => {
  it("tells the namespaces that are routed to a Service, the default one too", () => {
    const index = new RouteIndex();
    index.put(route("a", to("istio-ingress")));
    index.put(route("b", to("istio-ingress", "istio-ingressgateway-internal")));
    index.put(route("c", to("istio-ingress", "other")));
    expect(index.routedTo("istio-ingress/istio-ingressgateway-internal")).toEqual(["a", "b"]);
    expect(index.routedTo("istio-ingress/other")).toEqual(["c"]);
    expect(index.routedTo("elsewhere/other")).toEqual([]);
  });

  it("follows a route that leads elsewhere, can't be followed any more, or goes", () => {
    const index = new RouteIndex();
    for (const namespace of ["a", "b", "c"]) index.put(route(namespace, to("one", "gateway")));
    index.put(route("a", to("two", "gateway")));
    index.put(route("b", { hosts: "" }));
    index.remove("c");
    expect(index.routedTo("one/gateway")).toEqual([]);
    expect(index.routedTo("two/gateway")).toEqual(["a"]);
  });
});
