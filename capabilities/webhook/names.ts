import { GROUP } from "../../lib/domain/names";

// As Pepr names them for a module whose uuid is `fairlead`, and as the manifest and the chart do.

/** Where fairlead runs. */
export const NAMESPACE = "pepr-system";
/** The MutatingWebhookConfiguration. */
export const CONFIGURATION = "pepr-fairlead";
/** The Secret that the processes mount. */
export const SERVING_SECRET = "pepr-fairlead-tls";
/** The Service that leads to the admission replicas. */
export const SERVICE = "pepr-fairlead";

/** On the MutatingWebhookConfiguration: the certificates (PEM) that fairlead last put into its caBundle. */
export const ANNOTATION_TRUSTED = `${GROUP}/trusted-certificates`;

/** The name that an API server verifies the certificate for. */
export const SERVER_NAME = `${SERVICE}.${NAMESPACE}.svc`;

/** The names of a new certificate. */
export function servingNames(clusterDomain: string): readonly string[] {
  return [SERVER_NAME, `${SERVICE}.${NAMESPACE}`, `${SERVER_NAME}.${clusterDomain}`];
}
