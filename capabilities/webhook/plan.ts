import type { Certificate } from "../../lib/domain/certificates";
import { SYSTEM_NAMESPACE, WEBHOOK_SERVICE } from "../../lib/domain/webhook";
import {
  accepts,
  decodeBundle,
  fingerprintsOf,
  findUnneeded,
  isAcceptable,
  isSameSet,
  parseAnchors,
  toPem,
  unite,
  without,
  type Anchors,
  type Chain,
} from "./bundle";
import { escapePointer, findDrift, type Drift, type Operation } from "./fields";
import { ANNOTATION_TRUSTED } from "./names";
import type { Candidate, LiveWebhook, Memory, Observed, Replica } from "./observed";
import { readServing, renewalOf, type DueReason, type Serving } from "./serving";

/** What is to be done next; afterwards everything is looked at and planned again. */
export type WebhookPlan =
  /** Change the configuration, if it is still the one that was seen. */
  | {
      readonly step: "patch";
      readonly operations: readonly Operation[];
      /** What changes, for people. */
      readonly changes: readonly string[];
      /** Which fields are set, and to what; undefined where none is. */
      readonly mend: string | undefined;
    }
  /** Make a serving certificate, a candidate. */
  | { readonly step: "issue"; readonly reason: DueReason }
  /** Put the candidate into the Secret, if that is still the one that was seen. */
  | { readonly step: "serve"; readonly candidate: Candidate }
  /** Nothing, until something changes or a time has come. */
  | {
      readonly step: "rest";
      readonly reason: RestReason;
      readonly nextAtMs: number | undefined;
    };

/** A plan, and what to remember until the next one. */
export interface Planned {
  readonly plan: WebhookPlan;
  readonly memory: Memory;
}

/** Why nothing is to be done. */
export type RestReason =
  /** All is as it should be. */
  | "InLine"
  /** So are the fields, and certificates are not kept here: no Secret, or a webhook at a URL. */
  | "FieldsInLine"
  /** API servers hear of the new CA. */
  | "Propagating"
  /** A replica does not yet serve a certificate that the Secret holds, or could not be looked at. */
  | "AwaitingReplicas"
  /** A CA that nobody needs stays a while. */
  | "Draining"
  /** Somebody keeps changing the fields; they are set back a little later. */
  | "Contested";

/** The same is set this often within a window, and then again when it is over. */
const MAX_MENDS = 5;
const MEND_WINDOW_MS = 600_000;

function isServed({ clientConfig: { service } }: LiveWebhook): boolean {
  return service?.name === WEBHOOK_SERVICE && service.namespace === SYSTEM_NAMESPACE;
}

/** Certificates in play, and what of them is wanted. */
interface Certificates {
  readonly serving: Serving;
  readonly candidate: Candidate | undefined;
  /** What `caBundle` is to hold. */
  readonly wanted: Anchors;
  readonly unneeded: Anchors;
  readonly waitsFor: "nobody" | "replicas";
}

/** A candidate counts while another certificate is due, and as long as it would not be due itself. */
function usableCandidate(
  serving: Serving,
  { candidate }: Memory,
  nowMs: number,
): Candidate | undefined {
  if (candidate === undefined || serving.renewal.kind !== "due") return undefined;
  return renewalOf(candidate.certificate, nowMs).kind === "later" ? candidate : undefined;
}

function chainOf({ chain }: Replica): Chain | undefined {
  const [leaf, ...rest] = chain ?? [];
  return leaf === undefined ? undefined : [leaf, ...rest];
}

/** Whether every replica was seen, and serves what is accepted: what they do not need then, nobody needs. */
function areAllSeen({ replicas, nowMs }: Observed, trusted: Anchors): boolean {
  return (
    replicas.length > 0 &&
    replicas.every((replica) => {
      const chain = chainOf(replica);
      return chain !== undefined && accepts(trusted, chain, nowMs);
    })
  );
}

function trustedNow({ configuration }: Observed): Anchors {
  const bundles = (configuration.webhooks ?? [])
    .filter(isServed)
    .map(({ clientConfig }) => decodeBundle(clientConfig.caBundle));
  return unite(...bundles);
}

/** The certificate in the Secret is vouched for, by itself where its CA is not known. */
function ownAnchors(serving: Serving, trusted: Anchors, nowMs: number): Anchors {
  const { chain } = serving;
  if (chain === undefined || accepts(trusted, chain, nowMs)) return [];
  return isAcceptable(chain, nowMs) ? [chain[0]] : [];
}

