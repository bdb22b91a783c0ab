import type { HostedAPIServer, PartialObjectMetadata } from "../../../lib/api";
import {
  isConflict,
  isForbidden,
  isInvalid,
  isNotFound,
  tellChange,
  type Cache,
  type CacheContext,
  type EventRecorder,
} from "../../../lib/cluster";
import { keyOf } from "../../../lib/domain/keys";
import { ANNOTATION_CONTESTED, FIELD_MANAGERS } from "../../../lib/domain/names";
import type { KubeconfigSecret, KubeconfigTarget } from "../resources/kubeconfig";
import {
  NOTHING_REMEMBERED,
  planSecret,
  problemOf,
  type Finding,
  type SecretMemory,
  type SecretPlan,
} from "./decide";
import type { PodsRound } from "./pods-round";

/** What bringing Secrets in line needs. */
export interface ClientsContext extends CacheContext {
  readonly events: EventRecorder;
  /** Metadata of all Secrets. */
  readonly secrets: Cache<PartialObjectMetadata>;
}

/** What is known of a Secret for one HostedAPIServer; nothing of what it holds but the server. */
export interface KnownSecret {
  memory: SecretMemory;
  /** What was found in a version for a target; undefined: it is to be read. */
  seen: (Finding & { readonly version: number; readonly target: string }) | undefined;
}

/** A Secret that was not seen before. */
export function newSecret(): KnownSecret {
  return { memory: NOTHING_REMEMBERED, seen: undefined };
}

/** Where a Secret's kubeconfigs are to lead. */
export interface SecretGoal {
  readonly server: HostedAPIServer;
  readonly name: string;
  readonly target: KubeconfigTarget;
  readonly pods: PodsRound;
}

type Write = Exclude<SecretPlan, { kind: "keep" }>;
/** `again`: the Secret is another one by now. */
type Written =
  | { readonly kind: "written"; readonly secret: KubeconfigSecret }
  | { readonly kind: "again" }
  | { readonly kind: "refused" };

const fieldManager = FIELD_MANAGERS.exposure;
/** A mutating webhook that undoes every write is found out in five turns; the rest is for conflicts. */
const MAX_TURNS = 8;
const CONFLICT_RETRY_MS = 1_000;
const REFUSED_RETRY_MS = 60_000;

// Versions of one kind are compared as numbers, which Kubernetes has always made them and promises since 1.35.
const versionOf = ({ metadata }: PartialObjectMetadata): number =>
  Number(metadata.resourceVersion ?? 0);

/** All that a decision depends on besides the Secret and the time. */
function printOf({ target }: SecretGoal): string {
  return [target.server, ...target.servedChain.map(({ sha256 }) => sha256)].join(" ");
}

/** A cache may be behind what was read or written; it is never ahead of it without a change. */
function isStillTrue(
  seen: NonNullable<KnownSecret["seen"]>,
  cached: PartialObjectMetadata,
  goal: SecretGoal,
): boolean {
  const { version, target, untilMs } = seen;
  const isCurrent = untilMs === undefined || goal.target.nowMs < untilMs;
  return isCurrent && target === printOf(goal) && versionOf(cached) <= version;
}

/** The Secrets of one HostedAPIServer's kubeconfigs, one at a time. */
export class SecretKeeper {
  /** @param context The API server and what is known of it. */
  constructor(private readonly context: ClientsContext) {}

  /**
   * Brings a Secret in line if that can be done.
   * @throws what a retry may mend.
   */
  async bring(goal: SecretGoal, known: KnownSecret): Promise<Finding> {
    const { name, server, target } = goal;
    const cached = this.context.secrets.get(name, server.metadata.namespace);
    if (cached === undefined) {
      known.seen = undefined;
      return this.#keepOrWrite(goal, known, undefined);
    }
    const { seen } = known;
    if (seen !== undefined && isStillTrue(seen, cached, goal)) {
      if (seen.problem?.reason !== "StalePods") return seen;
      const problem = await goal.pods.find(name, seen.problem);
      if (problem !== undefined) return { problem, untilMs: undefined };
    }
    try {
      return await this.#keepOrWrite(goal, known, await this.#read(goal));
    } catch (error) {
      if (!isForbidden(error)) throw error;
      const message = "The API server refuses to show it, or the Pods of its namespace.";
      const problem = problemOf(name, "ReadRefused", message);
      const finding = { problem, untilMs: target.nowMs + REFUSED_RETRY_MS };
      known.seen = { ...finding, version: versionOf(cached), target: printOf(goal) };
      return finding;
    }
  }

