import { decideExposure } from "../../../capabilities/exposure/decide";
import {
  planGateway,
  serviceNameOf,
  type EndpointSlice,
  type GatewayService,
} from "../../../capabilities/exposure/plan";
import type { HostedAPIServer, InternalGateway, KubernetesObject } from "../../../lib/api";
import type { CaseAdapter, Given } from "../runner";

const DEFAULT_NOW = "2026-11-21T12:00:00Z";

function ofKind<T extends KubernetesObject>({ objects }: Given, kind: string): readonly T[] {
  return objects.filter((object) => object.kind === kind) as unknown as readonly T[];
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
    services: ofKind<GatewayService>(given, "Service").filter(own),
    endpointSlices: ofKind<EndpointSlice>(given, "EndpointSlice").filter(
      (slice) =>
        own(slice) &&
        slice.metadata.labels?.["kubernetes.io/service-name"] === serviceNameOf(gateway),
    ),
    pods: ofKind(given, "Pod").filter((pod) => selects(gateway, pod)),
    attached: ofKind<HostedAPIServer>(given, "HostedAPIServer").filter(
      ({ status }) =>
        status?.gatewayRef?.namespace === namespace && status.gatewayRef.name === name,
    ).length,
    terminating: namespaceObject?.metadata.deletionTimestamp !== undefined,
    nowMs: Date.parse(String(given.world["now"] ?? DEFAULT_NOW)),
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