function lookAtCertificates(observed: Observed, memory: Memory): Certificates | undefined {
  const { nowMs, secret, replicas, settings, configuration } = observed;
  if (secret === undefined || configuration.webhooks?.some(isServed) !== true) return undefined;
  const serving = readServing(secret, nowMs);
  const candidate = usableCandidate(serving, memory, nowMs);
  // What was trusted goes only once nobody needs it, whoever takes it out.
  const known = unite(
    trustedNow(observed),
    parseAnchors(configuration.metadata.annotations?.[ANNOTATION_TRUSTED]),
  );
  const trusted = unite(known, ownAnchors(serving, known, nowMs));
  const seen = areAllSeen(observed, trusted);
  const chains = [serving.chain, ...replicas.map(chainOf)].filter((chain) => chain !== undefined);
  const canLose = seen && serving.renewal.kind === "later";
  const unneeded = canLose ? findUnneeded(trusted, chains, nowMs) : [];
  const drained = unneeded.filter(({ sha256 }) => {
    const sinceMs = memory.unneededSinceMs.get(sha256);
    return sinceMs !== undefined && nowMs >= sinceMs + settings.drainMs;
  });
  const staged: readonly Certificate[] = candidate === undefined ? [] : [candidate.authority];
  const wanted = unite(without(trusted, fingerprintsOf(drained)), staged);
  const isServedByAll = replicas.every(
    (replica) => chainOf(replica)?.[0].sha256 === serving.chain?.[0].sha256,
  );
  return {
    serving,
    candidate,
    wanted,
    unneeded: without(unneeded, fingerprintsOf(drained)),
    waitsFor: seen && isServedByAll ? "nobody" : "replicas",
  };
}

/** The changes that bring trust in line: every webhook's bundle, and the memory of it. */
function trustChanges(observed: Observed, wanted: Anchors): readonly Operation[] {
  const { metadata, webhooks = [] } = observed.configuration;
  const pem = toPem(wanted);
  const caBundle = Buffer.from(pem).toString("base64");
  const bundles = webhooks.flatMap((webhook, index): readonly Operation[] => {
    const current = decodeBundle(webhook.clientConfig.caBundle);
    if (!isServed(webhook) || isSameSet(current, wanted)) return [];
    return [{ op: "add", path: `/webhooks/${index}/clientConfig/caBundle`, value: caBundle }];
  });
  const { annotations } = metadata;
  if (isSameSet(parseAnchors(annotations?.[ANNOTATION_TRUSTED]), wanted)) return bundles;
  const path = "/metadata/annotations";
  const noted: Operation =
    annotations === undefined
      ? { op: "add", path, value: { [ANNOTATION_TRUSTED]: pem } }
      : { op: "add", path: `${path}/${escapePointer(ANNOTATION_TRUSTED)}`, value: pem };
  return [...bundles, noted];
}

function nameAnchors(verb: string, anchors: Anchors): readonly string[] {
  return anchors.map(({ subject, sha256 }) =>
    `${verb} ${sha256.slice(0, 10)} ${subject}`.trimEnd(),
  );
}

function describeTrust(observed: Observed, wanted: Anchors): readonly string[] {
  const current = trustedNow(observed);
  return [
    ...nameAnchors("trust", without(wanted, fingerprintsOf(current))),
    ...nameAnchors("trust no more", without(current, fingerprintsOf(wanted))),
  ];
}

function toMend(drift: readonly Drift[]): string {
  return JSON.stringify(drift.map(({ operation }) => operation));
}

/** Drift that may be mended now: who sets fields back without end gets no fight. */
function mendable(
  drift: readonly Drift[],
  { mends }: Memory,
  nowMs: number,
): { readonly now: readonly Drift[]; readonly atMs: number | undefined } {
  const what = toMend(drift);
  const same = mends.filter((mend) => mend.what === what).map(({ atMs }) => atMs);
  if (drift.length === 0 || same.length < MAX_MENDS) return { now: drift, atMs: undefined };
  return { now: [], atMs: Math.max(nowMs, Math.min(...same) + MEND_WINDOW_MS) };
}

/** The candidate's way: its CA is trusted first, then API servers hear of that, then it is served. */
function stepOfRenewal(
  { nowMs, settings }: Observed,
  { stagedSinceMs = nowMs }: Memory,
  { serving, candidate }: Certificates,
): WebhookPlan | undefined {
  if (serving.renewal.kind !== "due") return undefined;
  if (candidate === undefined) return { step: "issue", reason: serving.renewal.reason };
  const readyAtMs = stagedSinceMs + settings.propagationMs;
  if (nowMs >= readyAtMs) return { step: "serve", candidate };
  return { step: "rest", reason: "Propagating", nextAtMs: readyAtMs };
}

