import type { HostedAPIServer } from "../api";
import { namedServices, webhookRules } from "./webhook";

function hapi(topologyAware: HostedAPIServer["spec"]["topologyAware"], service?: string) {
  return {
    metadata: { name: "main", namespace: "tenant" },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: ["api.example.com"],
      ...(topologyAware === undefined ? {} : { topologyAware }),
      ...(service === undefined ? {} : { service: { name: service } }),
    },
  } as HostedAPIServer;
}

const servicesCondition = (serviceNames: readonly string[]): string =>
  webhookRules({ serviceNames }).matchConditions.find(({ name }) => name === "services")
    ?.expression ?? "";

describe("Services that are named", () => {
  it("are those of own lists and own API servers, sorted and once, without the default ones", () => {
    const hapis = [
      hapi({ enabled: true, services: ["z", "a", "vpa-webhook"] }),
      hapi({ enabled: true }, "my-api"),
      hapi({ enabled: true, services: ["a"] }),
    ];

    expect(namedServices(hapis)).toEqual(["a", "my-api", "z"]);
  });

  it("are none of HostedAPIServers that want nothing topology-aware", () => {
    const hapis = [hapi({ enabled: false, services: ["a"] }), hapi(undefined, "b")];

    expect(namedServices(hapis)).toEqual([]);
  });
});

describe("the webhook's rules", () => {
  it("have the names beside the default ones", () => {
    expect(servicesCondition(["my-api"])).toContain('"virtual-garden-kube-apiserver", "my-api"]');
    expect(servicesCondition(["vpa-webhook"])).toBe(servicesCondition([]));
  });

  it("don't grow without end", () => {
    const names = Array.from({ length: 10_000 }, (_, index) => `service-${index}`);

    expect(servicesCondition(names)).toContain('"service-127"]');
  });

  it("are the same for the same namespaces, in whatever order", () => {
    const rules = webhookRules({ namespaces: ["b", "a"] });

    expect(rules).toEqual(webhookRules({ namespaces: ["a", "b"] }));
    expect(rules.namespaceSelector.matchExpressions).toContainEqual({
      key: "kubernetes.io/metadata.name",
      operator: "In",
      values: ["a", "b"],
    });
  });

  it("are about contested Services alone beside policies, whatever HostedAPIServers name", () => {
    const rules = webhookRules({ policies: true, serviceNames: ["my-api"] });

    expect(rules).toEqual(webhookRules({ policies: true }));
    expect(rules.rules).toEqual([
      {
        apiGroups: [""],
        apiVersions: ["v1"],
        operations: ["UPDATE"],
        resources: ["services"],
        scope: "Namespaced",
      },
    ]);
  });
});
