import { performance } from "node:perf_hooks";
import type { AnyObject, Api } from "../../test/harness/api";
import { conditionsOf } from "../../test/harness/stage";

/** What is waited for: its own credentials are copied; all is. */
export type Milestone = "CredentialsSynced" | "Ready";
const MILESTONES: readonly Milestone[] = ["CredentialsSynced", "Ready"];

const keyOf = ({ metadata }: AnyObject): string =>
  `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;

/** Whether a condition is True of the spec as it is now. */
export function isReached(object: AnyObject, milestone: Milestone): boolean {
  const condition = conditionsOf(object)[milestone];
  return (
    condition?.status === "True" &&
    (condition.observedGeneration ?? 0) >= (object.metadata.generation ?? 0)
  );
}

/** Follows all HostedAPIServers by a watch of its own. */
export class Convergence {
  readonly #objects = new Map<string, AnyObject>();
  readonly #reachedMs = new Map<Milestone, Map<string, number>>(
    MILESTONES.map((milestone) => [milestone, new Map()]),
  );
  /** The keys of those that are Ready now. */
  readonly #ready = new Set<string>();
  #listeners: (() => void)[] = [];
  #stop: () => void = () => undefined;

  /** Starts to watch; what is there already counts too. */
  static async begin(api: Api): Promise<Convergence> {
    const convergence = new Convergence();
    convergence.#stop = await api.watch("HostedAPIServer", undefined, ({ type, object }) => {
      convergence.#note(object, type === "DELETED");
    });
    return convergence;
  }

  stop(): void {
    this.#stop();
  }

  /** The HostedAPIServer of a namespace, as it was last seen. */
  of(namespace: string): AnyObject | undefined {
    return this.#objects.get(`${namespace}/main`);
  }

  /**
   * Waits until so many have reached Ready, all at the same time.
   * @returns When each was first seen to be there, in milliseconds of this process' clock, by milestone.
   * @throws Error that says what some lack.
   */
  async untilAllReady(
    count: number,
    limit: { readonly timeoutMs: number; readonly onProgress: (share: number) => void },
  ): Promise<Readonly<Record<Milestone, readonly number[]>>> {
    await this.until(() => {
      limit.onProgress(this.#ready.size / count);
      return this.#ready.size >= count;
    }, limit.timeoutMs);
    const [CredentialsSynced = [], Ready = []] = MILESTONES.map((milestone) => [
      ...(this.#reachedMs.get(milestone)?.values() ?? []),
    ]);
    return { CredentialsSynced, Ready };
  }

  /**
   * Waits until something holds, looked at after each event.
   * @throws Error that says what some lack, when it takes too long.
   */
  async until(holds: () => boolean, timeoutMs: number): Promise<void> {
    if (holds()) return;
    await new Promise<void>((resolve, reject) => {
      let isDue = false;
      const stop = (): void => {
        this.#listeners = this.#listeners.filter((listener) => listener !== look);
        clearTimeout(late);
      };
      const late = setTimeout(() => {
        stop();
        reject(new Error(`not after ${timeoutMs} ms: ${this.#describe()}`));
      }, timeoutMs);
      // Once for all events of a turn.
      const look = (): void => {
        if (isDue) return;
        isDue = true;
        setImmediate(() => {
          isDue = false;
          if (!holds()) return;
          stop();
          resolve();
        });
      };
      this.#listeners.push(look);
    });
  }

  #note(object: AnyObject, isGone: boolean): void {
    const key = keyOf(object);
    if (isGone) this.#objects.delete(key);
    else this.#objects.set(key, object);
    if (!isGone && isReached(object, "Ready")) this.#ready.add(key);
    else this.#ready.delete(key);
    for (const milestone of MILESTONES) {
      const reached = this.#reachedMs.get(milestone);
      if (isReached(object, milestone) && reached?.has(key) === false) {
        reached.set(key, performance.now());
      }
    }
    for (const listener of this.#listeners) listener();
  }

  #describe(): string {
    const counts = new Map<string, number>();
    for (const object of this.#objects.values()) {
      const { reason = "no status", message = "" } = conditionsOf(object).Ready ?? {};
      const why = `${reason}: ${message.replace(/tenant-\d+/g, "tenant-…")}`;
      counts.set(why, (counts.get(why) ?? 0) + 1);
    }
    const most = [...counts].sort(([, a], [, b]) => b - a).slice(0, 5);
    return most.map(([why, count]) => `${count} × ${why}`).join("; ");
  }
}
