import type { Admission, WebhookReason } from "../../lib/domain/admission";
import { isManaged } from "../../lib/domain/names";
import { compare, digest, isLasting, nameOf, type Comparison } from "./compare";
import type { Memory, Observed, AnyPolicy } from "./observed";

/** A change of a policy or a binding. */
export type Write =
  | { readonly action: "create"; readonly object: AnyPolicy }
  /** If it is still the one that was seen. */
  | { readonly action: "replace"; readonly object: AnyPolicy; readonly seen: AnyPolicy }
  | { readonly action: "delete"; readonly seen: AnyPolicy };

/** What is to be done next; afterwards everything is looked at and planned again. */
export type PolicyStep =
  /** Change policies and bindings, in this order. */
  | { readonly step: "write"; readonly writes: readonly Write[] }
  /** Bring the parameters in line, or take them away. */
  | { readonly step: "params"; readonly wanted: boolean }
  /** Write the mark that API servers are asked for. */
  | { readonly step: "mark" }
  /** Ask every API server whether it follows policies. */
  | { readonly step: "look" }
  /** Nothing, until something changes or a time has come. */
  | { readonly step: "rest"; readonly nextAtMs: number | undefined };

/** A step, by what Pods and Services are admitted from now on, and what to remember until the next plan. */
export interface Planned {
  readonly admission: Admission;
  readonly plan: PolicyStep;
  readonly memory: Memory;
}

/** Who sets policies back gets no fight: each time within a window, they are written and relied on twice as late. */
const CONTEST_WINDOW_MS = 600_000;
const MAX_NARROWINGS = 5;
/** As many as a preparation takes, and then some. */
const FREE_WRITES = 8;
const FIRST_WRITE_WAIT_MS = 1_000;
const FIRST_LOOK_AGAIN_MS = 250;
const LAST_LOOK_AGAIN_MS = 60_000;
/** API servers take up to two seconds to hear of a policy; so many looks take eight. */
const USUAL_LOOKS = 6;
/** More are no exceptions any more, and an expression is read at each write of a Pod. */
const MAX_FOREIGN = 100;

const isBinding = ({ kind }: AnyPolicy): boolean => kind.endsWith("Binding");

interface Compared {
  readonly wanted: AnyPolicy;
  readonly live: AnyPolicy | undefined;
  readonly comparison: Comparison;
}

function compareAll({ desired, live }: Observed): readonly Compared[] {
  const byName = new Map(live.map((object) => [nameOf(object), object]));
  return desired.map((wanted) => {
    const found = byName.get(nameOf(wanted));
    return { wanted, live: found, comparison: compare(found, wanted) };
  });
}

function writesOf(compared: readonly Compared[]): readonly Write[] {
  return compared.flatMap(({ wanted, live, comparison }): readonly Write[] => {
    if (comparison === "inLine" || comparison === "foreign") return [];
    if (live === undefined) return [{ action: "create", object: wanted }];
    return [{ action: "replace", object: wanted, seen: live }];
  });
}

/** Bindings first: what is not bound does nothing. */
function deletionsOf(objects: readonly AnyPolicy[]): readonly Write[] {
  const own = objects.filter((each) => isManaged(each) && !isLasting(each));
  return [...own.filter(isBinding), ...own.filter((each) => !isBinding(each))].map((seen) => ({
    action: "delete",
    seen,
  }));
}

/** Own objects that are not wanted any more, as an older fairlead had them. */
function leftOver({ desired, live }: Observed): readonly AnyPolicy[] {
  const wanted = new Set(desired.map(nameOf));
  return live.filter((object) => !wanted.has(nameOf(object)));
}

const byWebhook = (reason: WebhookReason, message: string): Admission => ({
  by: "webhook",
  reason,
  message,
});

/** Why policies can't admit; undefined where they can. */
function obstacleTo(
  observed: Observed,
  memory: Memory,
  compared: readonly Compared[],
): Admission | undefined {
  const { nowMs, setting, served, webhook, params } = observed;
  if (setting === "Webhook") return byWebhook("AsSet", "FAIRLEAD_ADMISSION says so.");
  if (webhook.kind === "absent") {
    return byWebhook("NotInstalled", "MutatingWebhookConfiguration pepr-fairlead does not exist.");
  }
  if (served === undefined) {
    return byWebhook("NotServed", "An API server does not serve MutatingAdmissionPolicies.");
  }
  const foreign = compared.find(({ comparison }) => comparison === "foreign");
  if (foreign !== undefined) {
    return byWebhook(
      "ForeignObject",
      `${nameOf(foreign.wanted)} exists and is not fairlead's: rename or delete it.`,
    );
  }
  if (params.foreignShared !== undefined) {
    return byWebhook(
      "ForeignObject",
      `ConfigMap ${params.foreignShared} exists and is not fairlead's: rename or delete it.`,
    );
  }
  if (params.foreign.length > MAX_FOREIGN) {
    return byWebhook(
      "ForeignObject",
      `In ${params.foreign.length} namespaces, ${params.foreign[0] ?? ""} among them, policies can't act: docs/policies.md says why.`,
    );
  }
  if (memory.block !== undefined && nowMs < memory.block.untilMs) {
    return byWebhook(memory.block.reason, memory.block.message);
  }
  return undefined;
}

