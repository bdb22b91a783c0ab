import type { KubernetesObject } from "../../lib/api";
import type { AdmissionSetting } from "../../lib/domain/settings";
import type { WebhookWidth } from "../../lib/domain/webhook-state";
import type { PolicyVersion } from "./resources";

/** A policy or a binding, mutating or validating, with whatever metadata it has. */
export interface AnyPolicy extends KubernetesObject {
  readonly spec: Readonly<Record<string, unknown>>;
}

/** The webhook's configuration, as far as it matters who admits what. */
export type WebhookState =
  /** It does not exist. */
  { readonly kind: "absent" } | { readonly kind: WebhookWidth };

/** The parameters, compared with how they are to be. */
export interface ParamsState {
  /** How many are missing, or are not as they are to be. */
  readonly outOfLine: number;
  /** How many of fairlead's there are. */
  readonly own: number;
  /** Namespaces in which policies can't act, sorted; see `ParameterMaps.isInTheWay`. */
  readonly foreign: readonly string[];
  /** A ConfigMap of the parameters of the whole cluster that is not fairlead's, `namespace/name`. */
  readonly foreignShared: string | undefined;
}

/** What was seen at the API servers. */
export type Sight = "inForce" | "notInForce" | "unseen";

/** What a look at the cluster brought. */
export interface Observed {
  readonly nowMs: number;
  readonly setting: AdmissionSetting;
  /** What every API server serves; undefined: one of them serves none. */
  readonly served: PolicyVersion | undefined;
  readonly webhook: WebhookState;
  /** Policies and bindings as they are to be, each policy before its binding. */
  readonly desired: readonly AnyPolicy[];
  /** Those that are fairlead's, or have the name of one that is desired. */
  readonly live: readonly AnyPolicy[];
  readonly params: ParamsState;
  /** What the mark says that API servers are asked for: the versions of all that they must have heard of. */
  readonly mark: { readonly wanted: string; readonly is: string | undefined };
  readonly sight: Sight;
  /** How long every API server has to hear of a change. */
  readonly propagationMs: number;
}

/** A write that the API server refused. */
export interface Block {
  readonly reason: "ForeignObject" | "WriteRefused";
  readonly message: string;
  /** When it is tried again. */
  readonly untilMs: number;
}

/** What one watcher keeps from look to look. To lose it costs time and nothing else. */
export interface Memory {
  /** Whether policies may be relied on; undefined before the first look. */
  readonly isTrusted: boolean | undefined;
  /** Since when all that concerns fairlead reaches the webhook, while nobody has changed policies. */
  readonly wideSinceMs: number | undefined;
  /** Which policies there were then. */
  readonly wideWith: string;
  /** Since when policies have been in force at every API server. */
  readonly seenSinceMs: number | undefined;
  /** How often in a row API servers were asked in vain, and when they are asked again. */
  readonly failedLooks: number;
  readonly lookAtMs: number;
  /** When policies or bindings were written. */
  readonly writtenAtMs: readonly number[];
  /** When policies were relied on anew. */
  readonly narrowedAtMs: readonly number[];
  readonly block: Block | undefined;
  /** When a ConfigMap was last seen in the way, by namespace. */
  readonly foreignAtMs: ReadonlyMap<string, number>;
}

/** What is remembered at the start. */
export const NOTHING_REMEMBERED: Memory = {
  isTrusted: undefined,
  wideSinceMs: undefined,
  wideWith: "",
  seenSinceMs: undefined,
  failedLooks: 0,
  lookAtMs: 0,
  writtenAtMs: [],
  narrowedAtMs: [],
  block: undefined,
  foreignAtMs: new Map(),
};
