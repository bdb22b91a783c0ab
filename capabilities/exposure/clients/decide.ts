import { ANNOTATION_CONTESTED, LABEL_ROUTE } from "../../../lib/domain/names";
import {
  decideKubeconfigSecret,
  type KubeconfigSecret,
  type KubeconfigSecretKeepReason,
  type KubeconfigTarget,
} from "../resources/kubeconfig";
import type { StalePod, StaleReason, WantedAliases } from "../../../lib/domain/stale-pods";

/** Why a Secret's kubeconfigs do not lead where they should. */
export type ClientsReason =
  | Exclude<KubeconfigSecretKeepReason, "UpToDate">
  | "Contested"
  | "ClaimedByOther"
  | "StalePods"
  | "ReadRefused"
  | "WriteRefused"
  | "Conflict";

/** A Secret whose kubeconfigs do not lead where they should. */
export interface ClientsProblem {
  /** Its name; its namespace is the HostedAPIServer's. */
  readonly secret: string;
  readonly reason: ClientsReason;
  /** Sentences: what is in the way, and what to do. They quote nothing that the Secret holds. */
  readonly message: string;
}

/** Where the kubeconfigs of a HostedAPIServer's Secrets lead. */
export interface ClientsState {
  /** Nothing is to be written any more that could be: all Secrets lead there, or are left alone for good. */
  readonly settled: boolean;
  /** Secrets that do not lead there, sorted by name. */
  readonly problems: readonly ClientsProblem[];
  /** Look again after this time; undefined: only when something changes. */
  readonly againMs: number | undefined;
}

/** What became of a Secret. */
export interface Finding {
  /** Undefined: its kubeconfigs lead where they should. */
  readonly problem: ClientsProblem | undefined;
  /** When time alone may change this, in milliseconds since the epoch; undefined: never. */
  readonly untilMs: number | undefined;
}

/** Rounds within a time after which somebody else keeps setting a Secret back. */
export const CONTEST = { rounds: 3, windowMs: 600_000 } as const;
/** What only others can end is waited for no longer than this. */
const PATIENCE_MS = 300_000;
/** A CA of the kubeconfig's may become valid; nobody says when. */
const TRUST_MAX_AGE_MS = 3_600_000;
const MAX_NAMED_PODS = 3;

const remedies: Readonly<Record<Exclude<ClientsReason, "StalePods">, string>> = {
  Missing: "Create it, or take it off clients.kubeconfigSecrets.",
  NoKubeconfig: "Take it off clients.kubeconfigSecrets, or put a kubeconfig into it.",
  Immutable: "Replace it by one that is not immutable, or that leads there.",
  Contested:
    "Let whoever keeps setting it back write this server, or none; then remove annotation fairlead.dev/contested.",
  ClaimedByOther: "Name it in one of the two only.",
  ReadRefused: "Allow it in fairlead's Role.",
  WriteRefused: "Allow it in fairlead's Role, or in the policy that refuses it.",
  Conflict: "It is tried again.",
  NoCurrentContext: "Set current-context.",
  UnknownContext: "Set current-context to a context that is there.",
  UnknownCluster: "Let the context name a cluster that is there.",
  Ambiguous: "Give each entry a name of its own.",
  Aliases: "Write out what the aliases stand for.",
  NoServer: "Give the cluster a server.",
  ServerHasPath: "Remove the path from the server, if none is needed.",
  TLSServerName: "Remove tls-server-name, if the served certificate is for the host.",
  ProxyURL: "Remove proxy-url, if none is needed inside the cluster.",
  CertificateAuthorityFile: "Put the CA itself into the kubeconfig.",
  NotServedYet: "It is written as soon as one is seen.",
  NotTrusted:
    "Serve a valid certificate for that host, of a CA that certificate-authority-data holds.",
};

/** Reasons that pass by themselves or by others' doing within reach: a withdrawal waits for them, for a time. */
const passing: ReadonlySet<ClientsReason> = new Set([
  "NotServedYet",
  "ReadRefused",
  "WriteRefused",
  "Conflict",
]);

