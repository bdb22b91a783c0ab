import {
  gatewayNetworkPoliciesOf,
  networkPoliciesOf,
  type APIServerService,
} from "../../../capabilities/exposure/resources";
import type {
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  NetworkPolicy,
} from "../../../lib/api";
import type { CaseAdapter, Given } from "../runner";

function ofKind<T extends KubernetesObject>({ objects }: Given, kind: string): readonly T[] {
  return objects.filter((object) => object.kind === kind) as unknown as readonly T[];
}

/** `when.yaml` is the HostedAPIServer, or the InternalGateway for what all its servers share. */
export const adapter: CaseAdapter = {
  capability: "network-policies",
  kinds: ["InternalGateway", "NetworkPolicy", "Service"],
  worldKeys: [],
  run(given, when) {
    const subject = when as KubernetesObject;
    const policies = ofKind<NetworkPolicy>(given, "NetworkPolicy");
    if (subject.kind === "InternalGateway") {
      return gatewayNetworkPoliciesOf(subject as InternalGateway, policies);
    }
    const [gateway] = ofKind<InternalGateway>(given, "InternalGateway");
    if (gateway === undefined) throw new Error("given.yaml: the InternalGateway is missing.");
    return networkPoliciesOf({
      server: subject as HostedAPIServer,
      gateway,
      service: ofKind<APIServerService>(given, "Service").find(
        ({ metadata }) => metadata.namespace === subject.metadata.namespace,
      ),
      policies,
    });
  },
};
