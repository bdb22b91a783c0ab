import fc from "fast-check";
import {
  gatewayNetworkPoliciesOf,
  networkPoliciesOf,
  type APIServerService,
  type PlannedPolicies,
} from "../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway, LabelSelector, NetworkPolicy } from "../../lib/api";
import { isConnectionAllowed, type Connection, type PolicyPod } from "./policy-evaluator";

const ALLOWED = "networking.resources.gardener.cloud/to-gw-istio-ingressgateway-internal-tcp-9443";
const namespaces = {
  tenant: { "kubernetes.io/metadata.name": "tenant", shoot: "yes" },
  neighbour: { "kubernetes.io/metadata.name": "neighbour" },
  gw: { "kubernetes.io/metadata.name": "gw" },
};

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: "gw", uid: "9a" },
  spec: {
    selector: { app: "gateway" },
    allowedNamespaces: { from: "Selector", selector: { matchLabels: { shoot: "yes" } } },
  },
};

const server: HostedAPIServer = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "HostedAPIServer",
  metadata: { name: "main", namespace: "tenant" },
  spec: { kubernetesVersion: "1.34.2", hosts: ["api.example.com"] },
};

const serviceWith = (targetPort: number | string): APIServerService => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "kube-apiserver", namespace: "tenant" },
  spec: { selector: { app: "kubernetes", role: "apiserver" }, ports: [{ port: 443, targetPort }] },
});

const routed: PolicyPod = {
  namespace: "tenant",
  labels: { [ALLOWED]: "allowed", app: "kubernetes", role: "kcm" },
};
const gatewayPod: PolicyPod = { namespace: "gw", labels: { app: "gateway", tier: "edge" } };
const apiServer: PolicyPod = {
  namespace: "tenant",
  labels: { app: "kubernetes", role: "apiserver" },
  portNames: { https: 6443 },
};
const toGateway: Connection = { from: routed, to: gatewayPod, port: 9443 };
const toAPIServer: Connection = { from: gatewayPod, to: apiServer, port: 6443 };

const pods: readonly PolicyPod[] = [
  routed,
  gatewayPod,
  apiServer,
  { namespace: "tenant", labels: { app: "kubernetes", role: "kcm" } },
  { namespace: "tenant", labels: { role: "etcd" } },
  { namespace: "neighbour", labels: { [ALLOWED]: "allowed" } },
  { namespace: "neighbour", labels: { app: "kubernetes", role: "apiserver" } },
  { namespace: "gw", labels: { app: "istiod" } },
  { namespace: "kube-system", labels: { "k8s-app": "kube-dns" } },
];
const connections: readonly Connection[] = pods.flatMap((from) =>
  pods.flatMap((to) => [53, 443, 2379, 6443, 9443].map((port) => ({ from, to, port }))),
);

const labels = fc.dictionary(
  fc.constantFrom("app", "role", "tier", ALLOWED),
  fc.constantFrom("kubernetes", "apiserver", "kcm", "gateway", "edge", "allowed", "etcd"),
  { maxKeys: 2 },
);
const selector: fc.Arbitrary<LabelSelector> = fc.record(
  {
    matchLabels: labels,
    matchExpressions: fc.array(
      fc.record({
        key: fc.constantFrom("app", "role", "tier"),
        operator: fc.constantFrom("In" as const, "NotIn" as const),
        values: fc.uniqueArray(fc.constantFrom("kubernetes", "apiserver", "kcm", "gateway"), {
          minLength: 1,
          maxLength: 2,
        }),
      }),
      { maxLength: 1 },
    ),
  },
  { requiredKeys: [] },
);
const foreignPolicy: fc.Arbitrary<NetworkPolicy> = fc
  .record({
    name: fc.stringMatching(/^[a-z]{1,8}$/),
    namespace: fc.constantFrom("tenant", "gw", "neighbour"),
    spec: fc.record({
      podSelector: fc.oneof(fc.constant({}), selector),
      policyTypes: fc.constantFrom<("Ingress" | "Egress")[][]>(
        ["Ingress"],
        ["Egress"],
        ["Ingress", "Egress"],
      ),
      ingress: fc.array(
        fc.record({ from: fc.array(fc.record({ podSelector: selector }), { maxLength: 1 }) }),
        { maxLength: 1 },
      ),
      egress: fc.array(
        fc.record({ ports: fc.array(fc.record({ port: fc.constantFrom(53, 2379) })) }),
        { maxLength: 1 },
      ),
    }),
  })
  .map(({ name, namespace, spec }) => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name, namespace, uid: `${namespace}-${name}` },
    spec,
  }));
const foreignPolicies = fc.uniqueArray(foreignPolicy, {
  maxLength: 6,
  selector: ({ metadata }) => metadata.uid,
});
const targetPort = fc.constantFrom<number | string>(6443, "https");

const listOf = (planned: PlannedPolicies): readonly NetworkPolicy[] =>
  planned.kind === "policies" ? planned.policies : [];

function planned(
  policies: readonly NetworkPolicy[],
  port: number | string,
): readonly NetworkPolicy[] {
  return [
    ...listOf(networkPoliciesOf({ server, gateway, service: serviceWith(port), policies })),
    ...listOf(gatewayNetworkPoliciesOf(gateway, policies)),
  ];
}

const keyOf = ({ from, to, port }: Connection): string => JSON.stringify([from, to, port]);

