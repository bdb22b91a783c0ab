import type { HostedAPIServer } from "../../lib/api";
import type { Cache } from "../../lib/cluster";
import { defaultContestSettings, type ContestSettings } from "./contest";
import type { Topology } from "../../lib/domain/traffic-distribution";
import type { VersionSettings, VersionSource } from "./version-source";
import type { ZoneCounter } from "./zones";

/** What both processes watch to decide by. */
export interface ServicesInputs {
  readonly versions: Pick<VersionSource, "minor" | "ready" | "onChange" | "refresh">;
  readonly zones: Pick<ZoneCounter, "count" | "ready" | "onChange">;
  readonly hostedAPIServers: Cache<HostedAPIServer>;
}

/** How Services are handled; all times in milliseconds. */
export interface ServicesSettings {
  readonly version: VersionSettings;
  readonly contest: ContestSettings;
  /** How long a request waits for inputs that are not there yet; less than the webhook's timeout. */
  readonly admissionWaitMs: number;
  /** How often every Service is looked at again, from the cache. */
  readonly resyncMs: number;
  /** When a write that had no effect, or that the API server refused, is tried again. */
  readonly retryMs: number;
}

/** What holds unless configured otherwise. */
export const defaultServicesSettings: ServicesSettings = {
  version: { settleMs: 600_000, intervalMs: 60_000, restMs: 600_000 },
  contest: defaultContestSettings,
  admissionWaitMs: 3_000,
  resyncMs: 600_000,
  retryMs: 30_000,
};

/** What is known now, for a Service of a namespace. */
export function topologyOf(inputs: ServicesInputs, namespace: string): Topology {
  return {
    minor: inputs.versions.minor,
    zones: inputs.zones.count,
    hostedAPIServers: inputs.hostedAPIServers.list(namespace),
  };
}

/** Resolves when everything is known. */
export async function whenReady(inputs: ServicesInputs): Promise<void> {
  const { versions, zones, hostedAPIServers } = inputs;
  await Promise.all([versions.ready, zones.ready, hostedAPIServers.synced]);
}
