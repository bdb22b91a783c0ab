import { WEBHOOK_NAME, webhookRules, type WebhookRules } from "../../lib/domain/webhook";
import {
  API_PATH,
  clusterMeta,
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_SERVICE,
} from "../names";
import { sorted, type Entry, type Template } from "../template";

/** What happens to a request while no replica answers: as the module was built. */
export type FailurePolicy = "Fail" | "Ignore";

function configuration(failurePolicy: FailurePolicy, rules: WebhookRules | Template): Template {
  return {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind: "MutatingWebhookConfiguration",
    metadata: clusterMeta(WEBHOOK_CONFIGURATION),
    webhooks: [
      {
        name: WEBHOOK_NAME,
        admissionReviewVersions: ["v1"],
        // Without a caBundle: the watch process writes the one of the certificate that it makes.
        clientConfig: {
          service: {
            name: WEBHOOK_SERVICE,
            namespace: SYSTEM_NAMESPACE,
            path: `/mutate/${API_PATH}`,
            port: 443,
          },
        },
        failurePolicy,
        ...rules,
      },
    ],
  };
}

/** The rules of the restricted mode, with the control-plane namespaces in their place. */
function restrictedRules(): Template {
  const rules = webhookRules({ namespaces: [] });
  const matchExpressions = rules.namespaceSelector.matchExpressions.map((requirement) =>
    requirement.operator === "In"
      ? { ...requirement, values: sorted("rbac.controlPlaneNamespaces") }
      : requirement,
  );
  return { ...rules, namespaceSelector: { matchExpressions } };
}

/** The MutatingWebhookConfiguration, which the watch process keeps in line from then on. */
export function webhookEntries(failurePolicy: FailurePolicy): readonly Entry[] {
  return [
    {
      object: configuration(failurePolicy, webhookRules()),
      when: [{ path: "rbac.restricted", is: false }],
    },
    {
      object: configuration(failurePolicy, restrictedRules()),
      when: [{ path: "rbac.restricted", is: true }],
    },
  ];
}
