import { decideExposure } from "../../../capabilities/exposure/decide";
import {
  planGateway,
  serviceNameOf,
  type EndpointSlice,
  type GatewayService,
} from "../../../capabilities/exposure/gateways/plan";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import type { CaseAdapter, Given } from "../runner";

const DEFAULT_NOW = "2026-11-21T12:00:00Z";

function ofKind({ objects }: Given, kind: string): readonly KubernetesObject[] {
  return objects.filter((object) => object.kind === kind);
}

const servers = (given: Given): readonly HostedAPIServer[] =>
  ofKind(given, "HostedAPIServer") as readonly HostedAPIServer[];
const services = (given: Given): readonly GatewayService[] =>
  ofKind(given, "Service") as readonly GatewayService[];
const endpointSlices = (given: Given): readonly EndpointSlice[] =>
  ofKind(given, "EndpointSlice") as readonly EndpointSlice[];

function parseNow({ world }: Given): number {
  return Date.parse(typeof world.now === "string" ? world.now : DEFAULT_NOW);
}

function selects(gateway: InternalGateway, pod: KubernetesObject): boolean {
  return Object.entries(gateway.spec.selector).every(
    ([key, value]) => pod.metadata.labels?.[key] === value,
  );
}

function runGateway(given: Given, gateway: InternalGateway): unknown {
  const { namespace = "", name } = gateway.metadata;
  const own = ({ metadata }: KubernetesObject): boolean => metadata.namespace === namespace;
  const namespaceObject = ofKind(given, "Namespace").find(
    ({ metadata }) => metadata.name === namespace,
  );
  return planGateway({
    gateway,
    services: services(given).filter(own),
    endpointSlices: endpointSlices(given).filter(
      (slice) =>
        own(slice) &&
        slice.metadata.labels?.["kubernetes.io/service-name"] === serviceNameOf(gateway),
    ),
    pods: ofKind(given, "Pod").filter((pod) => selects(gateway, pod)),
    attached: servers(given).filter(
      ({ status }) =>
        status?.gatewayRef?.namespace === namespace && status.gatewayRef.name === name,
    ).length,
    terminating: namespaceObject?.metadata.deletionTimestamp !== undefined,
    nowMs: parseNow(given),
  });
}

function runServer(given: Given, hapi: HostedAPIServer): unknown {
  const namespace = ofKind(given, "Namespace").find(
    ({ metadata }) => metadata.name === hapi.metadata.namespace,
  );
  return decideExposure(hapi, namespace?.metadata);
}

/** `when.yaml` is the InternalGateway or the HostedAPIServer that is looked at. */
export const adapter: CaseAdapter = {
  capability: "exposure",
  kinds: ["Service", "EndpointSlice", "Pod", "Namespace", "HostedAPIServer"],
  worldKeys: ["now"],
  run(given, when) {
    const subject = when as KubernetesObject;
    switch (subject.kind) {
      case "InternalGateway":
        return runGateway(given, subject as InternalGateway);
      case "HostedAPIServer":
        return runServer(given, subject as HostedAPIServer);
      default:
        throw new Error("when.yaml: the subject is an InternalGateway or a HostedAPIServer.");
    }
  },
};
