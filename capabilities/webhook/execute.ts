import type { KubernetesClient } from "../../lib/cluster";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import {
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_TLS_SECRET,
} from "../../lib/domain/webhook";
import type { Operation } from "./fields";
import type { Candidate, ServingSecret, WebhookConfiguration } from "./observed";

const fieldManager = FIELD_MANAGERS.webhook;

/** Names fairlead's configuration. */
export const configurationRef = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  name: WEBHOOK_CONFIGURATION,
} as const;

/** Names fairlead's serving Secret. */
export const secretRef = {
  apiVersion: "v1",
  kind: "Secret",
  namespace: SYSTEM_NAMESPACE,
  name: WEBHOOK_TLS_SECRET,
} as const;

/**
 * Changes the configuration and nothing else of it.
 * @throws ApiError with reason Conflict when it is not the one that was seen any more.
 */
export async function patchConfiguration(
  client: KubernetesClient,
  seen: WebhookConfiguration,
  operations: readonly Operation[],
): Promise<void> {
  const precondition: Operation = {
    op: "replace",
    path: "/metadata/resourceVersion",
    value: seen.metadata.resourceVersion,
  };
  await client.patch(configurationRef, [precondition, ...operations], {
    type: "json",
    fieldManager,
  });
}

/**
 * Puts a serving certificate into the Secret: certificate and key in one write.
 * @throws ApiError with reason Conflict when it is not the Secret that was seen any more.
 */
export async function writeServing(
  client: KubernetesClient,
  seen: ServingSecret,
  { certificate, privateKeyPem }: Candidate,
): Promise<void> {
  const encode = (text: string): string => Buffer.from(text).toString("base64");
  const patch = {
    metadata: { resourceVersion: seen.metadata.resourceVersion },
    data: { "tls.crt": encode(certificate.pem), "tls.key": encode(privateKeyPem) },
  };
  await client.patch(secretRef, patch, { type: "merge", fieldManager });
}
