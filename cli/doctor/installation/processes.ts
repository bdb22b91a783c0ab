import type { Deployment } from "../../../lib/api";
import { SYSTEM_NAMESPACE, WEBHOOK_SERVICE } from "../../../lib/domain/webhook";
import { ADMISSION, WATCH, type ProcessNames } from "../../../deploy/names";
import { APPLY_MANIFEST, kubectl } from "../commands";
import { problem, unseen, warning, type Finding } from "../finding";
import type { Look, Observed } from "../observed";

const inSystem = ["-n", SYSTEM_NAMESPACE];

/** With fewer, requests are refused while a node is drained. */
const MINIMUM: Readonly<Record<ProcessNames["mode"], number>> = { admission: 2, watch: 1 };

const consequence: Readonly<Record<ProcessNames["mode"], string>> = {
  admission: "Pods and Services that concern fairlead are refused while none is ready",
  watch: "what is there goes on serving, and nothing follows changes",
};

function podsCommand({ selector }: ProcessNames): string {
  const labels = Object.entries(selector).map(([key, value]) => `${key}=${value}`);
  return kubectl(...inSystem, "describe", "pods", "-l", labels.join(","));
}

/** What the Deployment's own conditions say of a failure. */
function failureOf({ status }: Deployment): string {
  const failing = (status?.conditions ?? []).filter(
    ({ type, status: is }) =>
      (type === "ReplicaFailure" && is === "True") || (type === "Progressing" && is === "False"),
  );
  return failing.map(({ message = "" }) => ` ${message.replace(/\.?$/, ".")}`).join("");
}

function judge(process: ProcessNames, deployment: Deployment): readonly Finding[] {
  const { mode, deployment: name } = process;
  const subject = `Deployment ${SYSTEM_NAMESPACE}/${name}`;
  const minimum = MINIMUM[mode];
  const { replicas = 1 } = deployment.spec;
  const { readyReplicas = 0, observedGeneration = 0 } = deployment.status ?? {};
  if (replicas < minimum) {
    const text = {
      subject,
      reason: "TooFewReplicas",
      message: `It is to have ${replicas} replicas: with fewer than ${minimum}, ${consequence[mode]}.`,
      commands: [
        kubectl(...inSystem, "scale", `deployment/${name}`, `--replicas=${String(minimum)}`),
      ],
    };
    return [problem(text)];
  }
  if (observedGeneration >= (deployment.metadata.generation ?? 0) && readyReplicas >= replicas) {
    return [];
  }
  return [
    problem({
      subject,
      reason: "NotReady",
      message: `${readyReplicas} of ${replicas} replicas are ready; ${consequence[mode]}.${failureOf(deployment)}`,
      commands: [
        podsCommand(process),
        kubectl(...inSystem, "rollout", "restart", `deployment/${name}`),
      ],
    }),
  ];
}

function checkProcess(process: ProcessNames, look: Look<Deployment>): readonly Finding[] {
  const subject = `Deployment ${SYSTEM_NAMESPACE}/${process.deployment}`;
  if (look.kind === "unseen") return [unseen(subject, look.why)];
  if (look.kind === "seen") return judge(process, look.value);
  const message = `It does not exist: ${consequence[process.mode]}.`;
  return [problem({ subject, reason: "NotInstalled", message, commands: [APPLY_MANIFEST] })];
}

/** Both processes run, in sufficient number, in the namespace that Pepr wants. */
export function checkProcesses(observed: Observed): readonly Finding[] {
  const { systemNamespace, admission, watch, budget } = observed;
  if (systemNamespace.kind === "absent") {
    const subject = `Namespace ${SYSTEM_NAMESPACE}`;
    const message = "It does not exist: fairlead is not installed.";
    return [problem({ subject, reason: "NotInstalled", message, commands: [APPLY_MANIFEST] })];
  }
  const findings = [...checkProcess(ADMISSION, admission), ...checkProcess(WATCH, watch)];
  if (budget.kind === "absent" && admission.kind === "seen") {
    findings.push(
      warning({
        subject: `PodDisruptionBudget ${SYSTEM_NAMESPACE}/${ADMISSION.deployment}`,
        reason: "NoBudget",
        message:
          "It does not exist: a drain may end all admission replicas at once. (`npx pepr deploy` makes none; it is for evaluation.)",
        commands: [APPLY_MANIFEST],
      }),
    );
  }
  return findings;
}

/** The API server finds a replica behind the webhook's Service. */
export function checkService({ service, endpointSlices }: Observed): readonly Finding[] {
  const subject = `Service ${SYSTEM_NAMESPACE}/${WEBHOOK_SERVICE}`;
  if (service.kind === "unseen") return [unseen(subject, service.why)];
  if (service.kind === "absent") {
    const message = "It does not exist: the API server can't call the webhook.";
    return [problem({ subject, reason: "NotInstalled", message, commands: [APPLY_MANIFEST] })];
  }
  if (endpointSlices.kind === "unseen") return [unseen(subject, endpointSlices.why)];
  const slices = endpointSlices.kind === "seen" ? endpointSlices.value : [];
  const ready = slices
    .flatMap(({ endpoints }) => endpoints ?? [])
    .filter(({ conditions }) => conditions?.ready !== false);
  if (ready.length > 0) return [];
  return [
    problem({
      subject,
      reason: "NoEndpoints",
      message: `It leads to no ready replica: ${consequence.admission}.`,
      commands: [
        podsCommand(ADMISSION),
        kubectl(...inSystem, "rollout", "restart", `deployment/${ADMISSION.deployment}`),
      ],
    }),
  ];
}
