import {
  internalServiceOf,
  LABEL_NO_PORT_TRANSLATION,
  type GatewayService,
} from "../../capabilities/exposure/gateways/internal-service";
import { refusePort } from "../../capabilities/exposure/gateways/ports";
import type { AnyGateway } from "../../capabilities/exposure/caches";
import type { InternalGateway, KubernetesObject } from "../../lib/api";
import {
  startCluster,
  startDataPlane,
  type DataPlane,
  type EmbeddedCluster,
  type Gateway,
} from "../cluster";
import { Api, type Ref } from "../harness/api";
import { eventually } from "../harness/eventually";
import { namespace as namespaceOf } from "../harness/objects";
import { START_TIMEOUT_MS } from "../harness/stage";
import { describeDataPlane } from "./data-plane-choice";

jest.setTimeout(180_000);

const namespace = "istio-ingress";
const selector = { istio: "ingressgateway" };

const gatewayAt = (target: number): InternalGateway => ({
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace, uid: "9a" },
  spec: { selector, port: { service: 443, target } },
});

/** Somebody else's Gateway, in another namespace; plain HTTP, so that nothing but the port is needed. */
const shop: AnyGateway = {
  apiVersion: "networking.istio.io/v1",
  kind: "Gateway",
  metadata: { name: "shop", namespace: "shop" },
  spec: {
    selector,
    servers: [
      {
        port: { number: 443, name: "http", protocol: "HTTP" } as object,
        hosts: ["shop.example.com"],
      },
    ],
  },
};

/** As fairlead makes it; without its owner, which does not exist here. */
function internalService(): KubernetesObject {
  const { metadata, ...service } = internalServiceOf(gatewayAt(9443));
  const { ownerReferences: _owners, ...rest } = metadata;
  return { ...service, metadata: rest };
}

const publicService = (name: string, targetPort: number | string): object => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace },
  spec: { selector, ports: [{ name: "http", port: 443, targetPort }] },
});

/** Real istiod and Envoy: where a Gateway's port number comes out, and whether fairlead thinks so too. */
describeDataPlane("a foreign Gateway on port 443 of the same Pods", () => {
  let cluster: EmbeddedCluster;
  let plane: DataPlane;
  let gateway: Gateway;
  let api: Api;

  const serviceAt = (name: string): Ref => ({ kind: "Service", namespace, name });

  /** The ports of all listeners but Istio's own. */
  async function listenerPorts(): Promise<readonly number[]> {
    const [replica] = gateway.replicas;
    const text = (await replica?.admin("GET", "/listeners")) ?? "";
    const ports = [...text.matchAll(/^\S+::\S+:(\d+)$/gm)].map(([, port = ""]) => Number(port));
    return ports.filter((port) => port < 15_000);
  }

  async function expectListener(port: number): Promise<void> {
    await eventually(async () => {
      expect(await listenerPorts()).toEqual([port]);
    });
    const observed = {
      neighbours: [],
      services: (await api.list("Service", namespace)) as unknown as GatewayService[],
      pods: (await api.list("Pod", namespace)) as unknown as KubernetesObject[],
      foreignGateways: [shop],
    };
    const refusalOf = (target: number): string =>
      refusePort({ ...observed, gateway: gatewayAt(target) })?.reason ?? "none";
    const others = [443, 8443, 9443].filter((other) => other !== port);
    expect(others.filter((other) => refusalOf(other) === "PortInUse")).toEqual([]);
    // A Service that has 443 makes it ambiguous as a target, whoever listens there.
    expect(["PortInUse", "PortAmbiguous"]).toContain(refusalOf(port));
  }

  beforeAll(async () => {
    cluster = await startCluster({ version: "1.34", controllerManager: "run" });
    plane = await startDataPlane(cluster);
    api = new Api(cluster);
    gateway = await plane.addGateway({ namespace, name: "gateway", labels: selector });
    await api.create(namespaceOf("shop"));
    await api.create(internalService());
    await api.create(shop);
  }, START_TIMEOUT_MS);

  afterAll(async () => {
    api.close();
    await plane.stop();
    await cluster.stop();
  });

  it("stays there beside the internal Service, which has 443 too", async () => {
    await expectListener(443);
  });

  it("is not moved by a name that the Pods do not have", async () => {
    await api.create(publicService("a-name", "nowhere"));
    await expectListener(443);
  });

  it("goes where the public Service maps it, though the internal one is older", async () => {
    await api.create(publicService("istio-ingressgateway", 8443));
    await expectListener(8443);
  });

  it("stays where the oldest Service maps it", async () => {
    await api.create(publicService("younger", 9443));
    await expectListener(8443);
    await api.remove(serviceAt("istio-ingressgateway"));
    await expectListener(9443);
  });

  it("would be moved by the internal Service if that had no label against it", async () => {
    await api.remove(serviceAt("younger"));
    await expectListener(443);
    const labels = (value: string | null) => ({
      metadata: { labels: { [LABEL_NO_PORT_TRANSLATION]: value } },
    });
    await api.patch(serviceAt("istio-ingressgateway-internal"), labels(null));
    await expectListener(9443);
    await api.patch(serviceAt("istio-ingressgateway-internal"), labels("true"));
    await expectListener(443);
  });
});
