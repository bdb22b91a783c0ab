import { serviceRoutes } from "./service-proxy";

const service = {
  metadata: { namespace: "a", name: "web" },
  spec: {
    clusterIPs: ["10.96.0.7", "fd00:10:96::7"],
    ports: [
      { name: "tls", port: 443 },
      { name: "dns", port: 53, protocol: "UDP" },
    ],
  },
};

function slice(endpoints: object[], changes: object = {}) {
  return {
    metadata: { namespace: "a", name: "web-1", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4" as const,
    ports: [{ name: "tls", port: 9443 }],
    endpoints: endpoints as never[],
    ...changes,
  };
}

const ready = (address: string, changes: object = {}) => ({
  addresses: [address],
  conditions: { ready: true, serving: true },
  ...changes,
});

describe("a Service's routes", () => {
  it("lead each cluster IP and TCP port to the ready endpoints of its family", () => {
    const unready = { addresses: ["10.0.0.2"], conditions: { ready: false, serving: false } };
    expect(serviceRoutes([service], [slice([ready("10.0.0.1"), unready])])).toEqual([
      { listen: "10.96.0.7:443", targets: [{ address: "10.0.0.1:9443" }] },
      { listen: "[fd00:10:96::7]:443", targets: [] },
    ]);
  });

  it("keep the zones that the endpoints' hints name", () => {
    const near = ready("10.0.0.1", { hints: { forZones: [{ name: "zone-1" }] } });
    expect(serviceRoutes([service], [slice([near])])[0]?.targets).toEqual([
      { address: "10.0.0.1:9443", zones: ["zone-1"] },
    ]);
  });

  it("lead to endpoints that terminate when no other is there", () => {
    const ending = { addresses: ["10.0.0.2"], conditions: { ready: false, serving: true } };
    const targets = (endpoints: object[]) =>
      serviceRoutes([service], [slice(endpoints)])[0]?.targets.map(({ address }) => address);
    expect(targets([ending])).toEqual(["10.0.0.2:9443"]);
    expect(targets([ending, ready("10.0.0.1")])).toEqual(["10.0.0.1:9443"]);
  });

  it("are not those of another Service, namespace or port", () => {
    const metadata = { name: "x", labels: { "kubernetes.io/service-name": "web" } };
    const foreign = [
      slice([ready("10.0.0.1")], { metadata: { ...metadata, namespace: "b" } }),
      slice([ready("10.0.0.1")], { ports: [{ name: "other", port: 1 }] }),
      slice([ready("10.0.0.1")], { metadata: { namespace: "a", name: "y", labels: {} } }),
    ];
    expect(serviceRoutes([service], foreign).flatMap(({ targets }) => targets)).toEqual([]);
  });

  it("are none for a headless Service", () => {
    const headless = { ...service, spec: { ...service.spec, clusterIPs: ["None"] } };
    expect(serviceRoutes([headless], [slice([ready("10.0.0.1")])])).toEqual([]);
  });
});
