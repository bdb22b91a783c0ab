import { byNamespaceAndName } from "./order";
import { unseen, type Finding, type Severity } from "./finding";
import { admissionOf, checkAdmission } from "./installation/admission";
import { checkDefinitions, checkIstio, checkKubernetes } from "./installation/definitions";
import { checkProcesses, checkService } from "./installation/processes";
import { checkPolicies, checkRights } from "./installation/rights";
import { checkWebhook, servingDaysLeft } from "./installation/webhook";
import { gatewayRow, judgeGateway, type GatewayRow } from "./objects/gateways";
import { judgeServer, serverRow, type ServerRow } from "./objects/servers";
import { valueOf, type Observed } from "./observed";

/** A part of the installation that was looked at. */
export interface Check {
  readonly name: string;
  /** The worst that was found. */
  readonly result: "ok" | Severity;
}

/** What the doctor says. */
export interface Diagnosis {
  readonly checks: readonly Check[];
  /** Days until the webhook's serving certificate ends; null where it was not seen. */
  readonly servingCertificateDaysLeft: number | null;
  /** By what Pods and Services are admitted; null where that was not seen. */
  readonly admittedBy: "policies" | "webhook" | null;
  readonly internalGateways: readonly GatewayRow[];
  readonly hostedAPIServers: readonly ServerRow[];
  readonly findings: readonly Finding[];
}

const installation: readonly (readonly [
  name: string,
  check: (o: Observed) => readonly Finding[],
])[] = [
  ["Kubernetes", checkKubernetes],
  ["Istio", checkIstio],
  ["CustomResourceDefinitions", checkDefinitions],
  ["processes", checkProcesses],
  ["webhook's Service", checkService],
  ["webhook and its certificate", checkWebhook],
  ["admission", checkAdmission],
  ["rights", checkRights],
  ["policies", checkPolicies],
];

/** The worst first. */
const order: readonly Severity[] = ["problem", "unseen", "warning"];

function worstOf(findings: readonly Finding[]): Check["result"] {
  return order.find((severity) => findings.some((each) => each.severity === severity)) ?? "ok";
}

function diagnoseObjects(
  observed: Observed,
): Pick<Diagnosis, "internalGateways" | "hostedAPIServers" | "findings"> {
  const { nowMs, namespace } = observed;
  const gateways = valueOf(observed.gateways) ?? [];
  const around = { gateways, namespaces: valueOf(observed.namespaces) ?? [], nowMs };
  const isAskedFor = ({ metadata }: { readonly metadata: { readonly namespace?: string } }) =>
    namespace === undefined || metadata.namespace === namespace;
  const judgedGateways = [...gateways]
    .filter(isAskedFor)
    .sort(byNamespaceAndName)
    .map((gateway) => ({ gateway, findings: judgeGateway(gateway, nowMs) }));
  const judgedServers = [...(valueOf(observed.servers) ?? [])]
    .filter(isAskedFor)
    .sort(byNamespaceAndName)
    .map((server) => ({ server, findings: judgeServer(server, around) }));
  const notSeen = [
    ["InternalGateways", observed.gateways],
    ["HostedAPIServers", observed.servers],
  ] as const;
  return {
    internalGateways: judgedGateways.map(({ gateway, findings }) => gatewayRow(gateway, findings)),
    hostedAPIServers: judgedServers.map(({ server, findings }) =>
      serverRow(server, findings, nowMs),
    ),
    findings: [
      ...notSeen.flatMap(([what, look]) =>
        look.kind === "unseen" ? [unseen(what, look.why)] : [],
      ),
      ...[...judgedGateways, ...judgedServers].flatMap(({ findings }) => findings),
    ],
  };
}

/**
 * Says what is wrong with an installation of fairlead and with what it looks after, and what mends it.
 * @param observed What was seen. It is not modified; nothing is read or written, and nothing is thrown.
 */
export function diagnose(observed: Observed): Diagnosis {
  const checked = observed.withInstallation
    ? installation.map(([name, check]) => ({ name, findings: check(observed) }))
    : [];
  const objects = diagnoseObjects(observed);
  return {
    ...objects,
    checks: checked.map(({ name, findings }) => ({ name, result: worstOf(findings) })),
    servingCertificateDaysLeft: servingDaysLeft(observed) ?? null,
    admittedBy:
      valueOf(observed.webhook) === undefined ? null : (admissionOf(observed)?.by ?? "webhook"),
    findings: [...checked.flatMap(({ findings }) => findings), ...objects.findings],
  };
}

/** For scripts: 0 all well, 1 problems found, 2 could not look at everything and found no problem elsewhere. */
export function exitCodeOf({ findings }: Pick<Diagnosis, "findings">): 0 | 1 | 2 {
  if (findings.some(({ severity }) => severity === "problem")) return 1;
  return findings.some(({ severity }) => severity === "unseen") ? 2 : 0;
}
