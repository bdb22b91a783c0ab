import type { InternalGateway, KubernetesObject, PartialObjectMetadata } from "../../../lib/api";
import { isOwnObject } from "../objects";
import { marks, objectName } from "../resources";

/** The Secret that holds what selects the trusted route. */
export interface RouteSecret extends KubernetesObject {
  readonly type?: string;
  readonly immutable?: boolean;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** What is there under the route Secret's name. */
export type RouteSecretState =
  | { readonly kind: "absent" }
  /** Somebody else's. */
  | { readonly kind: "foreign" }
  /** Own and being deleted, or own but without a value that can be one. */
  | { readonly kind: "going" | "invalid"; readonly object: PartialObjectMetadata }
  /** `value` is never to be logged, nor to be part of a message. */
  | { readonly kind: "known"; readonly object: PartialObjectMetadata; readonly value: string };

const KEY = "value";

/** The name of an InternalGateway's route Secret. */
export function routeSecretNameOf({ metadata }: InternalGateway): string {
  return objectName("fairlead", metadata.name, "route");
}

/** The metadata of an InternalGateway's route Secret, in the gateway's namespace. */
export function routeSecretMetadataOf(gateway: InternalGateway): PartialObjectMetadata {
  const { name, namespace = "", uid = "" } = gateway.metadata;
  return {
    apiVersion: "v1",
    kind: "Secret",
    metadata: {
      name: routeSecretNameOf(gateway),
      namespace,
      labels: marks(gateway.metadata),
      ownerReferences: [{ apiVersion: gateway.apiVersion, kind: gateway.kind, name, uid }],
    },
  };
}

/**
 * The route Secret with a value.
 * @param value 64 hex digits of 32 random bytes.
 */
export function routeSecretOf(gateway: InternalGateway, value: string): RouteSecret {
  return {
    ...routeSecretMetadataOf(gateway),
    type: "Opaque",
    immutable: true,
    data: { [KEY]: Buffer.from(value).toString("base64") },
  };
}

/** The value of a route Secret; undefined where it has none that can be one. */
export function routeSecretValue({ data }: RouteSecret): string | undefined {
  const value = Buffer.from(data?.[KEY] ?? "", "base64").toString("latin1");
  return /^[0-9a-f]{64}$/.test(value) ? value : undefined;
}

/** A Secret without what it holds. */
export function withoutData({
  apiVersion,
  kind,
  metadata,
}: KubernetesObject): PartialObjectMetadata {
  return { apiVersion, kind, metadata };
}

/** Whether a Secret is the one that fairlead made for this InternalGateway. */
export function isOwnRouteSecret(gateway: InternalGateway, secret: KubernetesObject): boolean {
  return isOwnObject(secret, routeSecretMetadataOf(gateway));
}
