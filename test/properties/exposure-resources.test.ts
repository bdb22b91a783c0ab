import fc from "fast-check";
import {
  destinationRuleOf,
  envoyFilterOf,
  gatewayOf,
  virtualServiceOf,
  type Exposure,
} from "../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../lib/api";

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/);
const subdomain = fc
  .array(fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/), { minLength: 1, maxLength: 6 })
  .map((labels) =>
    labels
      .join(".")
      .slice(0, 253)
      .replace(/[-.]+$/, ""),
  );
const port = fc.integer({ min: 1, max: 65_535 });

const gateway: fc.Arbitrary<InternalGateway> = fc
  .record({ name: subdomain, namespace: label, uid: fc.uuid(), target: port, service: port })
  .map(({ name, namespace, uid, target, service }) => ({
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "InternalGateway",
    metadata: { name, namespace, uid },
    spec: { selector: { istio: "ingressgateway" }, port: { target, service } },
  }));

const server: fc.Arbitrary<HostedAPIServer> = fc
  .record({
    name: label,
    namespace: label,
    hosts: fc.uniqueArray(subdomain, { minLength: 1, maxLength: 16 }),
    service: fc.record({ name: label, port }),
  })
  .map(({ name, namespace, hosts, service }) => ({
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { name, namespace },
    spec: { kubernetesVersion: "1.34.2", hosts, service },
  }));

const credentials = fc.record({
  server: label,
  upstream: label,
  clientCertificates: fc.boolean(),
});

const exposure: fc.Arbitrary<Exposure> = fc.record({
  server,
  gateway,
  namespaceUid: fc.uuid(),
  mode: fc.oneof(
    fc.record({ kind: fc.constant("L7" as const), credentials }),
    fc.record({
      kind: fc.constant("L4" as const),
      credentials: fc.option(credentials, { nil: undefined }),
    }),
  ),
  trusted: fc.boolean(),
  routeSecret: fc.stringMatching(/^[0-9a-f]{32}$/),
  clusterDomain: fc.constantFrom("cluster.local", "seed.example"),
});

function objectsOf(input: Exposure) {
  return [gatewayOf(input), virtualServiceOf(input), destinationRuleOf(input)] as const;
}

/** The limits of names, and of what labels hold. */
function expectWellFormed({ metadata }: KubernetesObject): void {
  expect(metadata.name).toMatch(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);
  expect(metadata.name.length).toBeLessThanOrEqual(253);
  for (const value of Object.values(metadata.labels ?? {})) {
    expect(value).toMatch(/^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/);
  }
}

describe("the objects of a hosted API server", () => {
  it("are the same for the same inputs, in whatever order its hosts are", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const hosts = [...input.server.spec.hosts].reverse();
        const turned = { ...input.server, spec: { ...input.server.spec, hosts } };
        expect(JSON.stringify(objectsOf({ ...input, server: turned }))).toBe(
          JSON.stringify(objectsOf(input)),
        );
      }),
    );
  });

  it("have names and labels within the limits, in the gateway's namespace, for it alone", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const [gatewayObject, virtualService, destinationRule] = objectsOf(input);
        for (const object of [gatewayObject, virtualService, destinationRule]) {
          expectWellFormed(object);
          expect(object.metadata.namespace).toBe(input.gateway.metadata.namespace);
        }
        expect(virtualService.spec.exportTo).toEqual(["."]);
        expect(destinationRule.spec.exportTo).toEqual(["."]);
      }),
    );
  });

  it("differ in the Gateway alone between L4 and L7", () => {
    fc.assert(
      fc.property(exposure, credentials, (input, found) => {
        const l7 = objectsOf({ ...input, mode: { kind: "L7", credentials: found } });
        const l4 = objectsOf({ ...input, mode: { kind: "L4", credentials: found } });
        expect(l4.slice(1)).toEqual(l7.slice(1));
        expect(l4[0]).not.toEqual(l7[0]);
        expect({ ...l4[0], spec: null }).toEqual({ ...l7[0], spec: null });
      }),
    );
  });

  it("lead to subsets that are there", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const [, virtualService, destinationRule] = objectsOf(input);
        const { http = [], tls } = virtualService.spec;
        const wanted = [...http, ...tls].flatMap((rule) =>
          "route" in rule ? rule.route.map(({ destination }) => destination.subset) : [],
        );
        const subsets = destinationRule.spec.subsets.map(({ name }) => name);
        expect(wanted.filter((name) => !subsets.includes(name))).toEqual([]);
      }),
    );
  });

  it("begin TLS in subsets alone, since routes of others to the Service come by the top of the rule", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const { trafficPolicy, subsets } = destinationRuleOf(input).spec;
        expect(trafficPolicy.tls).toEqual({ mode: "DISABLE" });
        expect(subsets.every((subset) => subset.trafficPolicy?.tls !== undefined)).toBe(true);
      }),
    );
  });

  it("have a trusted route only where it is asked for, and there are client certificates", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const [, { spec }] = objectsOf(input);
        const forwarding = (spec.http ?? []).flatMap((rule) => ("route" in rule ? [rule] : []));
        const trusted = forwarding.filter(({ route }) =>
          route.some(({ destination }) => destination.subset === "client-certificate"),
        );
        const isExpected = input.trusted && input.mode.credentials?.clientCertificates === true;
        expect(trusted).toHaveLength(isExpected ? 1 : 0);
        expect(trusted.every(({ match }) => match !== undefined)).toBe(true);
        expect(forwarding.at(-1)?.match).toBeUndefined();
        // The secret leads there and goes no further.
        for (const { match, headers } of trusted) {
          const names = match?.flatMap((one) => Object.keys(one.headers));
          expect(headers?.request.remove).toEqual(names);
        }
      }),
    );
  });

  it("do not hold the route secret where there is no trusted route", () => {
    fc.assert(
      fc.property(exposure, (input) => {
        const text = JSON.stringify(objectsOf({ ...input, trusted: false }));
        expect(text).not.toContain(input.routeSecret);
      }),
    );
  });
});

