import { createHash } from "node:crypto";
import type { KubernetesObject } from "../api";
import { FIELD_MANAGERS } from "../domain/names";
import { namespacesIn, type NamespaceScope } from "../domain/namespace-scope";
import type { KubernetesClient } from "./client";
import type { Clock } from "./clock";
import { describeError } from "./errors";
import type { Logger } from "./logger";

/** What an Event says: `reason` in CamelCase for programs, `message` for people. */
export interface EventText {
  readonly type: "Normal" | "Warning";
  readonly reason: string;
  readonly message: string;
}

/** Writes Events about users' objects. */
export interface EventRecorder {
  event(about: KubernetesObject, text: EventText): void;
}

interface Seen {
  readonly name: string;
  count: number;
  sinceMs: number;
}

/** The same Event is not told again within this time. */
const REPEAT_AFTER_MS = 3_600_000;
/**
 * About one object, so many Events at once and then one in so long: whatever goes to and fro, with whatever words, is no
 * flood. @see https://pkg.go.dev/k8s.io/client-go/tools/record#EventSourceObjectSpamFilter
 */
const BURST = 25;
const REFILL_MS = 300_000;
const MAX_REMEMBERED = 4_096;
const MAX_MESSAGE_LENGTH = 1_024;

const hex = (text: string): string => createHash("sha256").update(text).digest("hex").slice(0, 16);
const time = (ms: number): string => new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");

/** What a recorder needs. */
export interface EventContext {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** In the restricted mode: elsewhere nothing is written, and conditions alone say what is to be said. */
  readonly scope?: NamespaceScope;
}

/** Remembers under a key, and forgets what was remembered first when it is too much. */
function remember<T>(memory: Map<string, T>, key: string, value: T): void {
  memory.delete(key);
  memory.set(key, value);
  const oldest = memory.keys().next();
  if (memory.size > MAX_REMEMBERED && oldest.done !== true) memory.delete(oldest.value);
}

/** How many Events an object may still have, at a time. */
interface Allowance {
  readonly left: number;
  readonly atMs: number;
}

class CoreEventRecorder implements EventRecorder {
  readonly #seen = new Map<string, Seen>();
  readonly #allowances = new Map<string, Allowance>();

  constructor(private readonly context: EventContext) {}

  event(about: KubernetesObject, text: EventText): void {
    const { clock, scope } = this.context;
    const { namespace = "" } = about.metadata;
    if (scope !== undefined && !namespacesIn(scope).includes(namespace)) return;
    const nowMs = clock.nowMs();
    const key = [about.metadata.uid, text.type, text.reason, text.message].join("\n");
    const seen = this.#seen.get(key);
    if (seen !== undefined && nowMs - seen.sinceMs < REPEAT_AFTER_MS) return;
    if (!this.#isAllowed(about.metadata.uid ?? "", nowMs)) return;
    // The same within one period has the same name: what a restarted process, or a second one, tells again is there.
    const period = Math.floor(nowMs / REPEAT_AFTER_MS);
    const next: Seen = {
      name: `${about.metadata.name.slice(0, 200)}.${hex(`${key}\n${period}`)}`,
      count: 1,
      sinceMs: nowMs,
    };
    remember(this.#seen, key, next);
    void this.#write(about, text, next);
  }

  #isAllowed(uid: string, nowMs: number): boolean {
    const { left, atMs } = this.#allowances.get(uid) ?? { left: BURST, atMs: nowMs };
    const now = Math.min(BURST, left + (nowMs - atMs) / REFILL_MS);
    const isAllowed = now >= 1;
    remember(this.#allowances, uid, { left: isAllowed ? now - 1 : now, atMs: nowMs });
    return isAllowed;
  }

  /** An Event that can't be written is no reason to stop: the condition says the same. */
  async #write(about: KubernetesObject, text: EventText, seen: Seen): Promise<void> {
    const at = time(seen.sinceMs);
    const { namespace = "default", name, uid, resourceVersion } = about.metadata;
    const event = {
      apiVersion: "v1",
      kind: "Event",
      metadata: { name: seen.name, namespace },
      involvedObject: {
        apiVersion: about.apiVersion,
        kind: about.kind,
        namespace,
        name,
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
      type: text.type,
      reason: text.reason,
      message: text.message.slice(0, MAX_MESSAGE_LENGTH),
      firstTimestamp: at,
      lastTimestamp: at,
      count: seen.count,
      source: { component: "fairlead" },
      reportingComponent: "fairlead.dev/controller",
      reportingInstance: "fairlead",
    };
    try {
      await this.context.client.create(event, FIELD_MANAGERS.status);
    } catch (error) {
      this.context.log.debug(
        { reason: text.reason, error: describeError(error) },
        "no event written",
      );
    }
  }
}

/**
 * Makes a recorder of Events, which tells the same thing about the same object once an hour at most, and no more than a
 * few things about one object in a short time.
 */
export function createEventRecorder(context: EventContext): EventRecorder {
  return new CoreEventRecorder(context);
}
