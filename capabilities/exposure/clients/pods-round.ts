import type { KubernetesClient } from "../../../lib/cluster";
import { stalePodsProblem, type ClientsProblem } from "./decide";
import {
  findStalePods,
  usesSecret,
  type ExistingPod,
  type WantedAliases,
} from "../../../lib/domain/stale-pods";

/** When Pods are looked at again, because stale ones were in the way. */
export interface PodsLook {
  /** The aliases that they were to have, as a text. */
  readonly wanted: string;
  readonly waitMs: number;
  readonly dueMs: number;
}

/** Which Pods are looked at, and for what. */
export interface PodsQuestion {
  readonly client: KubernetesClient;
  readonly namespace: string;
  /** Undefined: no Pod is in the way. */
  readonly wanted: WantedAliases | undefined;
  readonly nowMs: number;
  /** Undefined unless stale Pods were in the way. */
  readonly last: PodsLook | undefined;
}

const FIRST_LOOK_MS = 5_000;
const LONGEST_LOOK_MS = 60_000;

/** The Pods that could not follow a change of kubeconfigs, listed at most once, and only when they are asked for. */
export class PodsRound {
  readonly #print: string;
  readonly #last: PodsLook | undefined;
  #pods: Promise<readonly ExistingPod[]> | undefined;

  /** @param question Which Pods. */
  constructor(private readonly question: PodsQuestion) {
    this.#print = JSON.stringify(question.wanted);
    this.#last = question.last?.wanted === this.#print ? question.last : undefined;
  }

  /**
   * What is said of stale Pods that use a Secret; undefined where there are none.
   * @param before What was said of them before: it stands until the next look is due.
   */
  async find(secret: string, before?: ClientsProblem): Promise<ClientsProblem | undefined> {
    const { wanted, nowMs } = this.question;
    if (wanted === undefined) return undefined;
    if (before !== undefined && this.#last !== undefined && nowMs < this.#last.dueMs) return before;
    this.#pods ??= this.#list();
    const users = (await this.#pods).filter((pod) => usesSecret(pod, secret));
    const stale = findStalePods(users, wanted);
    return stale.length === 0 ? undefined : stalePodsProblem(secret, wanted, stale);
  }

  /** When to look again, if stale Pods are in the way: after a wait that doubles. */
  next(): PodsLook {
    if (this.#last !== undefined && this.#pods === undefined) return this.#last;
    const doubledMs = this.#last === undefined ? FIRST_LOOK_MS : 2 * this.#last.waitMs;
    const waitMs = Math.min(doubledMs, LONGEST_LOOK_MS);
    return { wanted: this.#print, waitMs, dueMs: this.question.nowMs + waitMs };
  }

  async #list(): Promise<readonly ExistingPod[]> {
    const { client, namespace } = this.question;
    return (await client.list<ExistingPod>({ apiVersion: "v1", kind: "Pod", namespace })).items;
  }
}
