import type { Entry } from "../template";
import { definitionEntries } from "./definitions";
import { moduleEntries, type PackedModule } from "./module";
import { monitoringEntries } from "./monitoring";
import { networkPolicyEntries } from "./network-policies";
import { policyEntries } from "./policies";
import { groundEntries, namespaceEntries, processEntries } from "./processes";
import { rbacEntries } from "./rbac";
import { webhookEntries, type FailurePolicy } from "./webhook";

export { packModule, type PackedModule } from "./module";
export type { FailurePolicy } from "./webhook";

/** What an installation is made of. */
export interface Build {
  /** fairlead's version (semver). */
  readonly version: string;
  readonly module: PackedModule;
  readonly failurePolicy: FailurePolicy;
}

/** A part of the installation: a file of the chart's templates. */
export interface Part {
  readonly name: string;
  readonly entries: readonly Entry[];
}

/**
 * All objects, in an order that one `kubectl apply` works with: what others need comes first, and the webhook last, so
 * that it refuses nothing before its processes were asked for.
 */
export function partsOf({ version, module, failurePolicy }: Build): readonly Part[] {
  return [
    { name: "namespace", entries: namespaceEntries() },
    { name: "definitions", entries: definitionEntries(version) },
    { name: "rbac", entries: rbacEntries() },
    { name: "policies", entries: policyEntries() },
    { name: "ground", entries: groundEntries() },
    { name: "network-policies", entries: networkPolicyEntries() },
    { name: "module", entries: moduleEntries(module) },
    { name: "processes", entries: processEntries(module) },
    { name: "monitoring", entries: monitoringEntries() },
    { name: "webhook", entries: webhookEntries(failurePolicy) },
  ];
}
