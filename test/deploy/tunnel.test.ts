import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { nodeProxyConfiguration } from "../../deploy/tunnel/envoy";
import { NODE_PROXY_IMAGES, nodeProxyObjects } from "../../deploy/tunnel/manifests";

const proxy = {
  gateway: { host: "gateway.example.com", port: 8132 },
  apiServerHost: "api.tenant-a.example.com",
  listen: { addresses: ["192.0.2.1"], port: 443 },
  statusPort: 16_910,
} as const;

const installation = { ...proxy, namespace: "kube-system", images: NODE_PROXY_IMAGES };

/** What a Pod of the DaemonSet may do. */
interface PodSpec {
  readonly automountServiceAccountToken: boolean;
  readonly volumes: readonly Readonly<Record<string, unknown>>[];
  readonly initContainers: readonly Container[];
  readonly containers: readonly Container[];
}

interface Container {
  readonly command?: readonly string[];
  readonly securityContext: {
    readonly runAsUser: number;
    readonly capabilities: { readonly drop: readonly string[]; readonly add?: readonly string[] };
  };
}

function podSpecOf(of: Parameters<typeof nodeProxyObjects>[0]): PodSpec {
  const daemonSet = nodeProxyObjects(of).find(({ kind }) => kind === "DaemonSet");
  return (daemonSet as unknown as { spec: { template: { spec: PodSpec } } }).spec.template.spec;
}

describe("the node proxy's manifest", () => {
  it("is the example", () => {
    const example = readFileSync(join(__dirname, "../../examples/tunnel/node-proxy.yaml"), "utf8");
    const documents = parseAllDocuments(example).map((document) => document.toJS() as unknown);
    expect(documents).toEqual(nodeProxyObjects(installation));
  });

  it("gives the proxy no credentials of any kind", () => {
    const spec = podSpecOf(installation);
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(spec.volumes.flatMap((volume) => Object.keys(volume)).sort()).toEqual(
      ["configMap", "emptyDir", "name", "name"].sort(),
    );
    expect(nodeProxyObjects(installation).map(({ kind }) => kind)).toEqual([
      "ServiceAccount",
      "ConfigMap",
      "DaemonSet",
    ]);
  });

  it("lets each container do what it is there for, and no more", () => {
    const [address] = podSpecOf(installation).initContainers;
    const [low] = podSpecOf(installation).containers;
    const high = podSpecOf({ ...installation, listen: { ...proxy.listen, port: 6443 } })
      .containers[0];
    expect(address?.securityContext.capabilities).toEqual({ drop: ["ALL"], add: ["NET_ADMIN"] });
    expect(low?.securityContext.capabilities).toEqual({ drop: ["ALL"], add: ["NET_BIND_SERVICE"] });
    // Who may listen as anybody is nobody.
    expect(high?.securityContext).toMatchObject({
      runAsUser: 65_532,
      capabilities: { drop: ["ALL"] },
    });
  });

  it("is another ConfigMap, and so a rollout, where the configuration is another", () => {
    const nameOf = (port: number) =>
      nodeProxyObjects({ ...installation, gateway: { ...proxy.gateway, port } })[1]?.metadata.name;
    expect(nameOf(8132)).not.toBe(nameOf(8133));
  });

  it("adds an address once, and says so by its exit code", () => {
    const [address] = podSpecOf({
      ...installation,
      listen: { addresses: ["192.0.2.1", "2001:db8::1"], port: 443 },
    }).initContainers;
    const script = address?.command?.[2] ?? "";
    // A stand-in for ip, which knows the first address already.
    const ip = 'ip() { if [ "$2" = show ]; then echo "inet 192.0.2.1/32"; else echo "$@"; fi; }';
    expect(execFileSync("sh", ["-c", `${ip}; ${script}`], { encoding: "utf8" })).toBe(
      "addr add 2001:db8::1/128 dev lo\n",
    );
    const failing = 'ip() { [ "$2" = show ]; }';
    expect(spawnSync("sh", ["-c", `${failing}; ${script}`]).status).not.toBe(0);
  });
});

describe("the node proxy's configuration", () => {
  it("names the tenant by its host, and looks up a gateway's name", () => {
    const text = JSON.stringify(nodeProxyConfiguration(proxy));
    expect(text).toContain('"tunneling_config":{"hostname":"api.tenant-a.example.com:443"}');
    expect(text).toContain('"type":"STRICT_DNS"');
    const byAddress = { ...proxy, gateway: { host: "203.0.113.7", port: 8132 } };
    expect(JSON.stringify(nodeProxyConfiguration(byAddress))).not.toContain("DNS");
  });

  it("has no TLS of its own: what is inside is the client's", () => {
    expect(JSON.stringify(nodeProxyConfiguration(proxy))).not.toMatch(/transport_socket|tls/i);
  });
});
