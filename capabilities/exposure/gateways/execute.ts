import {
  isNotFound,
  refOf,
  setFinalizer,
  tellChange,
  type CacheContext,
  type DecisionContext,
  type ServiceObject,
} from "../../../lib/cluster";
import { keyOf } from "../../../lib/domain/keys";
import { FIELD_MANAGERS, FINALIZER_EXPOSURE } from "../../../lib/domain/names";
import { executeWrite } from "../writes";
import type { GatewayObserver } from "./observe";
import type { ObservedGateway } from "./observed";
import type { GatewayAction } from "./plan";

/** What writes go through, and who is told of them. */
export interface ExecuteContext extends DecisionContext, Pick<CacheContext, "client"> {
  readonly observer: GatewayObserver;
}

const fieldManager = FIELD_MANAGERS.exposure;

async function setOwnFinalizer(
  { client, observer }: ExecuteContext,
  { gateway }: ObservedGateway,
  present: boolean,
): Promise<void> {
  const wish = { finalizer: FINALIZER_EXPOSURE, present, fieldManager };
  try {
    const written = await setFinalizer(client, gateway, wish);
    observer.wrote(keyOf(gateway), gateway, written);
  } catch (error) {
    if (!isNotFound(error)) throw error;
    // Another process was first, and nothing held it any more.
    observer.wrote(keyOf(gateway), gateway, undefined);
  }
}

async function patchService(
  { client, observer, ...context }: ExecuteContext,
  { gateway }: ObservedGateway,
  { service, patch }: Extract<GatewayAction, { kind: "patch-service" }>,
): Promise<void> {
  const operations = [
    { op: "test", path: "/metadata/resourceVersion", value: service.metadata.resourceVersion },
    { op: "add", path: "/metadata/labels", value: patch.labels },
    ...Object.entries(patch.spec).map(([field, value]) => ({
      op: "add",
      path: `/spec/${field}`,
      value,
    })),
  ];
  const options = { type: "json", fieldManager } as const;
  const written = await client.patch<ServiceObject>(refOf(service), operations, options);
  observer.wrote(keyOf(gateway), service, written);
  const decision = {
    capability: "exposure",
    key: keyOf(gateway),
    action: "patch",
    reason: "OutOfLine",
  };
  tellChange(context, decision, { object: `Service ${keyOf(service)}` });
}

/**
 * Carries out one action for an InternalGateway.
 * @throws {ForeignObjectError} where somebody else's object has come in the way.
 * @throws {ApiError} where the API server refuses; no error of a client's quotes the route secret.
 */
export async function executeAction(
  context: ExecuteContext,
  observed: ObservedGateway,
  action: GatewayAction,
): Promise<void> {
  const { gateway } = observed;
  switch (action.kind) {
    case "add-finalizer":
    case "remove-finalizer":
      return setOwnFinalizer(context, observed, action.kind === "add-finalizer");
    case "create-route-secret":
      return context.observer.routeSecrets.create(gateway);
    case "patch-service":
      return patchService(context, observed, action);
    case "create":
    case "update":
    case "delete": {
      const written = await executeWrite(context, keyOf(gateway), action);
      context.observer.wrote(keyOf(gateway), action.object, written);
    }
  }
}
