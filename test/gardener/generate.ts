import * as fc from "fast-check";

import { itemsOf, routeLabelKey } from "./deviations";
import { scenarios, stateOf, type Scenario } from "./scenarios";
import type { HostAlias, Pod, Volume } from "./types";

const seed = 20260821;
const podsOfRoutingScenario = 90;
const podsOfOtherScenario = 28;

const secretNames = {
  routed: [
    "generic-token-kubeconfig",
    "generic-token-kubeconfig-8b5d1a2f",
    "generic-token-kubeconfig.v2",
    "generic-token-kubeconfigs",
  ],
  other: [
    "generic-token-kubeconfi",
    "my-generic-token-kubeconfig",
    "generic-token",
    "shoot-access-etcd",
  ],
};
const otherIPs = ["203.0.113.10", "198.51.100.7", "127.0.0.1", "2001:db8::10"];
const otherHosts = ["db.example.org", "cache", "metrics.kube-system.svc"];

interface Known {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly labelKey: string;
}

const isHost = (host: string): boolean => /^[a-z0-9.-]+$/.test(host);

const knownOf = (scenario: Scenario): Known => {
  const { config, clusterIPs } = stateOf(scenario);
  const gateway = (config?.["istio-namespace"] ?? "").trim();
  const service = config?.service ?? "istio-ingressgateway-internal";
  const fromService = clusterIPs.get(`${gateway}/${service}`) ?? [];
  return {
    hosts: itemsOf(config?.hosts).filter(isHost),
    addresses: [...new Set([...fromService, ...itemsOf(config?.addresses)])].filter(
      (ip) => ip !== "None",
    ),
    labelKey: routeLabelKey(
      gateway === "" ? "istio-ingress" : gateway,
      config?.service,
      config?.port,
    ),
  };
};

const secretVolume = (name: fc.Arbitrary<string>): fc.Arbitrary<Volume> =>
  fc
    .record({ secretName: name, optional: fc.constant(true) }, { requiredKeys: ["secretName"] })
    .map((secret) => ({ name: "", secret }));

const otherSources: Record<string, unknown>[] = [
  { secret: { name: "shoot-access-etcd", optional: false } },
  { configMap: { name: "generic-token-kubeconfig" } },
  { downwardAPI: { items: [{ path: "labels", fieldRef: { fieldPath: "metadata.labels" } }] } },
];

const projectedVolume = (name: fc.Arbitrary<string>): fc.Arbitrary<Volume> =>
  fc
    .tuple(name, fc.shuffledSubarray(otherSources, { maxLength: 2 }), fc.boolean())
    .map(([secret, others, last]) => {
      const source = { secret: { name: secret } };
      return { name: "", projected: { sources: last ? [...others, source] : [source, ...others] } };
    });

const decoyVolume: fc.Arbitrary<Volume> = fc.oneof(
  fc.constant({ name: "", emptyDir: {} }),
  fc.constant({ name: "", configMap: { name: "generic-token-kubeconfig" } }),
  fc.constant({
    name: "",
    csi: {
      driver: "secrets.example.com",
      nodePublishSecretRef: { name: "generic-token-kubeconfig" },
    },
  }),
  fc.constant({ name: "generic-token-kubeconfig", secret: { secretName: "kubeconfig" } }),
  fc.constant({ name: "", projected: { sources: otherSources } }),
  secretVolume(fc.constantFrom(...secretNames.other)),
  projectedVolume(fc.constantFrom(...secretNames.other)),
);

const named = (volumes: readonly Volume[]): Volume[] =>
  volumes.map((volume, index) => ({
    ...volume,
    name: volume.name === "" || index > 0 ? `v${String(index)}` : volume.name,
  }));

const routedVolume = fc.oneof(
  { weight: 2, arbitrary: secretVolume(fc.constantFrom(...secretNames.routed)) },
  { weight: 2, arbitrary: projectedVolume(fc.constantFrom(...secretNames.routed)) },
);

/** Half of the Pods have a volume that routes them, at any place among others. */
const volumes: fc.Arbitrary<Volume[]> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(
        fc.array(decoyVolume, { maxLength: 2 }),
        fc.array(routedVolume, { minLength: 1, maxLength: 2 }),
        fc.array(decoyVolume, { maxLength: 1 }),
      )
      .map((parts) => named(parts.flat())),
  },
  { weight: 4, arbitrary: fc.array(decoyVolume, { minLength: 1, maxLength: 2 }).map(named) },
  { weight: 1, arbitrary: fc.constant<Volume[]>([]) },
);

const unrelatedAlias: fc.Arbitrary<HostAlias> = fc.record({
  ip: fc.constantFrom(...otherIPs),
  hostnames: fc.shuffledSubarray(otherHosts, { minLength: 1 }),
});