/** A problem, with what to do. */
export function problemOf(
  secret: string,
  reason: Exclude<ClientsReason, "StalePods">,
  message: string,
): ClientsProblem {
  return { secret, reason, message: `${message} ${remedies[reason]}` };
}

/** What is remembered of a Secret; nothing of what it holds but the server. */
export interface SecretMemory {
  /** The server that its kubeconfigs were last seen to lead to, while they were to lead just there. */
  readonly ledTo: string | undefined;
  /** When it was found set back, in milliseconds since the epoch, oldest first. */
  readonly setBackMs: readonly number[];
  /** When it was last annotated as contested, likewise. */
  readonly contestedMs: number | undefined;
}

/** Of a Secret that was not seen before. */
export const NOTHING_REMEMBERED: SecretMemory = {
  ledTo: undefined,
  setBackMs: [],
  contestedMs: undefined,
};

/** What to do with a Secret, and what is remembered of it: `memory` at once, `afterwards` when the write succeeded. */
export type SecretPlan =
  | ({ readonly kind: "keep"; readonly memory: SecretMemory } & Finding)
  | {
      /** Only if no stale Pod uses it. */
      readonly kind: "write";
      /** The keys to write, base64. */
      readonly data: Readonly<Record<string, string>>;
      readonly memory: SecretMemory;
      readonly afterwards: SecretMemory;
    }
  | {
      /** Annotate it as contested, and say so. */
      readonly kind: "contest";
      readonly memory: SecretMemory;
      readonly afterwards: SecretMemory;
    };

/** What is wanted of a Secret, and what is known of it. */
export interface SecretContext {
  readonly target: KubeconfigTarget;
  readonly memory: SecretMemory;
}

/** When a certificate that is not trusted may be so, without anything having changed. */
function trustUntilMs({ servedChain, nowMs }: KubeconfigTarget): number {
  const boundaries = servedChain
    .flatMap(({ notBeforeMs, notAfterMs }) => [notBeforeMs, notAfterMs + 1])
    .filter((ms) => ms > nowMs);
  return Math.min(nowMs + TRUST_MAX_AGE_MS, ...boundaries);
}

const contestedBy = (target: KubeconfigTarget): string =>
  `Somebody keeps setting it back from ${target.server}, so it is left alone.`;

/**
 * Whether a contested Secret is to be left alone. Whoever replaces it as a whole drops the annotation too, which is no
 * peace: removed soon after it was written, it counts for as long as the rounds do.
 */
function contestOf(
  secret: KubeconfigSecret | undefined,
  { target, memory }: SecretContext,
): { readonly untilMs: number | undefined } | undefined {
  if (secret?.metadata.annotations?.[ANNOTATION_CONTESTED] !== undefined) {
    return { untilMs: undefined };
  }
  const untilMs = (memory.contestedMs ?? -Infinity) + CONTEST.windowMs;
  return target.nowMs < untilMs ? { untilMs } : undefined;
}

/**
 * Plans what becomes of a Secret of kubeconfigs, as it is now. A round is a Secret that led where it should and does so
 * no more, though it should.
 * @param secret Undefined where it does not exist.
 */
export function planSecret(
  secret: KubeconfigSecret | undefined,
  name: string,
  context: SecretContext,
): SecretPlan {
  const { target, memory } = context;
  const { server, nowMs } = target;
  const recent = memory.setBackMs.filter((ms) => nowMs - ms < CONTEST.windowMs);
  const decision = decideKubeconfigSecret(secret, target);
  if (decision.kind === "keep") {
    if (decision.reason === "UpToDate") {
      const remembered = { ...memory, ledTo: server, setBackMs: recent };
      return { kind: "keep", problem: undefined, untilMs: undefined, memory: remembered };
    }
    const problem = problemOf(name, decision.reason, decision.message);
    const untilMs = decision.reason === "NotTrusted" ? trustUntilMs(target) : undefined;
    return { kind: "keep", problem, untilMs, memory: { ...memory, setBackMs: recent } };
  }
  const contest = contestOf(secret, context);
  if (contest !== undefined) {
    const problem = problemOf(name, "Contested", contestedBy(target));
    const remembered = { ...memory, ledTo: undefined, setBackMs: [] };
    return { kind: "keep", problem, untilMs: contest.untilMs, memory: remembered };
  }
  const setBackMs = memory.ledTo === server ? [...recent, nowMs] : recent;
  const remembered = { ...memory, ledTo: undefined, setBackMs };
  if (setBackMs.length >= CONTEST.rounds) {
    const afterwards = { ledTo: undefined, setBackMs: [], contestedMs: nowMs };
    return { kind: "contest", memory: remembered, afterwards };
  }
  const afterwards = { ...remembered, ledTo: server };
  return { kind: "write", data: decision.data, memory: remembered, afterwards };
}

