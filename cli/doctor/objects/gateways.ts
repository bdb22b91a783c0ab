import type { InternalGateway } from "../../../lib/api";
import { findCondition } from "../../../lib/domain/conditions";
import { RESTART_WATCHER, WATCHER_LOGS } from "../commands";
import { nameOf, problem, type Finding } from "../finding";
import { isOverdue, judgeConditions } from "./conditions";
import { gatewayRemedies } from "./gateway-remedies";

/** An InternalGateway, as the report shows it. */
export interface GatewayRow {
  readonly namespace: string;
  readonly name: string;
  readonly accepted: string;
  readonly programmed: string;
  readonly addresses: readonly string[];
  readonly attachedAPIServers: number;
  /** Reasons of what is not as it should be. */
  readonly reasons: readonly string[];
}

/** What is said of one. */
export function judgeGateway(gateway: InternalGateway, nowMs: number): readonly Finding[] {
  const { namespace = "", name } = gateway.metadata;
  const text = `InternalGateway ${nameOf(gateway.metadata)}`;
  if (isOverdue(gateway, nowMs)) {
    return [
      problem({
        subject: text,
        reason: "NotObserved",
        message: "The watch process has not looked at it since it was last changed.",
        commands: [WATCHER_LOGS, RESTART_WATCHER],
      }),
    ];
  }
  return judgeConditions(gateway.status?.conditions ?? [], {
    text,
    resource: "internalgateway",
    remedies: gatewayRemedies,
    about: (condition) => ({ condition, namespace, name, gateway }),
  });
}

/** The row of one. */
export function gatewayRow(gateway: InternalGateway, findings: readonly Finding[]): GatewayRow {
  const { namespace = "", name } = gateway.metadata;
  const { conditions, addresses = [], attachedAPIServers = 0 } = gateway.status ?? {};
  return {
    namespace,
    name,
    accepted: findCondition(conditions, "Accepted")?.status ?? "Unknown",
    programmed: findCondition(conditions, "Programmed")?.status ?? "Unknown",
    addresses,
    attachedAPIServers,
    reasons: [...new Set(findings.map(({ reason }) => reason))],
  };
}