function restOf(
  { settings, nowMs }: Observed,
  { unneededSinceMs }: Memory,
  { serving, waitsFor }: Certificates,
): Extract<WebhookPlan, { step: "rest" }> {
  const goAtMs = [...unneededSinceMs.values()].map((sinceMs) => sinceMs + settings.drainMs);
  const renewAtMs = serving.renewal.kind === "later" ? serving.renewal.atMs : nowMs;
  const waits = waitsFor === "replicas" ? "AwaitingReplicas" : "InLine";
  return {
    step: "rest",
    reason: goAtMs.length > 0 ? "Draining" : waits,
    nextAtMs: Math.min(...goAtMs, renewAtMs),
  };
}

/** What is still true of what was remembered, and since when what is new. */
function remember(
  observed: Observed,
  memory: Memory,
  certificates: Certificates | undefined,
): Memory {
  const { nowMs } = observed;
  const mends = memory.mends.filter(({ atMs }) => atMs > nowMs - MEND_WINDOW_MS);
  const { candidate, unneeded = [] } = certificates ?? {};
  const unneededSinceMs = new Map(
    unneeded.map(({ sha256 }) => [sha256, memory.unneededSinceMs.get(sha256) ?? nowMs]),
  );
  const base = { mends, unneededSinceMs };
  if (candidate === undefined) return base;
  const isStaged = fingerprintsOf(trustedNow(observed)).has(candidate.authority.sha256);
  if (!isStaged) return { ...base, candidate };
  return { ...base, candidate, stagedSinceMs: memory.stagedSinceMs ?? nowMs };
}

function decide(
  observed: Observed,
  memory: Memory,
  certificates: Certificates | undefined,
): WebhookPlan {
  const { nowMs, configuration, desired } = observed;
  const drift = mendable(findDrift(configuration, desired), memory, nowMs);
  const trust = certificates === undefined ? [] : trustChanges(observed, certificates.wanted);
  const operations = [...drift.now.map(({ operation }) => operation), ...trust];
  if (operations.length > 0) {
    const trusts = certificates === undefined ? [] : describeTrust(observed, certificates.wanted);
    const changes = [...drift.now.map(({ field }) => field), ...trusts];
    return {
      step: "patch",
      operations,
      changes: changes.length === 0 ? ["note what is trusted"] : changes,
      mend: drift.now.length > 0 ? toMend(drift.now) : undefined,
    };
  }
  const contested = { step: "rest", reason: "Contested", nextAtMs: drift.atMs } as const;
  if (certificates === undefined) {
    if (drift.atMs !== undefined) return contested;
    return { step: "rest", reason: "FieldsInLine", nextAtMs: undefined };
  }
  const renewal = stepOfRenewal(observed, memory, certificates);
  if (renewal !== undefined) return renewal;
  const rest = restOf(observed, memory, certificates);
  if (drift.atMs === undefined) return rest;
  return { ...contested, nextAtMs: Math.min(drift.atMs, rest.nextAtMs ?? Infinity) };
}

/**
 * Decides the next step by which fairlead's own webhook is brought in line.
 *
 * What is trusted and what is served change in an order in which an API server accepts every replica at every moment: a
 * new CA is trusted before its certificate is in the Secret, and an old one until every ready replica was seen to do
 * without it. That holds for what others change, too: a certificate that they take out comes back for as long as it is
 * needed.
 * @param memory What this watcher remembers; it is not changed.
 */
export function planWebhook(observed: Observed, memory: Memory): Planned {
  const certificates = lookAtCertificates(observed, memory);
  const remembered = remember(observed, memory, certificates);
  return { plan: decide(observed, remembered, certificates), memory: remembered };
}

/**
 * The next step as far as nobody has to be looked at for it: what others broke is mended at once, however long a look
 * would take. While nobody was seen, nothing that is trusted is taken away.
 * @returns undefined where the replicas decide.
 */
export function planUnseen(observed: Observed, memory: Memory): Planned | undefined {
  const { plan, memory: remembered } = planWebhook({ ...observed, replicas: [] }, memory);
  if (plan.step === "rest" && plan.reason !== "FieldsInLine") return undefined;
  return { plan, memory: { ...remembered, unneededSinceMs: memory.unneededSinceMs } };
}
