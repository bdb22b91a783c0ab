import { equals } from "ramda";
import type { PartialObjectMetadata } from "../../lib/api";
import { findCondition, formatTime } from "../../lib/domain/conditions";
import {
  ANNOTATION_SUPERSEDED_AT,
  FINALIZER_CREDENTIALS,
  FINALIZER_EXPOSURE,
} from "../../lib/domain/names";
import { dueTimes, expiryEvents, type PlannedEvent } from "./expiry";
import { CREDENTIAL_FIELDS, isOwnSecret, type Observed, type ObservedSecret } from "./observed";
import { decidePhase, type Phase } from "./phase";
import { ownStatus, reportStatus, type CredentialsStatus, type UseStates } from "./report";
import { USES } from "./secrets";
import { examine, type ApplyAction } from "./wishes";

export type { PlannedEvent } from "./expiry";
export type { Observed } from "./observed";
export type { ApplyAction } from "./wishes";

/** A write that follows the status, which refers to none of these Secrets any more. */
export type SettleAction =
  | {
      readonly kind: "mark-superseded";
      readonly secret: PartialObjectMetadata;
      /** RFC 3339. */
      readonly since: string;
    }
  | { readonly kind: "delete"; readonly secret: PartialObjectMetadata }
  | { readonly kind: "remove-finalizer" };

/**
 * What to do next. Two steps, so that what is referred to is there before the reference and goes after it: "apply"
 * makes Secrets, and then there is another plan; "settle" writes the status where it differs and takes away what
 * nothing refers to.
 */
export type CredentialsPlan =
  | { readonly step: "apply"; readonly actions: readonly [ApplyAction, ...ApplyAction[]] }
  | {
      readonly step: "settle";
      /** Undefined where the status is as it should be, or the object is going away. */
      readonly status?: CredentialsStatus;
      /** In this order. */
      readonly actions: readonly SettleAction[];
      readonly events: readonly PlannedEvent[];
      /** When to plan again if nothing else happens. */
      readonly nextAtMs?: number;
    };

type SettlePlan = Extract<CredentialsPlan, { step: "settle" }>;

const NOTHING_ASKED: UseStates = { server: { kind: "absent" }, "proxy-client": { kind: "absent" } };
/** A mark this far in the future is no clock's skew but somebody's edit. */
const MAX_MARK_SKEW_MS = 300_000;

const secretName = ({ metadata }: PartialObjectMetadata): string =>
  `${metadata.namespace ?? ""}/${metadata.name}`;

const isReferenced = (secret: ObservedSecret, { references }: Observed): boolean =>
  references.has(secretName(secret));

const earliest = (times: readonly number[], nowMs: number): { readonly nextAtMs?: number } => {
  const later = times.filter((timeMs) => timeMs > nowMs);
  return later.length === 0 ? {} : { nextAtMs: Math.min(...later) };
};

/**
 * Plans for one HostedAPIServer. Modifies and throws nothing; planning again after the plan was carried out gives a
 * plan that does nothing.
 */
export function planCredentials(observed: Observed): CredentialsPlan {
  if (observed.hapi.metadata.deletionTimestamp !== undefined) return planDeletion(observed);
  const phase = decidePhase(observed);
  const states =
    phase.kind === "sync" ? examine(observed, phase.gatewayRef.namespace) : NOTHING_ASKED;
  const [first, ...rest] = pendingActions(states);
  if (first === undefined) return planSettling(observed, phase, states);
  const isGuarded = observed.hapi.metadata.finalizers?.includes(FINALIZER_CREDENTIALS) === true;
  return isGuarded
    ? { step: "apply", actions: [first, ...rest] }
    : { step: "apply", actions: [{ kind: "add-finalizer" }, first, ...rest] };
}

function pendingActions(states: UseStates): readonly ApplyAction[] {
  return USES.flatMap((use) => {
    const state = states[use];
    return state.kind === "pending" ? [state.action] : [];
  });
}

/** With the object go its Secrets, once exposure has let go of them, or at once where nothing is waited for. */
function planDeletion(observed: Observed): SettlePlan {
  const { hapi, namespace } = observed;
  const finalizers = hapi.metadata.finalizers ?? [];
  const waits =
    namespace !== undefined &&
    namespace.metadata.deletionTimestamp === undefined &&
    finalizers.includes(FINALIZER_EXPOSURE);
  if (waits) return { step: "settle", actions: [], events: [] };
  const deletes = observed.secrets
    .filter((secret) => isOwnSecret(secret, observed))
    .map((secret): SettleAction => ({ kind: "delete", secret }));
  const isGuarded = finalizers.includes(FINALIZER_CREDENTIALS);
  return {
    step: "settle",
    actions: isGuarded ? [...deletes, { kind: "remove-finalizer" }] : deletes,
    events: [],
  };
}

interface Leftovers {
  readonly actions: readonly SettleAction[];
  readonly dueTimes: readonly number[];
}