/** Aliases that touch the route: its IPs with other or the same hosts, its hosts at other IPs. */
const touchingAliases = ({ hosts, addresses }: Known): fc.WeightedArbitrary<HostAlias>[] => {
  if (hosts.length === 0) return [];
  const ipv6 = addresses.filter((address) => address.includes(":"));
  const someHosts = fc.shuffledSubarray([...hosts], { minLength: 1 });
  const someOthers = fc.shuffledSubarray(otherHosts, { minLength: 1 });
  const mixed = fc.tuple(someOthers, someHosts).map((parts) => parts.flat());
  const atOtherIP = fc.record({
    ip: fc.constantFrom(...otherIPs),
    hostnames: fc.oneof(someHosts, mixed),
  });
  if (addresses.length === 0) return [{ weight: 1, arbitrary: atOtherIP }];
  const ip = fc.constantFrom(...addresses);
  return [
    { weight: 2, arbitrary: fc.record({ ip, hostnames: someOthers }) },
    { weight: 2, arbitrary: fc.record({ ip, hostnames: fc.constant([...hosts]) }) },
    { weight: 2, arbitrary: fc.record({ ip, hostnames: fc.oneof(someHosts, mixed) }) },
    { weight: 1, arbitrary: ip.map((address) => ({ ip: address })) },
    { weight: 4, arbitrary: atOtherIP },
    ...(ipv6.length === 0
      ? []
      : [
          {
            weight: 1,
            arbitrary: fc.record({
              ip: fc
                .constantFrom(...ipv6)
                .map((address) => address.replace("::", ":0:0:0:0:").toUpperCase()),
              hostnames: fc.oneof(someHosts, someOthers),
            }),
          },
        ]),
  ];
};

const hostAliases = (known: Known): fc.Arbitrary<HostAlias[]> => {
  const alias = fc.oneof({ weight: 4, arbitrary: unrelatedAlias }, ...touchingAliases(known));
  return fc.oneof(
    { weight: 9, arbitrary: fc.constant<HostAlias[]>([]) },
    { weight: 3, arbitrary: fc.array(alias, { minLength: 1, maxLength: 1 }) },
    { weight: 2, arbitrary: fc.array(alias, { minLength: 2, maxLength: 3 }) },
  );
};

const labels = (known: Known): fc.Arbitrary<Record<string, string> | undefined> =>
  fc.oneof(
    { weight: 3, arbitrary: fc.constant(undefined) },
    {
      weight: 4,
      arbitrary: fc.constantFrom({ app: "a" }, { app: "a", "gardener.cloud/role": "controlplane" }),
    },
    {
      weight: 1,
      arbitrary: fc.constantFrom("allowed", "denied", "").map((v) => ({ [known.labelKey]: v })),
    },
    { weight: 1, arbitrary: fc.constant({ app: "a", [known.labelKey]: "denied" }) },
  );

const naming = fc.oneof(
  { weight: 9, arbitrary: fc.constant({ generated: false, namespaced: true }) },
  { weight: 2, arbitrary: fc.constant({ generated: true, namespaced: true }) },
  { weight: 1, arbitrary: fc.record({ generated: fc.boolean(), namespaced: fc.constant(false) }) },
);

const container = { name: "c", image: "i" };
const extras: fc.Arbitrary<Record<string, unknown>> = fc.oneof(
  { weight: 6, arbitrary: fc.constant({}) },
  {
    weight: 3,
    arbitrary: fc.constantFrom<Record<string, unknown>[]>(
      { hostNetwork: true },
      { initContainers: [{ name: "init", image: "i" }] },
      { imagePullSecrets: [{ name: "generic-token-kubeconfig" }] },
      { dnsPolicy: "Default", restartPolicy: "Never" },
      {
        containers: [
          { ...container, envFrom: [{ secretRef: { name: "generic-token-kubeconfig" } }] },
        ],
      },
    ),
  },
);

/** A Pod that has no name yet. */
type Draft = (name: string) => Pod;

const draft = (scenario: Scenario): fc.Arbitrary<Draft> => {
  const known = knownOf(scenario);
  return fc
    .record({ volumes, aliases: hostAliases(known), labels: labels(known), naming, extras })
    .map((parts) => (name) => ({
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        ...(parts.naming.generated ? { generateName: `${name}-` } : { name }),
        ...(parts.naming.namespaced ? { namespace: scenario.name } : {}),
        ...(parts.labels === undefined ? {} : { labels: parts.labels }),
      },
      spec: {
        containers: [container],
        ...parts.extras,
        ...(parts.volumes.length > 0 ? { volumes: parts.volumes } : {}),
        ...(parts.aliases.length > 0 ? { hostAliases: parts.aliases } : {}),
      },
    }));
};

const distinct = (drafts: readonly Draft[], count: number): readonly Draft[] => {
  const byText = new Map(drafts.map((make) => [JSON.stringify(make("")), make]));
  return [...byText.values()].slice(0, count);
};

const isRouting = (scenario: Scenario): boolean => {
  const { hosts, addresses } = knownOf(scenario);
  return hosts.length > 0 && addresses.length > 0;
};

/** A generated Pod and the scenario whose namespace it is created in. */
export interface GeneratedPod {
  readonly scenario: string;
  readonly pod: Pod;
}

/** The Pods of all scenarios: the same ones at each call. */
export const generatePods = (): readonly GeneratedPod[] =>
  scenarios.flatMap((scenario, index) => {
    const count = isRouting(scenario) ? podsOfRoutingScenario : podsOfOtherScenario;
    const drafts = fc.sample(draft(scenario), { numRuns: count * 2, seed: seed + index });
    return distinct(drafts, count).map((make, n) => ({
      scenario: scenario.name,
      pod: make(`p-${String(n).padStart(2, "0")}`),
    }));
  });
