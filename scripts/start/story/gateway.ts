import type { InternalGateway, KubernetesObject } from "../../../lib/api";
import { conditionRows, conditionsHead, findStatus } from "../conditions";
import { formatDuration, type Figures } from "../figures";
import type { Service } from "../objects";
import { watchFor } from "../sightings";
import { kubectl, listOf, mustKubectl, until, type Stage } from "../stage";

const ZONE = "topology.kubernetes.io/zone";
const NODES = ["fairlead-demo-zone-a", "fairlead-demo-zone-b"];

/** The gateway's namespace, as the examples have it. */
export const GATEWAY_NAMESPACE = "istio-ingress";
/** The Service that fairlead makes in front of it. */
export const GATEWAY_SERVICE = "istio-ingressgateway-internal";

/** The Nodes that the story makes where the cluster has no two zones. */
export const nodeNames: readonly string[] = NODES;

/** A slice as the endpoint slice controller would write it for a gateway Pod that is ready. */
const endpointSlice = {
  apiVersion: "discovery.k8s.io/v1",
  kind: "EndpointSlice",
  metadata: {
    namespace: GATEWAY_NAMESPACE,
    name: `${GATEWAY_SERVICE}-by-hand`,
    labels: {
      "kubernetes.io/service-name": GATEWAY_SERVICE,
      "endpointslice.kubernetes.io/managed-by": "npm-start",
    },
  },
  addressType: "IPv4",
  endpoints: [{ addresses: ["10.1.2.3"], conditions: { ready: true } }],
  ports: [{ name: "tls", port: 9443, protocol: "TCP" }],
};

async function ensureTwoZones(stage: Stage): Promise<void> {
  const nodes = await stage.client.list<KubernetesObject>({ apiVersion: "v1", kind: "Node" });
  const zones = new Set(nodes.items.flatMap(({ metadata }) => metadata.labels?.[ZONE] ?? []));
  if (zones.size >= 2) {
    stage.tell.text(`The cluster's Nodes span ${zones.size} zones.`);
    return;
  }
  stage.tell.text("Two Nodes in two zones: objects without a machine, so no Pod runs on them.");
  const made = NODES.map((name) => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: { [ZONE]: name.replace("fairlead-demo-", "") } },
    spec: { unschedulable: true },
  }));
  await mustKubectl(stage, ["apply", "-f", "-"], listOf(made));
}

/** What later chapters know of the gateway. */
export interface Gateway extends Pick<Figures, "gatewayServiceMs"> {
  /** The addresses of its Service that answer. */
  readonly addresses: readonly string[];
}

/** Applies the example; answers the Service that comes of it, and when. */
async function makeService(
  stage: Stage,
): Promise<{ readonly service: Service; readonly tookMs: number }> {
  const gateways = await watchFor<InternalGateway>(stage, {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "InternalGateway",
  });
  const services = await watchFor<Service>(stage, { apiVersion: "v1", kind: "Service" });
  try {
    await kubectl(stage, ["apply", "-f", "examples/internal-gateway.yaml"]);
    const applied = await gateways.first("the InternalGateway exists", () => true);
    const { object, atMs } = await services.first(
      `Service ${GATEWAY_SERVICE} is made`,
      ({ metadata }) =>
        metadata.namespace === GATEWAY_NAMESPACE && metadata.name === GATEWAY_SERVICE,
    );
    return { service: object, tookMs: Math.max(0, atMs - applied.atMs) };
  } finally {
    gateways.stop();
    services.stop();
  }
}

/**
 * The gateway's side: an InternalGateway becomes a Service, and is ready once that leads somewhere.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellGateway(stage: Stage): Promise<Gateway> {
  const { tell, client } = stage;
  tell.chapter("The gateway's owner consents");
  await ensureTwoZones(stage);
  const { service, tookMs } = await makeService(stage);
  const { clusterIPs = [], ports } = service.spec;
  const [port] = ports ?? [];
  tell.claim(
    `fairlead has made Service ${GATEWAY_NAMESPACE}/${GATEWAY_SERVICE} in ${formatDuration(tookMs)}: ${clusterIPs.join(", ")}, port 443 → 9443`,
    clusterIPs.length > 0 && port?.port === 443 && port.targetPort === 9443,
    `its port is ${JSON.stringify(port)}`,
  );
  tell.text(
    "No Istio runs here, and no controller: the EndpointSlice of a ready gateway Pod is written by hand.",
  );
  await mustKubectl(stage, ["apply", "-f", "-"], endpointSlice);
  const ref = {
    apiVersion: "fairlead.dev/v1alpha1",
    kind: "InternalGateway",
    namespace: GATEWAY_NAMESPACE,
    name: "default",
  };
  const ready = await until(stage, "the InternalGateway is Programmed", async () => {
    const gateway = await client.get<InternalGateway>(ref);
    return findStatus(gateway, "Programmed") === "True" ? gateway : undefined;
  });
  tell.table(conditionsHead, conditionRows(ready));
  const { addresses = [] } = ready.status ?? {};
  tell.claim(
    `its status names the address that answers: ${addresses.join(", ")}`,
    addresses.length > 0 && addresses.every((address) => clusterIPs.includes(address)),
    `the Service has ${clusterIPs.join(", ")}`,
  );
  return { addresses, gatewayServiceMs: tookMs };
}