const staleWords: Readonly<
  Record<StaleReason, { readonly state: string; readonly remedy: string }>
> = {
  NoAlias: {
    state: "older than the route",
    remedy: "Restart what is older than the route.",
  },
  OtherAddress: {
    state: "aliased to another address",
    remedy: "Restart what is aliased to another address, without an alias of its own.",
  },
  NotRouted: {
    state: "not routed",
    remedy: `Label what is not routed ${LABEL_ROUTE}: "true", in its owner's template.`,
  },
  OptedOut: {
    state: "opted out",
    remedy: `Give what opted out (${LABEL_ROUTE}: "false") a Secret of its own, or remove that label.`,
  },
};

/** What is said of a Secret that is not written because of Pods that could not follow; at most three are named. */
export function stalePodsProblem(
  secret: string,
  wanted: WantedAliases,
  stale: readonly StalePod[],
): ClientsProblem {
  const named = stale
    .slice(0, MAX_NAMED_PODS)
    .map(({ name, reason }) => `${name} (${staleWords[reason].state})`);
  const more = stale.length > MAX_NAMED_PODS ? ` and ${stale.length - MAX_NAMED_PODS} more` : "";
  const who = `${stale.length === 1 ? "Pod" : "Pods"} ${named.join(", ")}${more}`;
  const verb = stale.length === 1 ? "uses it and does" : "use it and do";
  const reasons = [...new Set(stale.map(({ reason }) => reason))].sort();
  const message = [
    `${who} ${verb} not find ${wanted.hosts.join(", ")} at the gateway.`,
    ...reasons.map((reason) => staleWords[reason].remedy),
  ].join(" ");
  return { secret, reason: "StalePods", message };
}

/** Secret → what is in its way that may pass, and since when, in milliseconds since the epoch. */
export type Waiting = ReadonlyMap<string, { readonly what: string; readonly sinceMs: number }>;

/** What a state depends on besides the findings. */
export interface StateContext {
  readonly target: KubeconfigTarget;
  /** As the state before left it. */
  readonly waiting: Waiting;
  /** When Pods are looked at again. */
  readonly podsDueMs: number | undefined;
}

/** Sums up what became of the Secrets. */
export function toState(
  findings: readonly Finding[],
  { target, waiting, podsDueMs }: StateContext,
): { readonly state: ClientsState; readonly waiting: Waiting } {
  const { nowMs } = target;
  const problems = findings.flatMap(({ problem }) => (problem === undefined ? [] : [problem]));
  const waits = problems
    .filter(({ reason }) => passing.has(reason))
    .map(({ secret, reason }) => {
      const what = `${reason} ${target.server}`;
      const before = waiting.get(secret);
      return { secret, what, sinceMs: before?.what === what ? before.sinceMs : nowMs };
    });
  const patienceEnds = waits
    .map(({ sinceMs }) => sinceMs + PATIENCE_MS)
    .filter((endMs) => endMs > nowMs);
  const dueMs = [...findings.map(({ untilMs }) => untilMs), ...patienceEnds, podsDueMs].filter(
    (ms) => ms !== undefined,
  );
  const areStale = problems.some(({ reason }) => reason === "StalePods");
  return {
    state: {
      settled: !areStale && patienceEnds.length === 0,
      problems: [...problems].sort((a, b) => (a.secret < b.secret ? -1 : 1)),
      againMs: dueMs.length === 0 ? undefined : Math.max(1, Math.min(...dueMs) - nowMs),
    },
    waiting: new Map(waits.map(({ secret, what, sinceMs }) => [secret, { what, sinceMs }])),
  };
}
