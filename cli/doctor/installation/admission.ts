import { parseAdmission, type Admission } from "../../../lib/domain/admission";
import { PARAMETERS_CONFIG_MAP } from "../../../lib/domain/admission-policies";
import { ANNOTATION_ADMISSION } from "../../../lib/domain/names";
import { WEBHOOK_CONFIGURATION } from "../../../lib/domain/webhook";
import { APPLY_MANIFEST, kubectl, WATCHER_LOGS } from "../commands";
import { problem, warning, type Finding } from "../finding";
import { valueOf, type Observed } from "../observed";

const subject = `MutatingWebhookConfiguration ${WEBHOOK_CONFIGURATION}`;
const ANNOTATION = ANNOTATION_ADMISSION.replaceAll(".", "\\.");

/** By what Pods and Services are admitted, as the watch process says; undefined where it has nothing to say. */
export function admissionOf({ webhook }: Observed): Admission | undefined {
  return parseAdmission(valueOf(webhook)?.metadata.annotations?.[ANNOTATION_ADMISSION]);
}

/** By what it is to be: `FAIRLEAD_ADMISSION` of the watch process. */
export function admissionSetting({ watch }: Observed): string {
  const containers = valueOf(watch)?.spec.template.spec?.containers ?? [];
  const settings = containers.flatMap(({ env = [] }) => env);
  const value = settings.find(({ name }) => name === "FAIRLEAD_ADMISSION")?.value ?? "";
  return value === "" ? "Auto" : value;
}

const LOOK = kubectl(
  ...["get", "mutatingwebhookconfiguration", WEBHOOK_CONFIGURATION, "-o"],
  `jsonpath={.metadata.annotations.${ANNOTATION}}`,
);

function commandsFor(reason: string): readonly string[] {
  if (reason === "RightsMissing" || reason === "WriteRefused") return [LOOK, APPLY_MANIFEST];
  return [LOOK, WATCHER_LOGS];
}

/** Policies admit where that is asked for, or can be. */
export function checkAdmission(observed: Observed): readonly Finding[] {
  const admission = admissionOf(observed);
  if (admission === undefined) return [];
  if (admission.by === "policies") {
    return admission.except.map((namespace) =>
      warning({
        subject: `ConfigMap ${namespace}/${PARAMETERS_CONFIG_MAP}`,
        reason: "ForeignParameters",
        message:
          "It is not fairlead's, or fairlead's was refused, or the route has more hosts and addresses than policies work through: this namespace stays with the webhook, so its control plane does not start while fairlead is down.",
        commands: [
          kubectl("-n", namespace, "get", "configmap", PARAMETERS_CONFIG_MAP, "-o", "yaml"),
          kubectl("-n", namespace, "delete", "configmap", PARAMETERS_CONFIG_MAP),
        ],
      }),
    );
  }
  const isAsked = admissionSetting(observed) === "Policy" && admission.reason !== "Preparing";
  return [
    (isAsked ? problem : warning)({
      subject,
      reason: `Admission${admission.reason}`,
      message: `Pods and Services are admitted by the webhook and not by policies: ${admission.message}`,
      commands: commandsFor(admission.reason),
    }),
  ];
}