  #read({ name, server }: SecretGoal): Promise<KubeconfigSecret | undefined> {
    const { namespace = "" } = server.metadata;
    return this.context.client.get({ apiVersion: "v1", kind: "Secret", namespace, name });
  }

  /** Plans and writes by turns until there is nothing to write: what a write is answered with is planned for too. */
  async #keepOrWrite(
    goal: SecretGoal,
    known: KnownSecret,
    first: KubeconfigSecret | undefined,
  ): Promise<Finding> {
    const { name, target } = goal;
    let secret = first;
    const note = (finding: Finding): Finding => {
      known.seen =
        secret === undefined
          ? undefined
          : { ...finding, version: versionOf(secret), target: printOf(goal) };
      return finding;
    };
    const obstacle = (
      reason: "WriteRefused" | "Conflict",
      message: string,
      afterMs: number,
    ): Finding => ({
      problem: problemOf(name, reason, message),
      untilMs: target.nowMs + afterMs,
    });
    for (let turn = 0; turn < MAX_TURNS; turn += 1) {
      const plan = planSecret(secret, name, { target, memory: known.memory });
      known.memory = plan.memory;
      if (plan.kind === "keep") return note({ problem: plan.problem, untilMs: plan.untilMs });
      if (plan.kind === "write") {
        const problem = await goal.pods.find(name);
        if (problem !== undefined) return note({ problem, untilMs: undefined });
      }
      const written = await this.#write(goal, secret, plan);
      if (written.kind === "refused") {
        const message = "The API server refuses the write.";
        return note(obstacle("WriteRefused", message, REFUSED_RETRY_MS));
      }
      if (written.kind === "written") known.memory = plan.afterwards;
      secret = written.kind === "written" ? written.secret : await this.#read(goal);
    }
    const message = "Others write it at the same time, again and again.";
    known.seen = undefined;
    return obstacle("Conflict", message, CONFLICT_RETRY_MS);
  }

  async #write(
    goal: SecretGoal,
    secret: KubeconfigSecret | undefined,
    plan: Write,
  ): Promise<Written> {
    const { server, name, target } = goal;
    const { namespace = "" } = server.metadata;
    const ref = { apiVersion: "v1", kind: "Secret", namespace, name } as const;
    const resourceVersion = secret?.metadata.resourceVersion;
    const patch =
      plan.kind === "write"
        ? { metadata: { resourceVersion }, data: plan.data }
        : { metadata: { resourceVersion, annotations: { [ANNOTATION_CONTESTED]: "true" } } };
    try {
      const answer = await this.context.client.patch<KubeconfigSecret>(ref, patch, {
        type: "merge",
        fieldManager,
      });
      const decision = {
        capability: "exposure",
        key: keyOf(server),
        action: plan.kind === "write" ? "patch" : "contest",
        reason: plan.kind === "write" ? "LedElsewhere" : "Contested",
      };
      tellChange(this.context, decision, {
        object: `Secret ${namespace}/${name}`,
        server: target.server,
      });
      if (plan.kind === "contest") this.#tellContested(goal);
      return { kind: "written", secret: answer };
    } catch (error) {
      if (isConflict(error) || isNotFound(error)) return { kind: "again" };
      if (isForbidden(error) || isInvalid(error)) return { kind: "refused" };
      throw error;
    }
  }

  #tellContested({ server, name, target }: SecretGoal): void {
    this.context.events.event(server, {
      type: "Warning",
      reason: "Contested",
      message: `Somebody keeps setting the kubeconfigs of Secret ${name} back from ${target.server}. fairlead leaves them alone until its annotation ${ANNOTATION_CONTESTED} is removed.`,
    });
  }
}
