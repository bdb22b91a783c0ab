import type {
  CertificateStatus,
  HostedAPIServer,
  InternalGateway,
  PartialObjectMetadata,
} from "../../../lib/api";
import { findCondition } from "../../../lib/domain/conditions";
import { edit, RESTART_WATCHER, WATCHER_LOGS } from "../commands";
import { nameOf, problem, warning, type Finding } from "../finding";
import { isOverdue, judgeConditions } from "./conditions";
import { serverRemedies } from "./server-remedies";

const DAY_MS = 86_400_000;
/** A certificate that its owner renews; the proxy client's is fairlead's, which renews it at half of 30 days. */
const WARN_DAYS = 14;
const ISSUED_WARN_DAYS = 7;

/** A certificate and how long it is valid. */
export interface CertificateRow {
  readonly use: CertificateStatus["use"];
  /** RFC 3339. */
  readonly notAfter: string;
  /** Rounded down; negative once it has expired. */
  readonly daysLeft: number;
}

/** A HostedAPIServer, as the report shows it. */
export interface ServerRow {
  readonly namespace: string;
  readonly name: string;
  /** How it is served; null where that is not known. */
  readonly mode: "L7" | "L4" | null;
  readonly ready: string;
  readonly certificates: readonly CertificateRow[];
  /** Of the certificate that ends first; null without any. */
  readonly daysLeft: number | null;
  /** Running Pods that lead to the gateway, and that should and do not; null where they were not counted. */
  readonly pods: { readonly routed: number; readonly stale: number } | null;
  /** Reasons of what is not as it should be. */
  readonly reasons: readonly string[];
}

/** What is around HostedAPIServers. */
export interface Surroundings {
  readonly gateways: readonly InternalGateway[];
  readonly namespaces: readonly PartialObjectMetadata[];
  readonly nowMs: number;
}

function gatewayOf(
  { spec, status }: HostedAPIServer,
  gateways: readonly InternalGateway[],
): InternalGateway | undefined {
  const ref = spec.gatewayRef ?? status?.gatewayRef;
  if (ref === undefined) return gateways.length === 1 ? gateways[0] : undefined;
  return gateways.find(
    ({ metadata }) => metadata.namespace === ref.namespace && metadata.name === ref.name,
  );
}

function rowsOf({ status }: HostedAPIServer, nowMs: number): readonly CertificateRow[] {
  return (status?.certificates ?? []).map(({ use, notAfter }) => ({
    use,
    notAfter,
    daysLeft: Math.floor((Date.parse(notAfter) - nowMs) / DAY_MS),
  }));
}

/** Where a certificate comes from, to look at and to renew. */
function sourceCommand(server: HostedAPIServer, use: CertificateRow["use"]): string {
  const { namespace = "", name } = server.metadata;
  const { certificates: spec } = server.spec;
  const sources: Readonly<
    Record<CertificateRow["use"], { secretName?: string; configMapName?: string } | undefined>
  > = {
    server: spec?.server,
    serverCA: spec?.serverCA,
    clientCA: spec?.clientCA,
    proxyClient: spec?.proxyClient?.certificate,
    proxyClientIssuer: spec?.proxyClient?.issuer,
  };
  const source = sources[use];
  if (source?.secretName !== undefined) {
    return edit({ resource: "secret", namespace, name: source.secretName });
  }
  if (source?.configMapName !== undefined) {
    return edit({ resource: "configmap", namespace, name: source.configMapName });
  }
  return edit({ resource: "hostedapiserver", namespace, name });
}

function judgeCertificates(server: HostedAPIServer, nowMs: number): readonly Finding[] {
  const subject = `HostedAPIServer ${nameOf(server.metadata)}`;
  const isIssued = server.spec.certificates?.proxyClient?.issuer !== undefined;
  return rowsOf(server, nowMs).flatMap(({ use, notAfter, daysLeft }) => {
    const isOurs = use === "proxyClient" && isIssued;
    if (daysLeft >= (isOurs ? ISSUED_WARN_DAYS : WARN_DAYS)) return [];
    const isOver = Date.parse(notAfter) <= nowMs;
    const said = isOver ? `ended at ${notAfter}` : `ends at ${notAfter}, in ${daysLeft} days`;
    const text = {
      subject,
      reason: isOver ? "CertificateExpired" : "CertificateExpiring",
      message: `Its certificate for ${use} ${said}; ${isOurs ? "fairlead should have renewed it" : "renew it where it comes from, and fairlead follows"}.`,
      commands: isOurs ? [WATCHER_LOGS, RESTART_WATCHER] : [sourceCommand(server, use)],
    };
    return [isOver || isOurs ? problem(text) : warning(text)];
  });
}

function podsOf({ status }: HostedAPIServer): ServerRow["pods"] {
  const pods = status?.pods;
  return pods === undefined ? null : { routed: pods.routed, stale: pods.stale };
}

/** What is said of one. */
export function judgeServer(server: HostedAPIServer, around: Surroundings): readonly Finding[] {
  const { namespace = "", name } = server.metadata;
  const text = `HostedAPIServer ${nameOf(server.metadata)}`;
  const { gateways, namespaces, nowMs } = around;
  if (isOverdue(server, nowMs)) {
    return [
      problem({
        subject: text,
        reason: "NotObserved",
        message: "The watch process has not looked at it since it was last changed.",
        commands: [WATCHER_LOGS, RESTART_WATCHER],
      }),
    ];
  }
  const said = judgeConditions(server.status?.conditions ?? [], {
    text,
    resource: "hostedapiserver",
    remedies: serverRemedies,
    about: (condition) => ({
      condition,
      namespace,
      name,
      server,
      gateway: gatewayOf(server, gateways),
      gateways,
      metadata: namespaces.find(({ metadata }) => metadata.name === namespace),
    }),
  });
  return [...said, ...judgeCertificates(server, nowMs)];
}

/** The row of one. */
export function serverRow(
  server: HostedAPIServer,
  findings: readonly Finding[],
  nowMs: number,
): ServerRow {
  const { namespace = "", name } = server.metadata;
  const certificates = rowsOf(server, nowMs);
  const days = certificates.map(({ daysLeft }) => daysLeft);
  return {
    namespace,
    name,
    mode: server.status?.loadBalancing ?? null,
    ready: findCondition(server.status?.conditions, "Ready")?.status ?? "Unknown",
    certificates,
    daysLeft: days.length === 0 ? null : Math.min(...days),
    pods: podsOf(server),
    reasons: [...new Set(findings.map(({ reason }) => reason))],
  };
}
