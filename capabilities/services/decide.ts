import {
  ANNOTATION_CONTESTED,
  ANNOTATION_TRAFFIC_DISTRIBUTION,
  FIELD_MANAGERS,
} from "../../lib/domain/names";
import { describeRequester, type Requester } from "./contest";
import {
  overriddenWarning,
  overridingAnnotations,
  wishFor,
  type OffReason,
  type Service,
  type Topology,
  type TrafficDistribution,
} from "../../lib/domain/traffic-distribution";

/** A request to update a Service, for what can't be seen in the object alone. */
export interface Update {
  readonly previous: Service;
  readonly requester: Requester;
  /** How often fairlead has lately answered an update by setting the value again. */
  readonly roundsBefore: number;
  /** At this many, the Service counts as contested. */
  readonly contestAfterRounds: number;
}

/** What a decision depends on besides the Service itself. */
export interface DecisionContext extends Topology {
  /** Absent for a create, and for the watch. */
  readonly update?: Update;
}

/** Why a Service was changed. */
export type ChangeReason =
  | "Set"
  /** The cluster's version asks for the other value. */
  | "Moved"
  /** An update had taken fairlead's value away; it is there again. */
  | "SetAgain"
  /** An update had taken fairlead's mark away but left the value. */
  | "MarkedAgain"
  | "Unset"
  /** Somebody else's value came in fairlead's place; fairlead's mark went. */
  | "MarkRemoved"
  /** It was set back too often: fairlead lets go. */
  | "Contested"
  /** Whoever contests it overwrote the annotation that says so. */
  | "ContestKept";

/** Why a Service was left alone. */
export type KeepReason =
  | OffReason
  | "Deleting"
  | "Contested"
  | "OwnWrite"
  | "VersionUnknown"
  | "ZonesUnknown"
  | "ForeignValue"
  | "TopologyMode"
  | "UpToDate";

/** What is to be done with a Service. Warnings are for whoever wrote it. */
export type Decision =
  | {
      readonly kind: "change";
      readonly reason: ChangeReason;
      readonly service: Service;
      readonly warnings: readonly string[];
    }
  | {
      readonly kind: "keep";
      readonly reason: KeepReason;
      readonly warnings: readonly string[];
    };

interface Marks {
  /** `spec.trafficDistribution`. */
  readonly value: string | undefined;
  /** The value that fairlead set, by its own annotation. */
  readonly mark: string | undefined;
  readonly contested: string | undefined;
}

/** What a Service carries that concerns fairlead. */
export function marksOf({ metadata, spec }: Service): Marks {
  return {
    value: spec?.trafficDistribution,
    mark: metadata.annotations?.[ANNOTATION_TRAFFIC_DISTRIBUTION],
    contested: metadata.annotations?.[ANNOTATION_CONTESTED],
  };
}

function isOurs({ value, mark }: Marks): boolean {
  return value !== undefined && value === mark;
}

function keep(reason: KeepReason, warnings: readonly string[] = []): Decision {
  return { kind: "keep", reason, warnings };
}

/** The Service with exactly these marks; a map of annotations that becomes empty goes, as the API server would do. */
function withMarks(service: Service, marks: Marks): Service {
  const { trafficDistribution: _value, ...spec } = service.spec ?? {};
  const { annotations = {}, ...metadata } = service.metadata;
  const {
    [ANNOTATION_TRAFFIC_DISTRIBUTION]: _mark,
    [ANNOTATION_CONTESTED]: _contested,
    ...others
  } = annotations;
  const marked = {
    ...others,
    ...(marks.mark === undefined ? {} : { [ANNOTATION_TRAFFIC_DISTRIBUTION]: marks.mark }),
    ...(marks.contested === undefined ? {} : { [ANNOTATION_CONTESTED]: marks.contested }),
  };
  return {
    ...service,
    metadata: Object.keys(marked).length === 0 ? metadata : { ...metadata, annotations: marked },
    spec: marks.value === undefined ? spec : { ...spec, trafficDistribution: marks.value },
  };
}

function change(service: Service, reason: ChangeReason, marks: Partial<Marks>): Decision {
  const changed = withMarks(service, { ...marksOf(service), ...marks });
  return { kind: "change", reason, service: changed, warnings: [] };
}