function allowed(policies: readonly NetworkPolicy[]): ReadonlySet<string> {
  return new Set(
    connections
      .filter((connection) => isConnectionAllowed(connection, policies, namespaces))
      .map(keyOf),
  );
}

describe("fairlead's network policies", () => {
  it("let routed Pods reach the gateway, and the gateway the API servers, whatever isolates them", () => {
    fc.assert(
      fc.property(foreignPolicies, targetPort, (policies, port) => {
        const all = [...policies, ...planned(policies, port)];
        expect(isConnectionAllowed(toGateway, all, namespaces)).toBe(true);
        expect(isConnectionAllowed(toAPIServer, all, namespaces)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  it("cut nobody off from anything", () => {
    fc.assert(
      fc.property(foreignPolicies, targetPort, (policies, port) => {
        const before = allowed(policies);
        const after = allowed([...policies, ...planned(policies, port)]);
        expect([...before].filter((key) => !after.has(key))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it("let nothing else pass", () => {
    const purpose = ({ from, to, port }: Connection): boolean =>
      (from.namespace === "tenant" &&
        from.labels[ALLOWED] === "allowed" &&
        to === gatewayPod &&
        port === 9443) ||
      (from === gatewayPod && to === apiServer && port === 6443);
    const expected = new Set(connections.filter(purpose).map(keyOf));
    fc.assert(
      fc.property(foreignPolicies, targetPort, (policies, port) => {
        const before = allowed(policies);
        const after = allowed([...policies, ...planned(policies, port)]);
        const added = [...after].filter((key) => !before.has(key));
        expect(added.filter((key) => !expected.has(key))).toEqual([]);
      }),
      { numRuns: 150 },
    );
  });

  it("do not depend on each other, on their order, or on how often they are planned", () => {
    fc.assert(
      fc.property(foreignPolicies, targetPort, (policies, port) => {
        const once = planned(policies, port);
        expect(planned([...policies, ...once], port)).toEqual(once);
        expect(planned([...policies].reverse(), port)).toEqual(once);
        const names = once.map(({ metadata }) => `${metadata.namespace ?? ""}/${metadata.name}`);
        expect(new Set(names).size).toBe(names.length);
      }),
    );
  });

  it("go with the policies that they are made for", () => {
    fc.assert(
      fc.property(foreignPolicies, targetPort, (policies, port) => {
        for (const { metadata } of planned(policies, port)) {
          const owners = policies.filter(({ metadata: { uid } }) =>
            metadata.ownerReferences?.some((owner) => owner.uid === uid),
          );
          expect(owners.length).toBeGreaterThan(0);
          expect(owners.every((owner) => owner.metadata.namespace === metadata.namespace)).toBe(
            true,
          );
        }
      }),
    );
  });
});

describe("the evaluator", () => {
  const policy = (spec: NetworkPolicy["spec"], namespace = "tenant"): NetworkPolicy => ({
    apiVersion: "networking.k8s.io/v1",
    kind: "NetworkPolicy",
    metadata: { name: "p", namespace },
    spec,
  });
  const passes = (connection: Connection, ...policies: NetworkPolicy[]): boolean =>
    isConnectionAllowed(connection, policies, namespaces);

  it("lets everything pass where nothing is isolated", () => {
    expect(passes(toGateway)).toBe(true);
  });

  it("isolates the Pods that a policy selects, in its directions alone", () => {
    const egress = policy({ podSelector: {}, policyTypes: ["Egress"] });
    expect(passes(toGateway, egress)).toBe(false);
    expect(passes(toAPIServer, egress)).toBe(true);
    expect(passes(toAPIServer, policy({ podSelector: {} }))).toBe(false);
    expect(passes(toAPIServer, policy({ podSelector: { matchLabels: { a: "b" } } }))).toBe(true);
  });

  it("adds up what several policies let pass", () => {
    const open = policy({ podSelector: {}, policyTypes: ["Ingress"], ingress: [{}] });
    expect(passes(toAPIServer, policy({ podSelector: {} }), open)).toBe(true);
  });

  it("wants namespace and Pod of a peer with both selectors", () => {
    const from = (name: string): NetworkPolicy =>
      policy({
        podSelector: {},
        ingress: [
          {
            from: [
              {
                namespaceSelector: { matchLabels: { "kubernetes.io/metadata.name": name } },
                podSelector: { matchLabels: { app: "gateway" } },
              },
            ],
          },
        ],
      });
    expect(passes(toAPIServer, from("gw"))).toBe(true);
    expect(passes(toAPIServer, from("neighbour"))).toBe(false);
  });

  it("takes a peer without a namespace selector for one of the policy's namespace", () => {
    const sameNamespace = policy({ podSelector: {}, ingress: [{ from: [{ podSelector: {} }] }] });
    expect(passes(toAPIServer, sameNamespace)).toBe(false);
    expect(passes({ from: routed, to: apiServer, port: 6443 }, sameNamespace)).toBe(true);
  });

  it("knows ports by number, by range and by name", () => {
    const to = (port: number | string, endPort?: number): NetworkPolicy =>
      policy({
        podSelector: {},
        ingress: [{ ports: [{ port, ...(endPort === undefined ? {} : { endPort }) }] }],
      });
    expect(passes(toAPIServer, to(6443))).toBe(true);
    expect(passes(toAPIServer, to(443))).toBe(false);
    expect(passes(toAPIServer, to(6000, 7000))).toBe(true);
    expect(passes(toAPIServer, to("https"))).toBe(true);
    expect(passes(toAPIServer, to("http"))).toBe(false);
  });
});
