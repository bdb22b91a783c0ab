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

function ofKind({ objects }: Given, wanted: string): readonly KubernetesObject[] {
  return objects.filter(({ kind }) => kind === wanted);
}

/** `when.yaml` is the HostedAPIServer, or the InternalGateway for what all its servers share. */
export const adapter: CaseAdapter = {
  capability: "network-policies",
  kinds: ["InternalGateway", "NetworkPolicy", "Service"],
  worldKeys: [],
  run(given, when) {
    const subject = when as KubernetesObject;
    const policies = ofKind(given, "NetworkPolicy") as readonly NetworkPolicy[];
    if (subject.kind === "InternalGateway") {
      return gatewayNetworkPoliciesOf(subject as InternalGateway, policies);
    }
    const [gateway] = ofKind(given, "InternalGateway") as readonly InternalGateway[];
    if (gateway === undefined) throw new Error("given.yaml: the InternalGateway is missing.");
    return networkPoliciesOf({
      server: subject as HostedAPIServer,
      gateway,
      service: ofKind(given, "Service").find(
        ({ metadata }) => metadata.namespace === subject.metadata.namespace,
      ) as APIServerService | undefined,
      policies,
    });
  },
};
