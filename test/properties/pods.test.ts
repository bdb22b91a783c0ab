import * as fc from "fast-check";
import { decideRouting } from "../../capabilities/pods/decide";
import type { RouteInputs } from "../../lib/domain/routes";
import { isSameAddress } from "../../lib/domain/ip-addresses";
import { networkPolicyLabel } from "../../lib/domain/network-policy-label";
import type { HostAlias, Pod } from "../../lib/domain/routed-pods";

const NAMESPACE = "shoot--dev--a";

const hosts = ["api.a.example.com", "api.b.example.com", "api.c.example.net"];
// Two spellings of one address among them.
const addresses = [
  "10.96.3.7",
  "10.96.3.8",
  "fd00:10:96::307",
  "fd00:10:96:0::307",
  "203.0.113.10",
];
const secrets = ["generic-token-kubeconfig", "generic-token-kubeconfig-4c8d12ab", "other"];

const anyHosts = fc
  .subarray(hosts, { minLength: 1 })
  .chain((chosen) => fc.shuffledSubarray(chosen, { minLength: chosen.length }));
const anyAddresses = fc.shuffledSubarray(addresses, { minLength: 1, maxLength: 2 });
const dnsLabel = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);

const anyAlias: fc.Arbitrary<HostAlias> = fc.record({
  ip: fc.constantFrom(...addresses),
  hostnames: fc.shuffledSubarray([...hosts, "db.example.org", "cache"]),
});

const anyPod: fc.Arbitrary<Pod> = fc
  .record({
    secret: fc.constantFrom(...secrets),
    projected: fc.boolean(),
    label: fc.constantFrom(undefined, "true", "false"),
    app: fc.boolean(),
    hostAliases: fc.option(fc.array(anyAlias, { maxLength: 4 }), { nil: undefined }),
  })
  .map(({ secret, projected, label, app, hostAliases }) => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      generateName: "controller-",
      ...(label === undefined && !app
        ? {}
        : {
            labels: {
              ...(app ? { app: "controller" } : {}),
              ...(label === undefined ? {} : { "fairlead.dev/route": label }),
            },
          }),
    },
    spec: {
      volumes: [
        projected
          ? { name: "kubeconfig", projected: { sources: [{ secret: { name: secret } }] } }
          : { name: "kubeconfig", secret: { secretName: secret } },
      ],
      ...(hostAliases === undefined ? {} : { hostAliases }),
    },
  }));

interface Route {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly gatewayNamespace: string;
  readonly port: number;
  /** Whether the ConfigMap gives the addresses, or the Service. */
  readonly given: boolean;
}

const anyRoute: fc.Arbitrary<Route> = fc.record({
  hosts: anyHosts,
  addresses: anyAddresses,
  gatewayNamespace: fc.oneof(fc.constant("istio-ingress"), dnsLabel),
  port: fc.integer({ min: 1, max: 65_535 }),
  given: fc.boolean(),
});

function inputsOf(route: Route, separator = ","): RouteInputs {
  const { gatewayNamespace, given, port } = route;
  return {
    namespace: NAMESPACE,
    configMap: {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name: "istio-internal-load-balancing", namespace: NAMESPACE },
      data: {
        hosts: route.hosts.join(separator),
        "istio-namespace": gatewayNamespace,
        port: String(port),
        ...(given ? { addresses: route.addresses.join(separator) } : {}),
      },
    },
    service: (namespace, name) =>
      namespace === gatewayNamespace && name === "istio-ingressgateway-internal"
        ? {
            apiVersion: "v1",
            kind: "Service",
            metadata: { name, namespace },
            spec: { type: "ClusterIP", clusterIPs: given ? ["10.96.99.99"] : route.addresses },
          }
        : undefined,
  };
}

function decidedPod(pod: Pod, inputs: RouteInputs): Pod {
  const decision = decideRouting(pod, inputs);
  if (decision.kind === "deny") throw new Error(decision.message);
  return decision.kind === "change" ? decision.pod : pod;
}

const routedPod = anyPod.map((pod) => ({
  ...pod,
  metadata: { ...pod.metadata, labels: { ...pod.metadata.labels, "fairlead.dev/route": "true" } },
}));

const isOurs = (ip: string, route: Route): boolean =>
  route.addresses.some((address) => isSameAddress(address, ip));

const aliasesOf = (pod: Pod): readonly HostAlias[] => pod.spec.hostAliases ?? [];

/** The addresses that a host resolves to inside the Pod. */
const resolve = (pod: Pod, host: string): readonly string[] =>
  aliasesOf(pod)
    .filter(({ hostnames }) => hostnames?.includes(host))
    .map(({ ip }) => ip);

it("deciding twice is deciding once", () => {
  fc.assert(
    fc.property(anyPod, anyRoute, (pod, route) => {
      const once = decidedPod(pod, inputsOf(route));
      const twice = decideRouting(once, inputsOf(route));

      expect(twice.kind).toBe("keep");
    }),
  );
});

it("a decision modifies neither the Pod nor the route", () => {
  fc.assert(
    fc.property(anyPod, anyRoute, (pod, route) => {
      const inputs = inputsOf(route);
      const before = structuredClone([pod, inputs.configMap]);
      decideRouting(pod, inputs);

      expect([pod, inputs.configMap]).toEqual(before);
    }),
  );
});

it("nothing of the user's is removed or moved", () => {
  fc.assert(
    fc.property(anyPod, anyRoute, (pod, route) => {
      const after = decidedPod(pod, inputsOf(route));
      const { hostAliases: _aliases, ...spec } = after.spec;
      const { hostAliases: _before, ...specBefore } = pod.spec;

      expect(spec).toEqual(specBefore);
      expect(after.metadata).toMatchObject(pod.metadata);
      aliasesOf(pod).forEach(({ ip, hostnames = [] }, index) => {
        const now = aliasesOf(after)[index];

        expect(now?.ip).toBe(ip);
        expect(now?.hostnames?.slice(0, hostnames?.length)).toEqual(hostnames);
      });
    }),
  );
});