function rest(...atMs: readonly (number | undefined)[]): PolicyStep {
  const known = atMs.filter((ms) => ms !== undefined);
  return { step: "rest", nextAtMs: known.length === 0 ? undefined : Math.min(...known) };
}

/** Policies go once every API server has heard that everything reaches the webhook again. */
function leave(observed: Observed, memory: Memory): PolicyStep {
  const { nowMs, live, params, webhook, propagationMs } = observed;
  const deletions = deletionsOf(live);
  const retryAtMs = memory.block?.untilMs;
  if (deletions.length === 0 && params.own === 0) return rest(retryAtMs);
  // Garbage collection takes them with the configuration, their owner.
  if (webhook.kind === "absent") return rest();
  if (memory.wideSinceMs === undefined) return rest(retryAtMs);
  const goAtMs = memory.wideSinceMs + propagationMs;
  if (nowMs < goAtMs) return rest(goAtMs);
  if (deletions.length > 0) return { step: "write", writes: deletions };
  return { step: "params", wanted: false };
}

type Paced = Pick<Planned, "plan" | "memory">;

interface Preparation {
  readonly step: PolicyStep | undefined;
  /** Whether they were changed by somebody else, or are not all there. */
  readonly isBroken: boolean;
}

/** What is written before policies can be relied on: what is unbound does nothing, so bindings come last. */
function prepare(observed: Observed, compared: readonly Compared[]): Preparation {
  const isBroken = compared.some(
    ({ comparison }) => comparison === "missing" || comparison === "edited",
  );
  const of = (bindings: boolean): readonly Write[] =>
    writesOf(compared.filter(({ wanted }) => isBinding(wanted) === bindings));
  const policies = of(false);
  if (policies.length > 0) return { step: { step: "write", writes: policies }, isBroken };
  if (observed.params.outOfLine > 0) return { step: { step: "params", wanted: true }, isBroken };
  const bindings = [...of(true), ...deletionsOf(leftOver(observed))];
  if (bindings.length > 0) return { step: { step: "write", writes: bindings }, isBroken };
  return { step: undefined, isBroken };
}

/** Namespaces that stay with the webhook: a while longer than something is in the way, until all have heard. */
function exceptions({ nowMs, propagationMs }: Observed, { foreignAtMs }: Memory) {
  const except = [...foreignAtMs].filter(([, atMs]) => nowMs < atMs + propagationMs);
  const ends = except.map(([, atMs]) => atMs + propagationMs);
  return {
    except: except.map(([namespace]) => namespace).sort(),
    nextAtMs: ends.length === 0 ? undefined : Math.min(...ends),
  };
}

function recent(times: readonly number[], nowMs: number): readonly number[] {
  return times.filter((atMs) => nowMs < atMs + CONTEST_WINDOW_MS);
}

/** When policies may be written again. */
function writableAtMs({ writtenAtMs }: Memory): number {
  const last = writtenAtMs.at(-1);
  if (last === undefined || writtenAtMs.length < FREE_WRITES) return 0;
  const waitMs = FIRST_WRITE_WAIT_MS * 2 ** (writtenAtMs.length - FREE_WRITES);
  return last + Math.min(waitMs, CONTEST_WINDOW_MS);
}

/** Puts writes off where somebody sets them back. */
function paced({ nowMs }: Observed, memory: Memory, step: PolicyStep): Paced {
  if (step.step !== "write") return { plan: step, memory };
  const atMs = writableAtMs(memory);
  if (nowMs < atMs) return { plan: rest(atMs), memory };
  return { plan: step, memory: { ...memory, writtenAtMs: [...memory.writtenAtMs, nowMs] } };
}

/** When policies may be relied on that were first seen in force at a time. */
function reliableAtMs(observed: Observed, memory: Memory, seenSinceMs: number): number {
  const { nowMs, propagationMs } = observed;
  const { narrowedAtMs } = memory;
  const [first = nowMs] = narrowedAtMs;
  if (narrowedAtMs.length >= MAX_NARROWINGS) return first + CONTEST_WINDOW_MS;
  return seenSinceMs + propagationMs * 2 ** narrowedAtMs.length;
}

const preparing = byWebhook(
  "Preparing",
  "Policies are being written, and API servers hear of them.",
);
const notInForce = byWebhook(
  "NotInForce",
  "An API server does not follow fairlead's policies, though it serves them.",
);
const contested = byWebhook(
  "Contested",
  "Somebody keeps changing or deleting fairlead's policies.",
);

