import { ANNOTATION_CONTESTED, ANNOTATION_TRAFFIC_DISTRIBUTION } from "../../lib/domain/names";
import { recentRounds, UNKNOWN_CONTESTER, type ContestSettings } from "./contest";
import { decideTrafficDistribution, marksOf, type ChangeReason, type KeepReason } from "./decide";
import type { Service, Topology } from "../../lib/domain/traffic-distribution";

/** What the watch remembers of a Service. */
export interface WatchMemory {
  /** The Service carried fairlead's value when it was last seen or written. */
  readonly isHeld: boolean;
  /** `resourceVersion` that the last write of the value was made over: while the cache still shows it, it is behind. */
  readonly writtenOver?: string;
  /** `resourceVersion` of the last Service that was counted as a round, so that it counts once. */
  readonly countedAt?: string;
  /** When it was found set back, in milliseconds; oldest first. */
  readonly rounds: readonly number[];
}

/** Nothing is remembered: a Service that was not seen before, or whose contest is over. */
export const NOTHING_REMEMBERED: WatchMemory = { isHeld: false, rounds: [] };

/**
 * A JSON merge patch (RFC 7386); null removes. Its resourceVersion makes the API server refuse it for any other version
 * of the Service.
 */
export interface ServicePatch {
  readonly metadata: {
    readonly resourceVersion?: string;
    readonly annotations: Readonly<Record<string, string | null>>;
  };
  readonly spec?: { readonly trafficDistribution: string | null };
}

/** What the watch does about a Service, and what it then remembers. */
export type ServicePlan =
  | {
      readonly kind: "patch" | "contest";
      readonly reason: ChangeReason;
      readonly patch: ServicePatch;
      readonly memory: WatchMemory;
    }
  | {
      readonly kind: "keep";
      /** Behind: the cache does not show yet what was written. */
      readonly reason: KeepReason | "Behind";
      readonly memory: WatchMemory;
    };

/** What a plan depends on besides the Service and what is remembered of it. */
export interface PlanContext extends Topology {
  readonly nowMs: number;
  readonly contest: ContestSettings;
}

function patchFor(service: Service, changed: Service): ServicePatch {
  const [before, after] = [marksOf(service), marksOf(changed)];
  const { resourceVersion } = service.metadata;
  return {
    metadata: {
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      annotations: { [ANNOTATION_TRAFFIC_DISTRIBUTION]: after.mark ?? null },
    },
    ...(before.value === after.value ? {} : { spec: { trafficDistribution: after.value ?? null } }),
  };
}

function contestPatch(service: Service): ServicePatch {
  const { resourceVersion } = service.metadata;
  return {
    metadata: {
      ...(resourceVersion === undefined ? {} : { resourceVersion }),
      annotations: {
        [ANNOTATION_TRAFFIC_DISTRIBUTION]: null,
        [ANNOTATION_CONTESTED]: UNKNOWN_CONTESTER,
      },
    },
  };
}

/** Remembers a round if the Service was found without the value that fairlead had given it. */
function countRound(service: Service, memory: WatchMemory, context: PlanContext): WatchMemory {
  const { resourceVersion } = service.metadata;
  const { mark } = marksOf(service);
  const rounds = recentRounds(memory.rounds, context.nowMs, context.contest);
  const isSetBack = memory.isHeld || mark !== undefined;
  const isCounted = resourceVersion !== undefined && resourceVersion === memory.countedAt;
  if (!isSetBack || isCounted) return { ...memory, isHeld: false, rounds };
  return {
    isHeld: false,
    rounds: [...rounds, context.nowMs],
    ...(resourceVersion === undefined ? {} : { countedAt: resourceVersion }),
  };
}

/**
 * Plans how an existing Service is brought in line: the same decision as in admission, as a patch.
 *
 * A merge patch with a resourceVersion, and not server-side apply: an apply without force would be refused where
 * another manager owns the field and has given it up, and with force would take somebody else's value; a patch of just
 * the version that was decided on can do neither.
 * @param service The Service as the cache has it.
 * @param memory What the plan before answered, with what `rememberWrite` made of it.
 */
export function planService(
  service: Service,
  context: PlanContext,
  memory: WatchMemory,
): ServicePlan {
  const { resourceVersion } = service.metadata;
  if (resourceVersion !== undefined && resourceVersion === memory.writtenOver) {
    return { kind: "keep", reason: "Behind", memory };
  }
  const decision = decideTrafficDistribution(service, context);
  if (decision.kind === "keep") {
    const { reason } = decision;
    if (reason === "Contested") return { kind: "keep", reason, memory: NOTHING_REMEMBERED };
    const rounds = recentRounds(memory.rounds, context.nowMs, context.contest);
    return { kind: "keep", reason, memory: { isHeld: reason === "UpToDate", rounds } };
  }
  const patch = patchFor(service, decision.service);
  const { reason } = decision;
  if (reason !== "Set") return { kind: "patch", reason, patch, memory };
  const counted = countRound(service, memory, context);
  if (counted.rounds.length < context.contest.rounds) {
    return { kind: "patch", reason, patch, memory: counted };
  }
  return { kind: "contest", reason: "Contested", patch: contestPatch(service), memory: counted };
}

/** A write that succeeded. */
export interface Written {
  readonly before: Service;
  readonly patch: ServicePatch;
  /** The API server's answer: what was stored, after all webhooks. */
  readonly after: Service;
  readonly nowMs: number;
}

/**
 * What is remembered after a patch: the value is held, or another webhook took it away within the same request, which
 * is a round too.
 * @returns `isEffective`: the Service carries what the patch asked for.
 */
export function rememberWrite(
  memory: WatchMemory,
  { before, patch, after, nowMs }: Written,
): { readonly memory: WatchMemory; readonly isEffective: boolean } {
  const wanted = patch.spec?.trafficDistribution;
  const { resourceVersion } = after.metadata;
  if (
    ANNOTATION_CONTESTED in patch.metadata.annotations &&
    marksOf(after).contested === undefined
  ) {
    return { memory, isEffective: false };
  }
  const seen = marksOf(after).value;
  if (wanted !== undefined && seen !== (wanted ?? undefined)) {
    const lost: WatchMemory = {
      isHeld: false,
      rounds: [...memory.rounds, nowMs],
      ...(resourceVersion === undefined ? {} : { countedAt: resourceVersion }),
    };
    // What stayed although it was to go is no set-back; it is tried again later.
    return { memory: wanted === null ? memory : lost, isEffective: false };
  }
  const writtenOver = before.metadata.resourceVersion;
  return {
    memory: {
      ...memory,
      isHeld: typeof wanted === "string",
      // A write that changed nothing leaves the version as it was, and is no sign of a cache that is behind.
      ...(writtenOver === undefined || writtenOver === resourceVersion ? {} : { writtenOver }),
    },
    isEffective: true,
  };
}
