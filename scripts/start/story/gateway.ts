import type { InternalGateway, KubernetesObject } from "../../../lib/api";
import { conditionRows, conditionsHead, findCondition } from "../conditions";
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

const ref = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  namespace: GATEWAY_NAMESPACE,
  name: "default",
};

/** Waits until everything is known that there is to know: in which state it is served, or what it lacks. */
async function untilSettled({ client, machinery, signal }: Stage): Promise<InternalGateway> {
  const words = machinery === undefined ? "says what it lacks" : "is Programmed";
  return until({ signal }, `the InternalGateway ${words}`, async () => {
    const gateway = await client.get<InternalGateway>(ref);
    const programmed = findCondition(gateway, "Programmed");
    const isSettled =
      machinery === undefined
        ? programmed !== undefined && programmed.reason !== "Pending"
        : programmed?.status === "True";
    return isSettled ? gateway : undefined;
  });
}

/**
 * The gateway's side: an InternalGateway becomes a Service, and is ready once that leads somewhere.
 * @throws {StoryError} when the cluster does not show what the story says.
 */
export async function tellGateway(stage: Stage): Promise<Pick<Figures, "gatewayServiceMs">> {
  const { tell, machinery } = stage;
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
  const settled = await untilSettled(stage);
  tell.table(conditionsHead, conditionRows(settled));
  if (machinery === undefined) {
    tell.text("No gateway runs here, so it can't be Programmed, and says what it lacks.");
    return { gatewayServiceMs: tookMs };
  }
  const { addresses = [] } = settled.status ?? {};
  tell.claim(
    `its status names the address that answers: ${addresses.join(", ")}`,
    addresses.length > 0 && addresses.every((address) => clusterIPs.includes(address)),
    `the Service has ${clusterIPs.join(", ")}`,
  );
  return { gatewayServiceMs: tookMs };
}
