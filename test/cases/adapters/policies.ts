import {
  NOTHING_REMEMBERED,
  type AnyPolicy,
  type Memory,
  type Observed,
} from "../../../capabilities/policies/observed";
import { marked } from "../../../capabilities/policies/execute";
import { planPolicies, type PolicyStep, type Write } from "../../../capabilities/policies/plan";
import { formatTime } from "../../../lib/domain/conditions";
import type { CaseAdapter, Given } from "../runner";

/** How an object that is wanted is found. */
type LiveState = "inLine" | "edited" | "older" | "foreign";

interface World {
  readonly now?: string;
  readonly served?: Observed["served"] | "none";
  readonly webhook?: Observed["webhook"]["kind"];
  /** By kind and name, as `Policy fairlead-pods`; those that are not named are missing, `leftOver` is not wanted. `lasting` stays. */
  readonly live?: Readonly<Record<string, LiveState | "leftOver" | "lasting">>;
  readonly params?: Partial<Observed["params"]>;
  readonly mark?: "written" | "old";
  readonly sight?: Observed["sight"];
  readonly remembered?: {
    readonly trusted?: boolean;
    readonly wideSince?: string;
    readonly seenSince?: string;
    readonly narrowedAt?: readonly string[];
    readonly writtenAt?: readonly string[];
    readonly failedLooks?: number;
    readonly foreignAt?: Readonly<Record<string, string>>;
    readonly refused?: { readonly message: string; readonly until: string };
  };
}

const DEFAULT_NOW = "2026-03-01T00:00:00Z";
const owner = {
  apiVersion: "admissionregistration.k8s.io/v1",
  kind: "MutatingWebhookConfiguration",
  name: "pepr-fairlead",
  uid: "owner",
};
const PROPAGATION_MS = 10_000;

const object = (kind: string, spec: object): AnyPolicy =>
  marked(
    {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: `MutatingAdmission${kind}`,
      metadata: { name: "fairlead-pods" },
      spec: { ...spec },
    },
    owner,
  );

/** Two stand for all. */
const desired: readonly AnyPolicy[] = [
  object("PolicyBinding", { policyName: "fairlead-pods" }),
  object("Policy", { mutations: ["one"] }),
];

const nameOf = ({ kind, metadata }: AnyPolicy): string =>
  `${kind.replace("MutatingAdmission", "")} ${metadata.name}`;

function inState(wanted: AnyPolicy, state: LiveState | "leftOver" | "lasting"): AnyPolicy {
  const { metadata } = wanted;
  const live = { ...wanted, metadata: { ...metadata, uid: `uid-${metadata.name}` } };
  switch (state) {
    case "inLine":
      // With what an API server adds.
      return { ...live, spec: { ...live.spec, failurePolicy: "Fail" } };
    case "edited":
      return { ...live, spec: { edited: true } };
    case "older":
      return {
        ...live,
        metadata: { ...live.metadata, annotations: { "fairlead.dev/spec-hash": "older" } },
        spec: { older: true },
      };
    case "foreign":
      return { ...live, metadata: { ...live.metadata, labels: {} } };
    case "lasting":
      return { ...live, metadata: { ...live.metadata, name: "fairlead-policies-in-force" } };
    case "leftOver":
      return { ...live, metadata: { ...live.metadata, name: "fairlead-older" } };
  }
}

function liveOf(states: NonNullable<World["live"]>): readonly AnyPolicy[] {
  return Object.entries(states).map(([name, state]) => {
    const wanted = desired.find((each) => nameOf(each) === name) ?? desired[1];
    if (wanted === undefined) throw new Error(`there is no ${name}`);
    return inState(wanted, state);
  });
}

function wideWith(observed: Observed): string {
  return planPolicies(observed, NOTHING_REMEMBERED).memory.wideWith;
}

const time = (text: string | undefined): number | undefined =>
  text === undefined ? undefined : Date.parse(text);

function memoryOf(remembered: World["remembered"], observed: Observed): Memory {
  if (remembered === undefined) return NOTHING_REMEMBERED;
  const { trusted, wideSince, seenSince, refused, foreignAt = {} } = remembered;
  const { narrowedAt = [], writtenAt = [], failedLooks = 0 } = remembered;
  return {
    isTrusted: trusted,
    wideSinceMs: time(wideSince),
    wideWith: wideWith(observed),
    seenSinceMs: time(seenSince),
    failedLooks,
    lookAtMs: 0,
    narrowedAtMs: narrowedAt.map((at) => Date.parse(at)),
    writtenAtMs: writtenAt.map((at) => Date.parse(at)),
    block: refused && {
      reason: "WriteRefused",
      message: refused.message,
      untilMs: Date.parse(refused.until),
    },
    foreignAtMs: new Map(Object.entries(foreignAt).map(([name, at]) => [name, Date.parse(at)])),
  };
}

function describeWrite(write: Write): string {
  const { action } = write;
  return `${action} ${nameOf(write.action === "create" ? write.object : write.seen)}`;
}

function describeStep(plan: PolicyStep): object {
  if (plan.step === "write") return { step: plan.step, writes: plan.writes.map(describeWrite) };
  if (plan.step !== "rest") return plan;
  const { nextAtMs } = plan;
  return { step: plan.step, ...(nextAtMs === undefined ? {} : { nextAt: formatTime(nextAtMs) }) };
}

function describeMemory(memory: Memory): object {
  const { isTrusted, seenSinceMs, wideSinceMs } = memory;
  return {
    trusted: isTrusted,
    ...(seenSinceMs === undefined ? {} : { seenSince: formatTime(seenSinceMs) }),
    ...(wideSinceMs === undefined ? {} : { wideSince: formatTime(wideSinceMs) }),
  };
}

function run({ world }: Given, when: unknown): unknown {
  const { setting } = when as { readonly setting: Observed["setting"] };
  const { now = DEFAULT_NOW, served = "v1", webhook = "wide", remembered } = world as World;
  const { live = {}, params, mark = "written", sight = "unseen" } = world as World;
  const observed: Observed = {
    nowMs: Date.parse(now),
    setting,
    served: served === "none" ? undefined : served,
    webhook: { kind: webhook },
    desired,
    live: liveOf(live),
    params: { outOfLine: 0, own: 0, foreign: [], foreignShared: undefined, ...params },
    mark: { wanted: "new", is: mark === "written" ? "new" : "old" },
    sight,
    propagationMs: PROPAGATION_MS,
  };
  const { admission, plan, memory } = planPolicies(observed, memoryOf(remembered, observed));
  return { admission, plan: describeStep(plan), remembers: describeMemory(memory) };
}

/** `when.yaml` is the setting: `{setting: Auto}`. */
export const adapter: CaseAdapter = {
  capability: "policies",
  kinds: [],
  worldKeys: ["now", "served", "webhook", "live", "params", "mark", "sight", "remembered"],
  run,
};
