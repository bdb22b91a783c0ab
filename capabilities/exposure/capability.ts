import { a, Capability, RegisterKind } from "pepr";
import { GROUP, VERSION } from "../../lib/domain/names";

/** The model by which Pepr watches InternalGateways; fairlead's own type is `lib/api`'s. */
class InternalGateway extends a.GenericKind {}

RegisterKind(InternalGateway, {
  group: GROUP,
  version: VERSION,
  kind: "InternalGateway",
  plural: "internalgateways",
});

/**
 * The capability's side in Pepr: a watch that only wakes the controller up. The controller's own caches are what it
 * works from; Pepr's watch gives up, forgets deletions and delivers out of order, and Pepr deploys a watch process only
 * where there is one.
 * @param wake Told the key (`namespace/name`) of an InternalGateway that may have changed.
 */
export function exposureCapability(wake: (key: string) => void): Capability {
  const capability = new Capability({
    name: "exposure",
    description: "Leads requests to hosted API servers through Istio ingress gateways.",
  });
  capability
    .When(InternalGateway)
    .IsCreatedOrUpdated()
    .Watch((gateway) => {
      wake(`${gateway.metadata?.namespace ?? ""}/${gateway.metadata?.name ?? ""}`);
    });
  return capability;
}
