import { equals } from "ramda";
import {
  isIssuedBy,
  parseCertificates,
  validityAt,
  type Certificate,
} from "../../../lib/domain/certificates";
import { formatTime } from "../../../lib/domain/conditions";
import { certificateCoversHost } from "../../../lib/domain/hosts";
import {
  namedServices,
  SYSTEM_NAMESPACE,
  WEBHOOK_CONFIGURATION,
  WEBHOOK_NAME,
  WEBHOOK_SERVICE,
  WEBHOOK_TLS_SECRET,
  webhookRules,
  type WebhookRules,
} from "../../../lib/domain/webhook";
import { APPLY_MANIFEST, jsonPatch, kubectl, RESTART_WATCHER, WATCHER_LOGS } from "../commands";
import { problem, unseen, warning, type Finding } from "../finding";
import { valueOf, type LiveWebhook, type Observed } from "../observed";
import { admissionOf } from "./admission";

const subject = `MutatingWebhookConfiguration ${WEBHOOK_CONFIGURATION}`;
const target = { resource: "mutatingwebhookconfiguration", name: WEBHOOK_CONFIGURATION };
const SERVER_NAME = `${WEBHOOK_SERVICE}.${SYSTEM_NAMESPACE}.svc`;

/** The only namespaces that concern fairlead, in the restricted mode; undefined: all do. */
export function controlPlaneNamespaces({ watch }: Observed): readonly string[] | undefined {
  const containers = valueOf(watch)?.spec.template.spec?.containers ?? [];
  const value = containers
    .flatMap(({ env = [] }) => env)
    .find(({ name }) => name === "FAIRLEAD_CONTROL_PLANE_NAMESPACES")?.value;
  const names = (value ?? "").split(",").filter((name) => name !== "");
  return names.length === 0 ? undefined : names;
}

function rulesOf(observed: Observed): WebhookRules {
  const namespaces = controlPlaneNamespaces(observed);
  const admission = admissionOf(observed);
  return webhookRules({
    serviceNames: namedServices(valueOf(observed.servers) ?? []),
    ...(namespaces === undefined ? {} : { namespaces }),
    ...(admission?.by === "policies" ? { policies: true, except: admission.except } : {}),
  });
}

/** Fields that are not as fairlead keeps them. The names of Services are known only to who sees all HostedAPIServers. */
function fieldsOutOfLine(webhook: LiveWebhook, observed: Observed): readonly string[] {
  const isPartial = observed.servers.kind !== "seen" || observed.namespace !== undefined;
  return Object.entries(rulesOf(observed))
    .filter(([field]) => !(isPartial && field === "matchConditions"))
    .filter(([field, wanted]) => !equals(webhook[field], wanted as unknown))
    .map(([field]) => field);
}

function checkFields(webhook: LiveWebhook, observed: Observed): readonly Finding[] {
  const findings: Finding[] = [];
  const fields = fieldsOutOfLine(webhook, observed);
  if (fields.length > 0) {
    findings.push(
      problem({
        subject,
        reason: "WebhookNotInLine",
        message: `${fields.join(", ")} ${fields.length === 1 ? "is" : "are"} not as fairlead wants. The watch process sets that back within moments: it does not run, or somebody keeps changing it.`,
        commands: [WATCHER_LOGS, RESTART_WATCHER],
      }),
    );
  }
  if (webhook.failurePolicy !== "Fail") {
    const operation = { op: "replace", path: "/webhooks/0/failurePolicy", value: "Fail" };
    findings.push(
      warning({
        subject,
        reason: "FailurePolicyIgnore",
        message:
          "failurePolicy is not Fail: a Pod that is created while no replica answers runs without its route for as long as it lives.",
        commands: [jsonPatch(target, operation)],
      }),
    );
  }
  return findings;
}

function anchorsOf({ clientConfig }: LiveWebhook): readonly Certificate[] {
  const text = Buffer.from(clientConfig.caBundle ?? "", "base64").toString("utf8");
  const parsed = parseCertificates(text);
  return parsed.kind === "parsed" ? parsed.certificates : [];
}

/** fairlead renews after two thirds of a validity; after five sixths it should have. */
function isLate({ notBeforeMs, notAfterMs }: Certificate, nowMs: number): boolean {
  return nowMs > notBeforeMs + ((notAfterMs - notBeforeMs) * 5) / 6;
}

const secretSubject = `Secret ${SYSTEM_NAMESPACE}/${WEBHOOK_TLS_SECRET}`;

