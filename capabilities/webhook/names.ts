import { GROUP } from "../../lib/domain/names";
import { SYSTEM_NAMESPACE, WEBHOOK_SERVICE } from "../../lib/domain/webhook";

/** On the MutatingWebhookConfiguration: the certificates (PEM) that fairlead last put into its caBundle. */
export const ANNOTATION_TRUSTED = `${GROUP}/trusted-certificates`;

/** The name that an API server verifies the certificate for. */
export const SERVER_NAME = `${WEBHOOK_SERVICE}.${SYSTEM_NAMESPACE}.svc`;

/** The names of a new certificate. */
export function servingNames(clusterDomain: string): readonly string[] {
  return [SERVER_NAME, `${WEBHOOK_SERVICE}.${SYSTEM_NAMESPACE}`, `${SERVER_NAME}.${clusterDomain}`];
}