/** How long a superseded Secret stays: in a namespace that was left, as long as withdrawn consent allows. */
function stayMs(secret: ObservedSecret, { settings }: Observed, phase: Phase): number {
  if (phase.kind === "withdraw") return 0;
  const isLeft = secret.metadata.namespace !== phase.gatewayRef.namespace;
  return isLeft ? Math.max(settings.graceMs, settings.drainMs) : settings.drainMs;
}

/** Marks what is referred to no more, and deletes what has been so for long enough. */
function planLeftovers(observed: Observed, phase: Phase, status: CredentialsStatus): Leftovers {
  const current = new Set(
    USES.flatMap((use) => {
      const name = status.credentials?.[CREDENTIAL_FIELDS[use]];
      return name === undefined ? [] : [`${status.gatewayRef?.namespace ?? ""}/${name}`];
    }),
  );
  const leftovers = observed.secrets.filter(
    (secret) =>
      isOwnSecret(secret, observed) &&
      !current.has(secretName(secret)) &&
      !isReferenced(secret, observed),
  );
  const actions: SettleAction[] = [];
  const due: number[] = [];
  for (const secret of leftovers) {
    const markedMs = Date.parse(secret.metadata.annotations?.[ANNOTATION_SUPERSEDED_AT] ?? "");
    const isMarked = markedMs <= observed.nowMs + MAX_MARK_SKEW_MS;
    const goneMs = (isMarked ? markedMs : observed.nowMs) + stayMs(secret, observed, phase);
    if (phase.kind === "withdraw" || goneMs <= observed.nowMs) {
      actions.push({ kind: "delete", secret });
    } else {
      due.push(goneMs);
      const since = formatTime(observed.nowMs);
      if (!isMarked) actions.push({ kind: "mark-superseded", secret, since });
    }
  }
  return { actions, dueTimes: due };
}

/** The Events that tell what changed in the status; a status that stays as it is tells nothing. */
function changeEvents(
  before: CredentialsStatus,
  after: CredentialsStatus,
): readonly PlannedEvent[] {
  const news = (type: string): CredentialsStatus["conditions"][number] | undefined => {
    const [old, now] = [before, after].map(({ conditions }) => findCondition(conditions, type));
    const isSame =
      old?.status === now?.status && old?.reason === now?.reason && old?.message === now?.message;
    return isSame ? undefined : now;
  };
  const [accepted, resolved, synced] = ["Accepted", "ResolvedRefs", "CredentialsSynced"].map(news);
  const events: PlannedEvent[] = [];
  if (accepted?.status === "False") {
    events.push({ type: "Warning", reason: accepted.reason, message: accepted.message });
  }
  if (resolved?.status === "False") {
    events.push({ type: "Warning", reason: "SourceInvalid", message: resolved.message });
  }
  if (synced?.reason === "ForeignObject") {
    events.push({ type: "Warning", reason: synced.reason, message: synced.message });
  }
  const copied = !equals(
    [before.credentials, before.certificates],
    [after.credentials, after.certificates],
  );
  if (copied && after.credentials !== undefined) {
    const names = Object.values(after.credentials).join(", ");
    const message = `Secrets in namespace ${after.gatewayRef?.namespace ?? ""} follow their sources: ${names}.`;
    events.push({ type: "Normal", reason: "CredentialsSynced", message });
  }
  if (before.gatewayRef !== undefined && after.gatewayRef === undefined) {
    const message = `What was in namespace ${before.gatewayRef.namespace} has been withdrawn.`;
    events.push({ type: "Normal", reason: "CredentialsWithdrawn", message });
  }
  return events;
}

function isStillReferenced(observed: Observed): boolean {
  return observed.secrets.some(
    (secret) => isOwnSecret(secret, observed) && isReferenced(secret, observed),
  );
}

/** Withdrawal waits for the gateway's configuration, which goes first. */
function postpone(observed: Observed, phase: Phase): Phase {
  const { gatewayRef } = observed.hapi.status ?? {};
  if (phase.kind !== "withdraw" || gatewayRef === undefined || !isStillReferenced(observed)) {
    return phase;
  }
  return {
    kind: "hold",
    gatewayRef,
    reason: "WithdrawalPending",
    message: `Consent was withdrawn: waiting for the gateway's configuration in namespace ${gatewayRef.namespace} to go.`,
    untilMs: observed.nowMs + observed.settings.drainMs,
  };
}

function planSettling(observed: Observed, asked: Phase, states: UseStates): SettlePlan {
  const phase = postpone(observed, asked);
  const before = ownStatus(observed.hapi);
  const after = reportStatus(observed, phase, states);
  const leftovers = planLeftovers(observed, phase, after);
  const times = [
    ...dueTimes(observed, states),
    ...leftovers.dueTimes,
    ...(phase.kind === "hold" && phase.untilMs !== undefined ? [phase.untilMs] : []),
  ];
  return {
    step: "settle",
    ...(equals(before, after) ? {} : { status: after }),
    actions: leftovers.actions,
    events: [...changeEvents(before, after), ...expiryEvents(observed, states)],
    ...earliest(times, observed.nowMs),
  };
}