function renewalProblem(reason: string, message: string): Finding {
  return problem({
    subject: secretSubject,
    reason,
    message: `${message} The watch process makes another one.`,
    commands: [WATCHER_LOGS, RESTART_WATCHER],
  });
}

function judgeLeaf(
  leaf: Certificate,
  anchors: readonly Certificate[],
  nowMs: number,
): Finding | undefined {
  const until = formatTime(leaf.notAfterMs);
  switch (validityAt(leaf, nowMs)) {
    case "expired":
      return renewalProblem("CertificateExpired", `The serving certificate expired at ${until}.`);
    case "notYetValid":
      return renewalProblem("CertificateNotYetValid", "The serving certificate is not valid yet.");
    case "valid":
      break;
  }
  if (!leaf.dnsNames.some((name) => certificateCoversHost(name, SERVER_NAME))) {
    const message = `The serving certificate is not for ${SERVER_NAME}.`;
    return renewalProblem("CertificateForOtherName", message);
  }
  const isTrusted = anchors.some(
    (anchor) => anchor.sha256 === leaf.sha256 || isIssuedBy(leaf, anchor),
  );
  if (!isTrusted) {
    const message = "caBundle does not trust the serving certificate: no request gets through.";
    return renewalProblem("CertificateNotTrusted", message);
  }
  if (!isLate(leaf, nowMs)) return undefined;
  const message = `The serving certificate ends at ${until} and should have been renewed.`;
  return renewalProblem("CertificateNotRenewed", message);
}

function checkCertificate(webhook: LiveWebhook, observed: Observed): readonly Finding[] {
  const { servingChain, nowMs } = observed;
  const anchors = anchorsOf(webhook);
  if (anchors.length === 0) {
    const text = {
      subject,
      reason: "NoCABundle",
      message:
        "caBundle holds no certificate: the API server trusts no replica. The watch process writes it.",
      commands: [WATCHER_LOGS, RESTART_WATCHER],
    };
    return [problem(text)];
  }
  if (anchors.every((anchor) => validityAt(anchor, nowMs) === "expired")) {
    const message = "All certificates in caBundle have expired.";
    return [renewalProblem("CertificateExpired", message)];
  }
  if (servingChain.kind === "unseen") return [unseen(secretSubject, servingChain.why)];
  if (servingChain.kind === "absent") {
    const message = "It does not exist: the admission replicas have nothing to serve with.";
    const text = { subject: secretSubject, reason: "NotInstalled", message };
    return [problem({ ...text, commands: [APPLY_MANIFEST] })];
  }
  const parsed = parseCertificates(servingChain.value);
  if (parsed.kind === "malformed") {
    return [renewalProblem("NoCertificate", "It holds no certificate to serve with.")];
  }
  const found = judgeLeaf(parsed.certificates[0], anchors, nowMs);
  return found === undefined ? [] : [found];
}

/** The webhook's configuration and its certificate are as fairlead keeps them. */
export function checkWebhook(observed: Observed): readonly Finding[] {
  const { webhook: look } = observed;
  if (look.kind === "unseen") return [unseen(subject, look.why)];
  const webhook = valueOf(look)?.webhooks?.find(({ name }) => name === WEBHOOK_NAME);
  if (webhook === undefined) {
    const message =
      look.kind === "absent"
        ? "It does not exist: no Pod is routed and no Service is set when it is created."
        : `It has no webhook ${WEBHOOK_NAME}: no Pod is routed when it is created.`;
    return [problem({ subject, reason: "NotInstalled", message, commands: [APPLY_MANIFEST] })];
  }
  const findings = checkFields(webhook, observed);
  if (webhook.clientConfig.url === undefined) {
    return [...findings, ...checkCertificate(webhook, observed)];
  }
  const development = warning({
    subject,
    reason: "CalledByURL",
    message:
      "The API server calls the webhook by a URL, as in development, and not by its Service.",
    commands: [kubectl("delete", target.resource, target.name), APPLY_MANIFEST],
  });
  return [...findings, development];
}

/** Days until the serving certificate ends, rounded down; undefined where it was not seen. */
export function servingDaysLeft({ servingChain, nowMs }: Observed): number | undefined {
  const parsed = parseCertificates(valueOf(servingChain) ?? "");
  if (parsed.kind === "malformed") return undefined;
  return Math.floor((parsed.certificates[0].notAfterMs - nowMs) / 86_400_000);
}
