import fc from "fast-check";
import {
  envoyFilterOf,
  loopbackAddressOf,
  tunnelObjectsOf,
  type Exposure,
  type Tunnel,
} from "../../capabilities/exposure/resources";
import type { HostedAPIServer, InternalGateway, TunnelRoute } from "../../lib/api";

const label = fc.stringMatching(/^[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?$/);
const credentials = fc.record({
  server: label,
  upstream: label,
  clientCertificates: fc.boolean(),
});
const ports = { port: 8132, loopbackPort: 9444 };
const address = fc.ipV4().map((text) => text.replace(/^\d+/, "127"));

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace: "istio-ingress", uid: "9a" },
  spec: { selector: { istio: "ingressgateway" }, tunnel: ports },
};

const server: fc.Arbitrary<HostedAPIServer> = fc
  .record({
    name: label,
    namespace: label,
    clusterIPs: fc.uniqueArray(fc.ipV4(), { maxLength: 2 }),
  })
  .map(({ name, namespace, clusterIPs }) => ({
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "HostedAPIServer",
    metadata: { name, namespace },
    spec: {
      kubernetesVersion: "1.34.2",
      hosts: [`api.${namespace}.example.com`],
      tunnel: { clusterIPs },
    },
  }));

const exposure: fc.Arbitrary<Exposure> = fc.record({
  server,
  gateway: fc.constant(gateway),
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
  clusterDomain: fc.constant("cluster.local"),
});

const tunnel: fc.Arbitrary<Tunnel> = fc.record({ exposure, ports: fc.constant(ports), address });

const portsOf = ({ match }: TunnelRoute): readonly number[] => match.map(({ port }) => port);

describe("the objects of a tunnel", () => {
  it("lead requests nowhere but from where TLS ended", () => {
    fc.assert(
      fc.property(tunnel, (input) => {
        const { virtualService } = tunnelObjectsOf(input);
        const [first, ...requests] = virtualService.spec.http;
        expect(first?.name).toMatch(/^tunnel/);
        expect(first === undefined ? [] : portsOf(first)).toEqual([ports.port]);
        // A route without a port would be there for plain HTTP too, on the port that anybody reaches.
        expect(requests.flatMap(portsOf).every((port) => port === ports.loopbackPort)).toBe(true);
        expect(requests.every(({ match }) => match.length > 0)).toBe(true);
      }),
    );
  });

  it("have the trusted route where the public hosts have it, and never last", () => {
    fc.assert(
      fc.property(tunnel, (input) => {
        const { http } = tunnelObjectsOf(input).virtualService.spec;
        const { mode, trusted } = input.exposure;
        const isTrusted = ({ name }: TunnelRoute) => name === "client-certificate";
        const isExpected = trusted && mode.credentials?.clientCertificates === true;
        expect(http.filter(isTrusted)).toHaveLength(isExpected ? 1 : 0);
        expect(http.length === 1 || http.at(-1)?.name === "no-client-certificate").toBe(true);
      }),
    );
  });

  it("end at one loopback address, which no Service and no network leads to", () => {
    fc.assert(
      fc.property(tunnel, (input) => {
        const { gateway: made, serviceEntry } = tunnelObjectsOf(input);
        expect(serviceEntry.spec.endpoints).toEqual([{ address: input.address }]);
        const bound = made.spec.servers.filter((one) => "bind" in one);
        expect(bound.every(({ bind }) => bind === input.address)).toBe(true);
        expect(bound).toHaveLength(input.exposure.mode.credentials === undefined ? 0 : 1);
      }),
    );
  });

  it("take the tenant's public hosts alone, on the port that anybody reaches", () => {
    fc.assert(
      fc.property(tunnel, (input) => {
        const { gateway: made } = tunnelObjectsOf(input);
        const open = made.spec.servers.filter((one) => !("bind" in one));
        expect(open).toEqual([
          {
            hosts: input.exposure.server.spec.hosts,
            port: { name: "http-tunnel", number: ports.port, protocol: "HTTP" },
          },
        ]);
      }),
    );
  });
});

describe("the address where a tunnel ends", () => {
  const key = fc.tuple(label, label).map((parts) => parts.join("/"));

  it("stays, unless it is taken, and is never one that is", () => {
    fc.assert(
      fc.property(
        key,
        fc.option(address, { nil: undefined }),
        fc.array(address),
        (of, at, list) => {
          const taken = new Set(list);
          const found = loopbackAddressOf(of, at, taken);
          expect(taken.has(found)).toBe(false);
          expect(loopbackAddressOf(of, found, taken)).toBe(found);
          const stays = at !== undefined && !taken.has(at);
          expect(stays ? found : at).toBe(at);
        },
      ),
    );
  });

  it("is another one where the first is taken, and never 127.0", () => {
    fc.assert(
      fc.property(key, (of) => {
        const first = loopbackAddressOf(of, undefined, new Set());
        const second = loopbackAddressOf(of, undefined, new Set([first]));
        expect(second).not.toBe(first);
        for (const found of [first, second]) {
          expect(found).toMatch(/^127\.(?!0\.)(?!255\.)\d+\.\d+\.\d+$/);
          expect(found).not.toMatch(/\.(0|255)$/);
        }
      }),
    );
  });
});

describe("the shared filter", () => {
  const secret = "0123456789abcdef0123456789abcdef";

  it("does not know tunnels where the gateway takes none, and acts on their ports where it does", () => {
    const { tunnel: _tunnel, ...spec } = gateway.spec;
    const without = envoyFilterOf({ ...gateway, spec }, secret);
    const known = envoyFilterOf(gateway, secret);
    expect(JSON.stringify(without)).not.toMatch(/CONNECT|8132|9444/);
    const added = known.spec.configPatches.filter(
      (patch) =>
        !without.spec.configPatches.some((one) => JSON.stringify(one) === JSON.stringify(patch)),
    );
    const places = added.flatMap(({ match }) => {
      if ("listener" in match) return [match.listener.portNumber];
      if ("cluster" in match) return [match.cluster.portNumber];
      return "routeConfiguration" in match ? [match.routeConfiguration.portNumber] : [];
    });
    expect([...new Set(places)].sort()).toEqual([8132, 9444]);
    // The rest is what the filter there is to do.
    const scripts = added.filter(({ applyTo }) => applyTo === "EXTENSION_CONFIG");
    expect(scripts).toHaveLength(1);
    expect(places).toHaveLength(added.length - 1);
  });
});
