import type { AnyObject } from "../api";
import { judge, type Expectations, type ObservedCluster } from ".";

const expected: Expectations = {
  programmed: "False",
  istio: "absent",
  lookalikes: new Set(["lookalike"]),
};

const nothing: ObservedCluster = {
  Namespace: [],
  Secret: [],
  ConfigMap: [],
  Service: [],
  NetworkPolicy: [],
  HostedAPIServer: [],
  InternalGateway: [],
  Gateway: [],
  VirtualService: [],
  DestinationRule: [],
  EnvoyFilter: [],
};

function marked(uid: string): AnyObject {
  const labels = {
    "app.kubernetes.io/managed-by": "fairlead",
    "fairlead.dev/namespace": "gone",
    "fairlead.dev/name": "main",
  };
  const metadata = { namespace: "istio-ingress", name: "gone-main-tls-0123456789", uid, labels };
  return { apiVersion: "v1", kind: "Secret", metadata };
}

const hapi: AnyObject = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { namespace: "tenant", name: "main", generation: 2 },
  spec: {
    hosts: ["api.example.com"],
    certificates: { server: { secretName: "server" }, serverCA: { secretName: "ca" } },
  },
  status: {
    conditions: [{ type: "Accepted", status: "True", reason: "Accepted", observedGeneration: 1 }],
  },
};

describe("the oracle", () => {
  it("has nothing to say of a cluster with nothing in it", () => {
    expect(judge(nothing, expected)).toEqual([]);
  });

  it("finds what nobody owns, and leaves alone what only looks like it", () => {
    const cluster = { ...nothing, Secret: [marked("orphan"), marked("lookalike")] };
    expect(judge(cluster, expected)).toEqual([
      "Secret istio-ingress/gone-main-tls-0123456789 is nobody's: gone/main is gone",
    ]);
  });

  it("finds what a HostedAPIServer lacks", () => {
    const found = judge({ ...nothing, HostedAPIServer: [hapi] }, expected);
    expect(found).toContain("tenant/main: Accepted is about an older generation");
    expect(found).toContain("tenant/main: ResolvedRefs is absent (), not True");
    expect(found).toContain("tenant/main: has finalizer fairlead.dev/exposure not just once");
    expect(found.some((each) => each.includes("has the Secrets []"))).toBe(true);
  });

  it("finds a route that leads where nobody serves", () => {
    const route: AnyObject = {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { namespace: "tenant", name: "istio-internal-load-balancing" },
      data: { hosts: "api.example.com" },
    };
    const cluster = { ...nothing, HostedAPIServer: [hapi], ConfigMap: [route] };
    expect(judge(cluster, expected)).toContain(
      "tenant/main: the route ConfigMap has api.example.com",
    );
  });
});
