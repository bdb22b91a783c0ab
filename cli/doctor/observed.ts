import type {
  Deployment,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  PartialObjectMetadata,
} from "../../lib/api";
import type { ServerVersion } from "../../lib/cluster";
import type { PolicyRule } from "../../deploy/objects/rbac";

/** What came of a look at the cluster. */
export type Look<T> =
  | { readonly kind: "seen"; readonly value: T }
  /** The object, or its kind, does not exist. */
  | { readonly kind: "absent" }
  /** Nobody let us look; the end of a sentence. */
  | { readonly kind: "unseen"; readonly why: string };

/** A CustomResourceDefinition as it is served. */
export interface ServedDefinition extends KubernetesObject {
  readonly spec: {
    readonly versions: readonly { readonly name: string; readonly served: boolean }[];
  };
  readonly status?: {
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** A webhook of the MutatingWebhookConfiguration. */
export interface LiveWebhook {
  readonly [field: string]: unknown;
  readonly name: string;
  readonly failurePolicy?: string;
  readonly clientConfig: {
    /** PEM certificates, in base64. */
    readonly caBundle?: string;
    readonly url?: string;
  };
}

/** fairlead's MutatingWebhookConfiguration as it is. */
export interface WebhookConfiguration extends KubernetesObject {
  readonly webhooks?: readonly LiveWebhook[];
}

/** An EndpointSlice. */
export interface EndpointSlice extends KubernetesObject {
  readonly endpoints?:
    | readonly {
        readonly addresses?: readonly string[];
        readonly conditions?: { readonly ready?: boolean };
      }[]
    | null;
}

/** A Role or ClusterRole. */
export interface Role extends KubernetesObject {
  readonly rules?: readonly PolicyRule[] | null;
}

/** A RoleBinding or ClusterRoleBinding. */
export interface RoleBinding extends KubernetesObject {
  readonly roleRef: { readonly kind: string; readonly name: string };
  readonly subjects?:
    | readonly { readonly kind: string; readonly name: string; readonly namespace?: string }[]
    | null;
}

/** What RBAC grants: all bindings, and the roles that fairlead's are to. */
export interface Rbac {
  readonly bindings: readonly RoleBinding[];
  readonly roles: readonly Role[];
}

/** All that is looked at, at a time. */
export interface Observed {
  readonly nowMs: number;
  /** fairlead's version as this checkout has it (semver). */
  readonly version: string;
  readonly server: ServerVersion;
  /** By name: fairlead's own, Pepr's store, and Istio's. */
  readonly definitions: ReadonlyMap<string, Look<ServedDefinition>>;
  readonly systemNamespace: Look<PartialObjectMetadata>;
  readonly admission: Look<Deployment>;
  readonly watch: Look<Deployment>;
  readonly webhook: Look<WebhookConfiguration>;
  /** `tls.crt` of the serving Secret, PEM; empty where the Secret holds none. */
  readonly servingChain: Look<string>;
  readonly service: Look<KubernetesObject>;
  readonly endpointSlices: Look<readonly EndpointSlice[]>;
  readonly budget: Look<KubernetesObject>;
  /** ValidatingAdmissionPolicies and their bindings, as `Kind/name`. */
  readonly policies: ReadonlyMap<string, Look<KubernetesObject>>;
  readonly rbac: Look<Rbac>;
  readonly gateways: Look<readonly InternalGateway[]>;
  readonly servers: Look<readonly HostedAPIServer[]>;
  /** Metadata of all Namespaces. */
  readonly namespaces: Look<readonly PartialObjectMetadata[]>;
  /** The namespace that was asked for; undefined: all. */
  readonly namespace: string | undefined;
  /** False: only InternalGateways and HostedAPIServers were looked at. */
  readonly withInstallation: boolean;
}

/** What was seen; undefined otherwise. */
export function valueOf<T>(look: Look<T>): T | undefined {
  return look.kind === "seen" ? look.value : undefined;
}