/** Whether the update took away what fairlead had set, and put nothing of its own there. */
function isSetBack(marks: Marks, update: Update | undefined): update is Update {
  return update !== undefined && isOurs(marksOf(update.previous)) && marks.value === undefined;
}

function decideOff(service: Service, marks: Marks, reason: KeepReason): Decision {
  if (isOurs(marks)) return change(service, "Unset", { value: undefined, mark: undefined });
  if (marks.mark !== undefined) return change(service, "MarkRemoved", { mark: undefined });
  return keep(reason);
}

function decideOn(
  service: Service,
  marks: Marks,
  { value, update }: { readonly value: TrafficDistribution; readonly update: Update | undefined },
): Decision {
  if (marks.value !== undefined && !isOurs(marks)) {
    return decideOff(service, marks, "ForeignValue");
  }
  const overriding = overridingAnnotations.find(
    (name) => service.metadata.annotations?.[name] !== undefined,
  );
  if (overriding !== undefined) {
    const decision = decideOff(service, marks, "TopologyMode");
    return {
      ...decision,
      warnings: [overriddenWarning({ annotation: overriding, service: service.metadata.name })],
    };
  }
  if (marks.value === value) return keep("UpToDate");
  if (marks.value !== undefined) return change(service, "Moved", { value, mark: value });
  if (!isSetBack(marks, update)) return change(service, "Set", { value, mark: value });
  if (update.roundsBefore + 1 < update.contestAfterRounds) {
    return change(service, "SetAgain", { value, mark: value });
  }
  const contested = describeRequester(update.requester);
  return change(service, "Contested", { mark: undefined, contested });
}

/**
 * An update that takes fairlead's mark away or changes it, and leaves the value, as a manager does that replaces all annotations: the
 * value is still fairlead's, and would otherwise stay for ever.
 */
function restoreMark(service: Service, update: Update | undefined): Service | undefined {
  if (update === undefined) return undefined;
  const { value, mark } = marksOf(service);
  const before = marksOf(update.previous);
  const isLost = value !== mark && isOurs(before) && value === before.value;
  return isLost ? withMarks(service, { ...marksOf(service), mark: value }) : undefined;
}

/**
 * `fairlead.dev/contested` ends the fight, so it must outlast the very manager that fights: a PUT of its own object
 * drops the annotation with all that it does not know. Anybody else removes it for good.
 */
function restoreContest(service: Service, update: Update | undefined): Decision | undefined {
  const contested = update === undefined ? undefined : marksOf(update.previous).contested;
  if (update === undefined || contested === undefined) return undefined;
  if (describeRequester(update.requester) !== contested) return undefined;
  return {
    ...change(service, "ContestKept", { contested }),
    warnings: [
      `fairlead.dev/contested stays on Service ${service.metadata.name}, since ${contested} contests its trafficDistribution: to end that, remove it as another user or with another field manager, as kubectl annotate does.`,
    ],
  };
}

/**
 * Decides what is to be done with a Service, in admission and in the watch alike.
 *
 * What fairlead set is known by its annotation, which holds the value: a value that the annotation does not name is
 * somebody else's and is kept. Doing it twice equals doing it once.
 * @param service The Service as it was sent, or as it is. It is not modified.
 * @param context The cluster, the HostedAPIServers of the Service's namespace, and the update if it is one.
 * @returns change: the Service as it is to be; keep: it stays as it is, with the reason.
 */
export function decideTrafficDistribution(service: Service, context: DecisionContext): Decision {
  const { update } = context;
  if (service.metadata.deletionTimestamp !== undefined) return keep("Deleting");
  if (marksOf(service).contested !== undefined) return keep("Contested");
  // The watch has decided already, and by what it knows: two processes that know different things must not fight.
  if (update?.requester.fieldManager === FIELD_MANAGERS.services) return keep("OwnWrite");
  const kept = restoreContest(service, update);
  if (kept !== undefined) return kept;
  const wish = wishFor(service, context);
  if (wish.kind === "unknown") return keep(wish.reason);
  const marked = restoreMark(service, update);
  const subject = marked ?? service;
  const marks = marksOf(subject);
  const decision =
    wish.kind === "off"
      ? decideOff(subject, marks, wish.reason)
      : decideOn(subject, marks, { value: wish.value, update });
  if (marked !== undefined && decision.kind === "keep") {
    return { kind: "change", reason: "MarkedAgain", service: marked, warnings: decision.warnings };
  }
  return decision;
}
