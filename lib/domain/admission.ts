/** Why the webhook admits Pods and Services. */
export type WebhookReason =
  /** The setting says so. */
  | "AsSet"
  /** There is no MutatingWebhookConfiguration of fairlead's, so nothing is admitted at all. */
  | "NotInstalled"
  /** fairlead has no right to write policies; in the restricted mode that is the default. */
  | "RightsMissing"
  /** An API server does not serve MutatingAdmissionPolicies. */
  | "NotServed"
  /** An object of that name exists and is not fairlead's. */
  | "ForeignObject"
  /** The API server refuses a policy, a binding or a parameter. */
  | "WriteRefused"
  /** Somebody keeps changing fairlead's policies. */
  | "Contested"
  /** Policies are being written, and API servers hear of them. */
  | "Preparing"
  /** They are there, and an API server was seen not to follow them. */
  | "NotInForce";

/** By what Pods and Services are admitted, and why. */
export type Admission =
  | {
      readonly by: "policies";
      readonly reason: "InForce";
      /** Namespaces that stay with the webhook, since policies can't act there; sorted. */
      readonly except: readonly string[];
    }
  | {
      readonly by: "webhook";
      readonly reason: WebhookReason;
      /** The same for people: a sentence. */
      readonly message: string;
    };

/** One line about it, for an annotation: `Policy`, or `Webhook: <reason>: <sentence>`. */
export function describeAdmission(admission: Admission): string {
  if (admission.by === "webhook") return `Webhook: ${admission.reason}: ${admission.message}`;
  if (admission.except.length === 0) return "Policy";
  return `Policy, and Webhook for ${admission.except.join(", ")}`;
}

const BY_WEBHOOK = /^Webhook: ([A-Za-z]+): (.*)$/s;
const BY_POLICIES = /^Policy(?:, and Webhook for (.+))?$/;

/** Reads what `describeAdmission` wrote; undefined where it says nothing, which means the webhook. */
export function parseAdmission(text: string | undefined): Admission | undefined {
  const [, reason, message = ""] = BY_WEBHOOK.exec(text ?? "") ?? [];
  if (reason !== undefined) return { by: "webhook", reason: reason as WebhookReason, message };
  const found = BY_POLICIES.exec(text ?? "");
  if (found === null) return undefined;
  const except = (found[1] ?? "").split(", ").filter((name) => name !== "");
  return { by: "policies", reason: "InForce", except };
}