it("an alias to an address that is not the route's stays as it is", () => {
  fc.assert(
    fc.property(routedPod, anyRoute, (pod, route) => {
      const foreign = (of: Pod) => aliasesOf(of).filter(({ ip }) => !isOurs(ip, route));

      expect(foreign(decidedPod(pod, inputsOf(route)))).toEqual(foreign(pod));
    }),
  );
});

it("a host resolves to all of the route's addresses, or where the user's own aliases lead", () => {
  fc.assert(
    fc.property(routedPod, anyRoute, (pod, route) => {
      const after = decidedPod(pod, inputsOf(route));
      for (const host of route.hosts) {
        const own = resolve(pod, host);
        const now = resolve(after, host);
        const elsewhere = own.some((ip) => !isOurs(ip, route));
        const covers = route.addresses.every((address) =>
          now.some((ip) => isSameAddress(ip, address)),
        );

        expect(elsewhere ? now : covers && now.every((ip) => isOurs(ip, route))).toEqual(
          elsewhere ? own : true,
        );
      }
    }),
  );
});

it("every host that the user keeps elsewhere is warned of, and no other", () => {
  fc.assert(
    fc.property(routedPod, anyRoute, (pod, route) => {
      const decision = decideRouting(pod, inputsOf(route));
      const kept = route.hosts.filter((host) =>
        resolve(pod, host).some((ip) => !isOurs(ip, route)),
      );

      expect("warnings" in decision ? decision.warnings : []).toEqual(
        kept.map((host) => expect.stringContaining(` ${host} `) as string),
      );
    }),
  );
});

it("an address and a host in it are added once", () => {
  fc.assert(
    fc.property(routedPod, anyRoute, (pod, route) => {
      const added = aliasesOf(decidedPod(pod, inputsOf(route))).slice(aliasesOf(pod).length);
      const ips = added.map(({ ip }) => ip);

      expect(
        ips.every((ip, index) => ips.findIndex((other) => isSameAddress(ip, other)) === index),
      ).toBe(true);
      expect(added.every(({ hostnames }) => new Set(hostnames).size === hostnames?.length)).toBe(
        true,
      );
    }),
  );
});

it("blanks, empty items and line ends around hosts and addresses change nothing", () => {
  const separator = fc.constantFrom(" , ", ",, ", ",\n", "\t,");
  fc.assert(
    fc.property(anyPod, anyRoute, separator, (pod, route, between) => {
      expect(decideRouting(pod, inputsOf(route, between))).toEqual(
        decideRouting(pod, inputsOf(route)),
      );
    }),
  );
});

it("the order of labels and volumes changes nothing", () => {
  fc.assert(
    fc.property(anyPod, anyRoute, (pod, route) => {
      const { labels, ...metadata } = pod.metadata;
      const reversed: Pod = {
        ...pod,
        metadata: {
          ...metadata,
          ...(labels === undefined
            ? {}
            : { labels: Object.fromEntries(Object.entries(labels).reverse()) }),
        },
        spec: { ...pod.spec, volumes: [...(pod.spec.volumes ?? [])].reverse() },
      };
      const one = decidedPod(pod, inputsOf(route));
      const other = decidedPod(reversed, inputsOf(route));

      expect([other.metadata, other.spec.hostAliases]).toEqual([
        one.metadata,
        one.spec.hostAliases,
      ]);
    }),
  );
});

it("the label is a valid label key, the same for the same destination alone", () => {
  const destination = fc.record({
    namespace: dnsLabel,
    service: dnsLabel,
    port: fc.integer({ min: 1, max: 65_535 }),
  });
  fc.assert(
    fc.property(destination, destination, (one, other) => {
      const [prefix, name = ""] = networkPolicyLabel(one).split("/");

      expect(prefix).toBe("networking.resources.gardener.cloud");
      expect(name).toMatch(/^[a-z0-9][-a-z0-9]{0,61}[a-z0-9]$/);
      expect(networkPolicyLabel({ ...one })).toBe(networkPolicyLabel(one));
      expect(networkPolicyLabel(one) === networkPolicyLabel(other)).toBe(
        `${one.namespace}-${one.service}-${one.port}` ===
          `${other.namespace}-${other.service}-${other.port}`,
      );
    }),
  );
});

it("whatever the ConfigMap says, the answer is a decision, and a denial is one sentence about it", () => {
  const text = fc.option(fc.oneof(fc.string(), fc.constantFrom(...hosts, ...addresses)), {
    nil: undefined,
  });
  const keys = { hosts: text, "istio-namespace": text, service: text, port: text, addresses: text };
  fc.assert(
    fc.property(routedPod, anyRoute, fc.record(keys), (pod, route, said) => {
      const { configMap, ...inputs } = inputsOf(route);
      const data = Object.entries(said).filter(([, value]) => value !== undefined);
      const decision = decideRouting(pod, {
        ...inputs,
        configMap: configMap && {
          ...configMap,
          data: Object.fromEntries(data) as Record<string, string>,
        },
      });
      const message = decision.kind === "deny" ? decision.message : undefined;

      expect(
        message ?? "fairlead: ConfigMap shoot--dev--a/istio-internal-load-balancing .",
      ).toMatch(/^fairlead: ConfigMap shoot--dev--a\/istio-internal-load-balancing [^\n]*\.$/);
    }),
  );
});
