import type { PartialObjectMetadata } from "../../../lib/api";
import type { DecidedCondition } from "../../../lib/domain/conditions";
import { serviceAddressesOf } from "./addresses";
import { serviceNameOf, type GatewayService } from "./internal-service";
import type { ObservedGateway } from "./observed";
import { filterPart, foreignObjects, servicePart } from "./parts";
import { refusePort } from "./ports";
import { routeSecretNameOf } from "./route-secret";

const isDeleted = ({ gateway }: ObservedGateway): boolean =>
  gateway.metadata.deletionTimestamp !== undefined;

/** Decides whether fairlead takes the InternalGateway: above all, whether its port is fairlead's alone. */
export function decideAccepted(observed: ObservedGateway): DecidedCondition {
  if (isDeleted(observed)) {
    return {
      type: "Accepted",
      status: "False",
      reason: "Deleting",
      message: `Waits for ${observed.attached} attached HostedAPIServers; delete them or change their gatewayRef.`,
    };
  }
  return (
    refusePort(observed) ?? {
      type: "Accepted",
      status: "True",
      reason: "Accepted",
      message: "The gateway is valid.",
    }
  );
}

const programmed = (
  status: DecidedCondition["status"],
  reason: string,
  message: string,
): DecidedCondition => ({ type: "Programmed", status, reason, message });

const no = (reason: string, message: string): DecidedCondition =>
  programmed("False", reason, message);

function refuseForeignObject(
  { gateway }: ObservedGateway,
  { kind, metadata }: PartialObjectMetadata,
): DecidedCondition {
  const name = `${metadata.namespace ?? ""}/${metadata.name}`;
  const remedy =
    kind === "Service" && metadata.name === serviceNameOf(gateway)
      ? "delete it, or choose another serviceName in a new InternalGateway"
      : "delete it, and fairlead makes its own";
  return no("ForeignObject", `${kind} ${name} exists and is not fairlead's; ${remedy}.`);
}

/** What is not made yet, as the condition Programmed; undefined where everything is there. */
function awaitParts(
  observed: ObservedGateway,
  service: GatewayService | undefined,
): DecidedCondition | undefined {
  const { gateway, istio, routeSecret, terminating } = observed;
  const namespace = gateway.metadata.namespace ?? "";
  const isComplete = service !== undefined && filterPart(observed).kind === "own";
  if (terminating && !isComplete)
    return no("Terminating", `Namespace ${namespace} is being deleted.`);
  if (service === undefined) {
    return no("Pending", `Service ${namespace}/${serviceNameOf(gateway)} is being created.`);
  }
  if (istio === undefined) {
    return no(
      "IstioNotInstalled",
      "The cluster does not serve Istio's kinds (networking.istio.io/v1); install Istio, and fairlead goes on by itself.",
    );
  }
  const secretName = `${namespace}/${routeSecretNameOf(gateway)}`;
  if (routeSecret.kind === "invalid") {
    return no(
      "RouteSecretInvalid",
      `Secret ${secretName} does not hold what fairlead wrote; delete it, and fairlead makes another.`,
    );
  }
  const filter = filterPart(observed);
  if (routeSecret.kind !== "known" || filter.kind !== "own" || !filter.inLine) {
    return no("Pending", "The EnvoyFilter that all hosted API servers share is being written.");
  }
  return undefined;
}

function judgeAddresses(observed: ObservedGateway, service: GatewayService): DecidedCondition {
  const { endpointSlices, deadAddresses } = observed;
  const name = `Service ${service.metadata.namespace ?? ""}/${service.metadata.name}`;
  const addresses = serviceAddressesOf(service, endpointSlices);
  if (addresses.length === 0) {
    return no(
      "AddressNotUsable",
      `${name} has no ready endpoint; are the gateway's Pods running, and do they match selector?`,
    );
  }
  if (addresses.every((address) => deadAddresses.has(address))) {
    return no(
      "AddressNotUsable",
      `Nobody answered at ${addresses.join(", ")}, where ${name} is; do the gateway's Pods listen in that IP family, and do NetworkPolicies let fairlead reach them?`,
    );
  }
  return programmed("True", "Programmed", `${name} leads to ready gateway Pods.`);
}

/** Decides whether everything is in place that an InternalGateway's servers share. */
export function decideProgrammed(observed: ObservedGateway): DecidedCondition {
  const [foreign] = foreignObjects(observed);
  if (foreign !== undefined) return refuseForeignObject(observed, foreign);
  if (!isDeleted(observed) && refusePort(observed) !== undefined) {
    return no("Invalid", "The gateway is not accepted.");
  }
  if (observed.refusal !== undefined) {
    return no("WriteRefused", `The API server refuses a write: ${observed.refusal}`);
  }
  const part = servicePart(observed);
  const service = part.kind === "own" ? part.object : undefined;
  const awaited = awaitParts(observed, service);
  if (awaited !== undefined || service === undefined) {
    return awaited ?? no("Pending", "The internal Service is being created.");
  }
  return judgeAddresses(observed, service);
}
