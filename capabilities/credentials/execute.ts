import type { HostedAPIServer, KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import {
  setFinalizer,
  tellChange,
  type DecisionContext,
  type KubernetesClient,
  type ObjectRef,
} from "../../lib/cluster";
import {
  ANNOTATION_SUPERSEDED_AT,
  FIELD_MANAGERS,
  FINALIZER_CREDENTIALS,
} from "../../lib/domain/names";
import { keyOf } from "../../lib/domain/keys";
import { issueClientCertificate } from "./issue";
import type { SettleAction } from "./plan";
import type { CredentialsStatus } from "./report";
import { toManifest, type DesiredSecret, type Owner } from "./secrets";
import type { Secret } from "./sources";
import type { ApplyAction } from "./wishes";

/** What writes go through. */
export interface ExecuteContext extends DecisionContext {
  readonly client: KubernetesClient;
}

const fieldManager = FIELD_MANAGERS.credentials;
const capability = "credentials";

/** Why each write is made. */
const reasons: Readonly<Record<ApplyAction["kind"] | SettleAction["kind"], string>> = {
  "add-finalizer": "FirstCopy",
  create: "Missing",
  replace: "SourceChanged",
  recreate: "Damaged",
  unmark: "CurrentAgain",
  "mark-superseded": "Superseded",
  delete: "NotNeeded",
  "remove-finalizer": "Deleted",
};

function tellWrite(
  context: ExecuteContext,
  hapi: HostedAPIServer,
  action: ApplyAction | SettleAction,
): void {
  const decision = {
    capability,
    key: keyOf(hapi),
    action: action.kind,
    reason: reasons[action.kind],
  };
  if (!("secret" in action)) {
    tellChange(context, decision);
    return;
  }
  const { namespace = "", name } =
    "metadata" in action.secret ? action.secret.metadata : action.secret;
  tellChange(context, decision, { object: `Secret ${namespace}/${name}` });
}
const finalizer = { finalizer: FINALIZER_CREDENTIALS, fieldManager };

const refOfSecret = ({ metadata }: PartialObjectMetadata): ObjectRef => ({
  apiVersion: "v1",
  kind: "Secret",
  namespace: metadata.namespace ?? "",
  name: metadata.name,
});

async function valuesOf({ content }: DesiredSecret): Promise<Readonly<Record<string, string>>> {
  if (content.kind === "known") return content.values;
  const issued = await issueClientCertificate(content.request);
  const { certificatePem: cert, privateKeyPem: key } = issued;
  return { cert, key, cacert: content.bundle.pem };
}

/** Another version of a Secret that is there already, and only if it still is the one that was read. */
function replacement(manifest: Secret, { metadata }: Secret): Secret {
  const { [ANNOTATION_SUPERSEDED_AT]: _mark, ...annotations } = metadata.annotations ?? {};
  return {
    ...manifest,
    metadata: {
      ...manifest.metadata,
      annotations,
      labels: { ...metadata.labels, ...manifest.metadata.labels },
      ...(metadata.uid === undefined ? {} : { uid: metadata.uid }),
      ...(metadata.resourceVersion === undefined
        ? {}
        : { resourceVersion: metadata.resourceVersion }),
    },
  };
}

function preconditionsOf({ metadata }: PartialObjectMetadata): {
  uid?: string;
  resourceVersion?: string;
} {
  const { uid, resourceVersion } = metadata;
  return {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  };
}

async function annotate(
  { client }: ExecuteContext,
  secret: PartialObjectMetadata,
  since: string | null,
): Promise<Secret> {
  const { resourceVersion, uid } = secret.metadata;
  const annotations = { [ANNOTATION_SUPERSEDED_AT]: since };
  const patch = { metadata: { resourceVersion, uid, annotations } };
  return client.patch<Secret>(refOfSecret(secret), patch, { type: "merge", fieldManager });
}

/** What a write was answered with: the HostedAPIServer, or a Secret, as it is then. */
export type Written =
  | { readonly kind: "hapi"; readonly hapi: HostedAPIServer }
  | { readonly kind: "secret"; readonly secret: Secret };

/**
 * Carries out a write that makes a Secret as it should be.
 * @throws ApiError where the API server refuses; AlreadyExists and Conflict are mended by planning again.
 */
export async function applyAction(
  context: ExecuteContext,
  action: ApplyAction,
  owner: Owner,
): Promise<Written> {
  const written = await apply(context, action, owner);
  tellWrite(context, owner.hapi, action);
  return written;
}

async function apply(context: ExecuteContext, action: ApplyAction, owner: Owner): Promise<Written> {
  const { client } = context;
  if (action.kind === "add-finalizer") {
    const hapi = await setFinalizer(client, owner.hapi, { ...finalizer, present: true });
    return { kind: "hapi", hapi };
  }
  return { kind: "secret", secret: await writeSecret(context, action, owner) };
}

async function writeSecret(
  context: ExecuteContext,
  action: Exclude<ApplyAction, { kind: "add-finalizer" }>,
  owner: Owner,
): Promise<Secret> {
  const { client } = context;
  if (action.kind === "unmark") return annotate(context, action.existing, null);
  const manifest = toManifest(action.secret, owner, await valuesOf(action.secret));
  if (action.kind === "replace") {
    return client.replace(replacement(manifest, action.existing), fieldManager);
  }
  if (action.kind === "recreate") {
    await client.delete(refOfSecret(action.existing), preconditionsOf(action.existing));
  }
  return client.create(manifest, fieldManager);
}

/**
 * Carries out a write that follows the status.
 * @throws ApiError where the API server refuses.
 */
export async function settleAction(
  context: ExecuteContext,
  action: SettleAction,
  hapi: HostedAPIServer,
): Promise<void> {
  switch (action.kind) {
    case "remove-finalizer":
      await setFinalizer(context.client, hapi, { ...finalizer, present: false });
      break;
    case "mark-superseded":
      await annotate(context, action.secret, action.since);
      break;
    case "delete":
      await deleteSecret(context.client, action.secret);
  }
  tellWrite(context, hapi, action);
}

/** Deletes a Secret if it is still the one that was looked at. */
export async function deleteSecret(
  client: KubernetesClient,
  secret: PartialObjectMetadata,
): Promise<void> {
  await client.delete(refOfSecret(secret), preconditionsOf(secret));
}

/**
 * Writes the part of the status that is this capability's, as a whole: what is left out goes.
 * @returns The HostedAPIServer as it is then.
 */
export async function writeStatus(
  { client }: ExecuteContext,
  hapi: HostedAPIServer,
  status: CredentialsStatus,
): Promise<HostedAPIServer> {
  const { apiVersion, kind, metadata } = hapi;
  const { name, namespace, uid } = metadata;
  const identity = {
    name,
    ...(namespace === undefined ? {} : { namespace }),
    ...(uid === undefined ? {} : { uid }),
  };
  const written = { apiVersion, kind, metadata: identity, status } as KubernetesObject;
  const options = { fieldManager, force: true, subresource: "status" } as const;
  return (await client.apply(written, options)) as HostedAPIServer;
}