describe("the shared filter", () => {
  const secret = "0123456789abcdef0123456789abcdef";

  it("acts on fairlead's port, and on clusters of fairlead's subsets", () => {
    fc.assert(
      fc.property(gateway, (input) => {
        const { spec, metadata, ...rest } = envoyFilterOf(input, secret);
        expectWellFormed({ ...rest, metadata });
        for (const { applyTo, match } of spec.configPatches) {
          // What is found by its name alone changes nothing by itself.
          if (applyTo === "EXTENSION_CONFIG") continue;
          const isOurs =
            "listener" in match
              ? match.listener.portNumber === input.spec.port?.target
              : "cluster" in match &&
                ["client-certificate", "no-client-certificate"].includes(
                  match.cluster.subset ?? "",
                );
          expect(isOurs).toBe(true);
        }
        expect(spec.workloadSelector.labels).toEqual(input.spec.selector);
      }),
    );
  });

  it("has one script, which the filter of each host finds by a name that no other gateway's has", () => {
    fc.assert(
      fc.property(gateway, gateway, (input, other) => {
        const [texts, names] = [new Set<string>(), new Set<string>()];
        for (const one of [input, other]) {
          const { configPatches } = envoyFilterOf(one, secret).spec;
          const valuesOf = (applied: string) =>
            configPatches.flatMap(({ applyTo, patch }) =>
              applyTo === applied && "value" in patch ? [patch.value] : [],
            );
          const [scripts, filters] = [valuesOf("EXTENSION_CONFIG"), valuesOf("HTTP_FILTER")];
          expect(scripts.map(({ name }) => name)).toEqual(filters.map(({ name }) => name));
          expect(JSON.stringify(filters)).not.toContain("inline_string");
          expect(JSON.stringify(configPatches).split(secret)).toHaveLength(2);
          texts.add(one.metadata.name);
          names.add(JSON.stringify(scripts.map(({ name }) => name)));
        }
        expect(names.size).toBe(texts.size);
      }),
    );
  });

  it("never touches a transport socket, which passed-through chains would get too", () => {
    fc.assert(
      fc.property(gateway, (input) => {
        expect(JSON.stringify(envoyFilterOf(input, secret))).not.toMatch(/transport_?socket/i);
      }),
    );
  });

  it("does not grow with hosted API servers: it is made of the gateway alone, and stays small", () => {
    fc.assert(
      fc.property(gateway, (input) => {
        const attached = { ...input, status: { attachedAPIServers: 200 } };
        const text = JSON.stringify(envoyFilterOf(attached, secret));
        expect(text).toBe(JSON.stringify(envoyFilterOf(input, secret)));
        expect(text.length).toBeLessThan(12_000);
      }),
    );
  });
});