/** They are there, and API servers are asked about them, more and more seldom. */
function ask({ nowMs, mark, sight }: Observed, memory: Memory): Planned {
  const { failedLooks, lookAtMs } = memory;
  const admission = failedLooks < USUAL_LOOKS ? preparing : notInForce;
  if (sight === "notInForce") {
    const waitMs = Math.min(FIRST_LOOK_AGAIN_MS * 2 ** failedLooks, LAST_LOOK_AGAIN_MS);
    const next = { failedLooks: failedLooks + 1, lookAtMs: nowMs + waitMs };
    return { admission, plan: rest(next.lookAtMs), memory: { ...memory, ...next } };
  }
  if (nowMs < lookAtMs) return { admission, plan: rest(lookAtMs), memory };
  return { admission, plan: { step: mark.is === mark.wanted ? "look" : "mark" }, memory };
}

/** Policies are there: are they in force, and for long enough? */
function rely(observed: Observed, memory: Memory): Planned {
  const { nowMs, sight } = observed;
  if (memory.seenSinceMs === undefined) {
    if (sight !== "inForce") return ask(observed, memory);
    return rely(observed, { ...memory, seenSinceMs: nowMs, failedLooks: 0, lookAtMs: 0 });
  }
  const readyAtMs = reliableAtMs(observed, memory, memory.seenSinceMs);
  if (nowMs < readyAtMs) {
    const admission = memory.narrowedAtMs.length >= MAX_NARROWINGS ? contested : preparing;
    return { admission, plan: rest(readyAtMs), memory };
  }
  const narrowedAtMs = [...memory.narrowedAtMs, nowMs];
  return trust(observed, { ...memory, isTrusted: true, narrowedAtMs }, undefined);
}

function trust(observed: Observed, memory: Memory, step: PolicyStep | undefined): Planned {
  const { except, nextAtMs } = exceptions(observed, memory);
  const admission: Admission = { by: "policies", reason: "InForce", except };
  return { admission, ...paced(observed, memory, step ?? rest(nextAtMs)) };
}

/** What is still true of what was remembered, and since when what is new. */
function remember(observed: Observed, memory: Memory): Memory {
  const { nowMs, webhook, live, params, propagationMs } = observed;
  const isWide = webhook.kind === "wide";
  const wideWith = digest(live.map((each) => [nameOf(each), each.metadata.uid]).sort());
  const isSame = wideWith === memory.wideWith;
  const still = [...memory.foreignAtMs].filter(([, atMs]) => nowMs < atMs + propagationMs);
  return {
    ...memory,
    // Where an earlier watcher has seen them in force, the webhook is narrow.
    isTrusted: memory.isTrusted ?? webhook.kind === "narrow",
    wideSinceMs: isWide ? ((isSame ? memory.wideSinceMs : undefined) ?? nowMs) : undefined,
    wideWith,
    narrowedAtMs: recent(memory.narrowedAtMs, nowMs),
    writtenAtMs: recent(memory.writtenAtMs, nowMs),
    block: memory.block !== undefined && nowMs < memory.block.untilMs ? memory.block : undefined,
    foreignAtMs: new Map([...still, ...params.foreign.map((each) => [each, nowMs] as const)]),
  };
}

/**
 * Decides the next step by which Pods and Services come to be admitted by policies, or by the webhook again.
 *
 * One of both is in force for every object at every moment. Policies are relied on once their parameters, they and their
 * bindings are there, every API server was seen to follow them, and some time has passed; they go once everything has
 * reached the webhook for that time. Whatever is wrong with them, the webhook comes first.
 * @param memory What this watcher remembers; it is not changed.
 */
export function planPolicies(observed: Observed, memory: Memory): Planned {
  const compared = compareAll(observed);
  const remembered = remember(observed, memory);
  const obstacle = obstacleTo(observed, remembered, compared);
  if (obstacle !== undefined) {
    const forgets = { ...remembered, isTrusted: false, seenSinceMs: undefined };
    return { admission: obstacle, plan: leave(observed, remembered), memory: forgets };
  }
  const { step, isBroken } = prepare(observed, compared);
  const isTrusted = remembered.isTrusted === true && !isBroken && observed.sight !== "notInForce";
  if (isTrusted) return trust(observed, remembered, step);
  const lost = { ...remembered, isTrusted: false };
  if (isBroken || step !== undefined) {
    const seenSinceMs = isBroken ? undefined : lost.seenSinceMs;
    const next = paced(observed, { ...lost, seenSinceMs }, step ?? rest());
    return { admission: preparing, ...next };
  }
  const isLost = remembered.isTrusted === true;
  return rely(observed, isLost ? { ...lost, seenSinceMs: undefined } : lost);
}
