import {
  NOTHING_REMEMBERED,
  planSecret,
  stalePodsProblem,
  toState,
  type ClientsReason,
  type Finding,
  type SecretMemory,
  type Waiting,
} from "../../../capabilities/exposure/clients/decide";
import {
  findStalePods,
  usesSecret,
  type ExistingPod,
  type WantedAliases,
} from "../../../lib/domain/stale-pods";
import type { KubeconfigTarget } from "../../../capabilities/exposure/resources";
import type { KubernetesObject } from "../../../lib/api";
import { parseCertificates } from "../../../lib/domain/certificates";
import { formatTime } from "../../../lib/domain/conditions";
import type { CaseAdapter, Given } from "../runner";

/** What was seen and done before; times are RFC 3339. */
interface Memory {
  readonly ledTo?: string;
  readonly setBack?: readonly string[];
  readonly contested?: string;
}

interface World {
  /** Where kubeconfigs are to lead; default `https://api.tenant-a.example.com`. */
  readonly server?: string;
  /** What is served there, as PEM. */
  readonly servedChain?: string;
  readonly now?: string;
  readonly memory?: Memory;
  /** What was in the way of Secrets before, by name. */
  readonly waiting?: Readonly<Record<string, { readonly what: string; readonly since: string }>>;
  /** When Pods are looked at again. */
  readonly podsDue?: string;
}

/** A Secret with its values in plain text, so that a case can be read. */
interface SecretSubject extends KubernetesObject {
  readonly kind: "Secret";
  readonly stringData?: Readonly<Record<string, string>>;
}

/** Which of the given Pods are stale, and what is said of a Secret that they use; without a Secret, all that run. */
interface PodsSubject {
  readonly kind: "Pods";
  readonly spec: WantedAliases & { readonly secret?: string };
}

/** What became of Secrets, to be summed up. */
interface FindingsSubject {
  readonly kind: "Findings";
  readonly spec: readonly {
    readonly secret: string;
    readonly reason?: ClientsReason;
    readonly until?: string;
  }[];
}

const timeOf = (ms: number | undefined): string | undefined =>
  ms === undefined ? undefined : formatTime(ms);
const msOf = (time: string | undefined): number | undefined =>
  time === undefined ? undefined : Date.parse(time);

function targetOf({ world }: Given): KubeconfigTarget {
  const { server = "https://api.tenant-a.example.com", servedChain, now } = world as World;
  const parsed = servedChain === undefined ? undefined : parseCertificates(servedChain);
  if (parsed?.kind === "malformed") throw new Error(`given.yaml: servedChain ${parsed.message}`);
  return {
    server,
    servedChain: parsed?.certificates ?? [],
    nowMs: Date.parse(now ?? "2026-11-21T12:00:00Z"),
  };
}

function memoryOf({ world }: Given): SecretMemory {
  const { ledTo, setBack = [], contested } = (world as World).memory ?? {};
  return {
    ...NOTHING_REMEMBERED,
    ledTo,
    setBackMs: setBack.map((time) => Date.parse(time)),
    contestedMs: msOf(contested),
  };
}

const show = ({ ledTo, setBackMs, contestedMs }: SecretMemory): Memory => ({
  ...(ledTo === undefined ? {} : { ledTo }),
  ...(setBackMs.length === 0 ? {} : { setBack: setBackMs.map((ms) => formatTime(ms)) }),
  ...(contestedMs === undefined ? {} : { contested: formatTime(contestedMs) }),
});

const recode = (
  values: Readonly<Record<string, string>>,
  from: BufferEncoding,
  to: BufferEncoding,
): Record<string, string> =>
  Object.fromEntries(
    Object.entries(values).map(([key, value]) => [key, Buffer.from(value, from).toString(to)]),
  );

function runSecret(given: Given, { stringData = {}, ...secret }: SecretSubject): unknown {
  const stored = { ...secret, data: recode(stringData, "utf8", "base64") };
  const context = { target: targetOf(given), memory: memoryOf(given) };
  const plan = planSecret(stored, secret.metadata.name, context);
  const { kind } = plan;
  const memory = show(plan.memory);
  switch (plan.kind) {
    case "keep":
      return { kind, problem: plan.problem, until: timeOf(plan.untilMs), memory };
    case "write": {
      const written = recode(plan.data, "base64", "utf8");
      return { kind, stringData: written, memory, afterwards: show(plan.afterwards) };
    }
    case "contest":
      return { kind, memory, afterwards: show(plan.afterwards) };
  }
}

function runPods({ objects }: Given, { spec: { secret, ...wanted } }: PodsSubject): unknown {
  const pods = objects as unknown as readonly ExistingPod[];
  const chosen = pods.filter((pod) => secret === undefined || usesSecret(pod, secret));
  const stale = findStalePods(chosen, wanted);
  if (secret === undefined || stale.length === 0) return { stale };
  return { stale, problem: stalePodsProblem(secret, wanted, stale) };
}

function runFindings(given: Given, { spec }: FindingsSubject): unknown {
  const { waiting = {}, podsDue } = given.world as World;
  const findings = spec.map(({ secret, reason, until }): Finding => {
    const problem = reason === undefined ? undefined : { secret, reason, message: "So it is." };
    return { problem, untilMs: msOf(until) };
  });
  const before: Waiting = new Map(
    Object.entries(waiting).map(([name, { what, since }]) => [
      name,
      { what, sinceMs: Date.parse(since) },
    ]),
  );
  const context = { target: targetOf(given), waiting: before, podsDueMs: msOf(podsDue) };
  const { state, waiting: after } = toState(findings, context);
  return {
    ...state,
    waiting: Object.fromEntries(
      [...after].map(([name, { what, sinceMs }]) => [name, { what, since: formatTime(sinceMs) }]),
    ),
  };
}

/**
 * `when.yaml` is a Secret of kubeconfigs, with `stringData`; or `kind: Pods`, about the Pods of given.yaml; or
 * `kind: Findings`, what became of Secrets.
 */
export const adapter: CaseAdapter = {
  capability: "clients",
  kinds: ["Pod"],
  worldKeys: ["server", "servedChain", "now", "memory", "waiting", "podsDue"],
  run(given, when) {
    const subject = when as SecretSubject | PodsSubject | FindingsSubject;
    switch (subject.kind) {
      case "Secret":
        return runSecret(given, subject);
      case "Pods":
        return runPods(given, subject);
      case "Findings":
        return runFindings(given, subject);
    }
  },
};
