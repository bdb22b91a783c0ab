import type { Condition, HostedAPIServer } from "../api";
import type { Admission } from "../domain/admission";
import { isTrue } from "../domain/conditions";
import { keyOf } from "../domain/keys";
import { overdueMs, type WatchFreshness } from "./freshness";
import type { LabelName } from "./metric-definitions";

/** A metric's labels. */
export type Labels = Readonly<Partial<Record<LabelName, string>>>;

/** One series' value, in the metric's unit. */
export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** What counts as a reason that is none of fairlead's words. */
export const OTHER = "Other";
/** A word of the code; a message, a host or a name of an object is none. */
const WORD = /^[A-Z][A-Za-z0-9]{0,47}$/;

const seconds = (ms: number): number => ms / 1_000;
const namesOf = ({ metadata }: HostedAPIServer): Labels => ({
  namespace: metadata.namespace ?? "",
  name: metadata.name,
});

/** A reason as a label: a word of the code, or `Other`. */
export function reasonLabel(reason: string): string {
  return WORD.test(reason) ? reason : OTHER;
}

interface WithConditions {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** How many objects have which condition, in which status and for which reason. */
export function conditionSamples(objects: readonly WithConditions[]): readonly Sample[] {
  const counts = new Map<string, { readonly labels: Labels; value: number }>();
  const conditions = objects.flatMap(({ status }) => status?.conditions ?? []);
  for (const { type, status, reason } of conditions) {
    const labels = { condition: reasonLabel(type), status, reason: reasonLabel(reason) };
    const series = Object.values(labels).join(" ");
    const counted = counts.get(series) ?? { labels, value: 0 };
    counted.value += 1;
    counts.set(series, counted);
  }
  return [...counts.values()];
}

/** How each HostedAPIServer is served. */
export function infoSamples(servers: readonly HostedAPIServer[]): readonly Sample[] {
  return servers.map((server) => {
    const { loadBalancing = "unknown", gatewayRef } = server.status ?? {};
    const gateway = gatewayRef === undefined ? "" : `${gatewayRef.namespace}/${gatewayRef.name}`;
    return { labels: { ...namesOf(server), load_balancing: loadBalancing, gateway }, value: 1 };
  });
}

/** By what Pods and Services are admitted; nothing before that was decided. */
export function admissionSamples(admission: Admission | undefined): readonly Sample[] {
  if (admission === undefined) return [];
  return [{ labels: { mode: admission.by, reason: admission.reason }, value: 1 }];
}

/** Which HostedAPIServers are ready. */
export function readySamples(servers: readonly HostedAPIServer[]): readonly Sample[] {
  return servers.map((server) => ({
    labels: namesOf(server),
    value: isTrue(server.status?.conditions, "Ready") ? 1 : 0,
  }));
}

/** An end of the validity of each certificate that is reported, where it is known. */
export function certificateSamples(
  servers: readonly HostedAPIServer[],
  end: "notBefore" | "notAfter",
): readonly Sample[] {
  return servers.flatMap((server) =>
    (server.status?.certificates ?? []).flatMap((certificate) => {
      const timeMs = Date.parse(certificate[end] ?? "");
      const labels = { ...namesOf(server), use: certificate.use };
      return Number.isNaN(timeMs) ? [] : [{ labels, value: seconds(timeMs) }];
    }),
  );
}

/** When credentials were found in line: by key, in milliseconds since the epoch; and what counts where they never were. */
export interface Confirmations {
  readonly byKey: ReadonlyMap<string, number>;
  readonly startedMs: number;
}

/** How old the knowledge is that each HostedAPIServer's credentials are in line. */
export function syncAgeSamples(
  servers: readonly HostedAPIServer[],
  { byKey, startedMs }: Confirmations,
  nowMs: number,
): readonly Sample[] {
  return servers
    .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
    .map((server) => {
      const createdMs = Date.parse(server.metadata.creationTimestamp ?? "");
      const sinceMs =
        byKey.get(keyOf(server)) ?? Math.max(startedMs, Number.isNaN(createdMs) ? 0 : createdMs);
      return { labels: namesOf(server), value: seconds(Math.max(0, nowMs - sinceMs)) };
    });
}

/** The stale Pods of the HostedAPIServers that exist. */
export function stalePodsSamples(
  servers: readonly HostedAPIServer[],
  counts: ReadonlyMap<string, Readonly<Record<string, number>>>,
): readonly Sample[] {
  return servers.flatMap((server) => {
    const byReason = new Map<string, number>();
    for (const [reason, count] of Object.entries(counts.get(keyOf(server)) ?? {})) {
      const word = reasonLabel(reason);
      byReason.set(word, (byReason.get(word) ?? 0) + count);
    }
    return [...byReason].map(([reason, value]) => ({
      labels: { ...namesOf(server), reason },
      value,
    }));
  });
}

/** The worst watch of each kind. */
function watchSamples(
  watches: readonly WatchFreshness[],
  measureMs: (watch: WatchFreshness) => number,
): readonly Sample[] {
  const worst = new Map<string, number>();
  for (const watch of watches) {
    worst.set(watch.kind, Math.max(worst.get(watch.kind) ?? 0, measureMs(watch)));
  }
  return [...worst].map(([kind, ms]) => ({ labels: { kind }, value: seconds(ms) }));
}

/** For how long the watches of each kind have been silent. */
export function silenceSamples(
  watches: readonly WatchFreshness[],
  nowMs: number,
): readonly Sample[] {
  return watchSamples(watches, ({ lastSeenMs }) => nowMs - lastSeenMs);
}

/** For how long the watches of each kind have been silent beyond their limits. */
export function overdueSamples(
  watches: readonly WatchFreshness[],
  nowMs: number,
): readonly Sample[] {
  return watchSamples(watches, (watch) => overdueMs(watch, nowMs));
}
