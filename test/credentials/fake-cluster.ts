import { isDeepStrictEqual } from "node:util";
import { applyPatch, type Operation } from "fast-json-patch";
import type { KubernetesObject } from "../../lib/api";
import {
  ApiError,
  type Cache,
  type Change,
  type Clock,
  type KubernetesClient,
  type ObjectRef,
} from "../../lib/cluster";

type Listener = (change: Change<KubernetesObject>) => void;

const idOf = (kind: string, namespace: string | undefined, name: string): string =>
  [kind, namespace ?? "", name].join("/");
const idOfObject = ({ kind, metadata }: KubernetesObject): string =>
  idOf(kind, metadata.namespace, metadata.name);

function refuse(status: number, reason: string): ApiError {
  return new ApiError(reason, { status, reason });
}

type Json = Record<string, unknown>;
const isJson = (value: unknown): value is Json =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** RFC 7386. */
function mergePatch(target: unknown, patch: Json): Json {
  const merged: Json = isJson(target) ? { ...target } : {};
  for (const [key, value] of Object.entries(patch)) {
    if (value === null) Reflect.deleteProperty(merged, key);
    else merged[key] = isJson(value) ? mergePatch(merged[key], value) : value;
  }
  return merged;
}

/** RFC 6902; as the API server has it, what is absent is null, and a test that fails is an invalid request. */
function jsonPatch(target: KubernetesObject, patch: readonly Operation[]): KubernetesObject {
  const tests = patch.filter(({ op }) => op === "test");
  const wanted = patch.filter(({ op }) => op !== "test");
  for (const { path, value } of tests as readonly { path: string; value: unknown }[]) {
    const found = path
      .split("/")
      .slice(1)
      .reduce<unknown>((at, key) => (isJson(at) ? at[key] : undefined), target);
    if (!isDeepStrictEqual(found ?? null, value)) throw refuse(422, "Invalid");
  }
  return applyPatch(structuredClone(target), structuredClone(wanted)).newDocument;
}

/** A clock that stands still until it is moved. */
export class FakeClock implements Clock {
  #timers: { readonly dueMs: number; readonly run: () => void }[] = [];

  constructor(private currentMs: number) {}

  nowMs(): number {
    return this.currentMs;
  }

  after(delayMs: number, run: () => void): () => void {
    const timer = { dueMs: this.currentMs + delayMs, run };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves on and runs what is due by then. */
  advance(byMs: number): void {
    this.currentMs += byMs;
    const due = this.#timers.filter(({ dueMs }) => dueMs <= this.currentMs);
    this.#timers = this.#timers.filter(({ dueMs }) => dueMs > this.currentMs);
    for (const { run } of due) run();
  }
}

/** As much of an API server as the credentials capability talks to, in memory; its caches are told at once. */
export class FakeCluster {
  readonly requests: string[] = [];
  /** Called before a write; what it throws is the answer. */
  beforeWrite: (verb: string, id: string) => void = () => undefined;
  readonly #objects = new Map<string, KubernetesObject>();
  readonly #listeners = new Map<string, Listener[]>();
  #version = 0;

  list(kind: string): readonly KubernetesObject[] {
    return [...this.#objects.values()].filter((object) => object.kind === kind);
  }

  /** Stores an object as a user's write would. */
  put(object: KubernetesObject): KubernetesObject {
    const previous = this.#objects.get(idOfObject(object));
    this.#version += 1;
    const { uid = `uid-${idOfObject(object)}-${this.#version}` } = object.metadata;
    const stored = {
      ...object,
      ...(object.kind === "Secret" ? { type: "Opaque" } : {}),
      metadata: { ...object.metadata, uid, resourceVersion: String(this.#version) },
    };
    const { deletionTimestamp, finalizers = [] } = stored.metadata;
    if (deletionTimestamp !== undefined && finalizers.length === 0) {
      this.remove(stored);
      return stored;
    }
    this.#objects.set(idOfObject(object), stored);
    this.#tell(
      previous === undefined
        ? { kind: "added", object: stored }
        : { kind: "updated", object: stored, previous },
    );
    return stored;
  }

  remove(object: KubernetesObject): void {
    const previous = this.#objects.get(idOfObject(object));
    this.#objects.delete(idOfObject(object));
    if (previous !== undefined) this.#tell({ kind: "deleted", object: previous, previous });
  }

  cache<T extends KubernetesObject>(kind: string): Cache<T> {
    return {
      get: (name, namespace) => this.#objects.get(idOf(kind, namespace, name)) as T | undefined,
      list: (namespace) =>
        this.list(kind).filter(
          ({ metadata }) => namespace === undefined || metadata.namespace === namespace,
        ) as T[],
      onChange: (listener) => {
        const listeners = this.#listeners.get(kind) ?? [];
        this.#listeners.set(kind, [...listeners, listener as Listener]);
      },
      synced: Promise.resolve(),
      isSynced: true,
      stop: () => undefined,
    };
  }

  /** A client that talks to this cluster; its requests are noted. */
  client(): KubernetesClient {
    const find = (ref: ObjectRef): KubernetesObject | undefined =>
      this.#objects.get(idOf(ref.kind, ref.namespace, ref.name));
    const note = (verb: string, id: string): void => {
      this.requests.push(`${verb} ${id}`);
      if (verb !== "get") this.beforeWrite(verb, id);
    };
    const check = (found: KubernetesObject | undefined, expected: KubernetesObject["metadata"]) => {
      if (found === undefined) throw refuse(404, "NotFound");
      const { resourceVersion, uid } = expected;
      const isOther =
        (resourceVersion !== undefined && resourceVersion !== found.metadata.resourceVersion) ||
        (uid !== undefined && uid !== found.metadata.uid);
      if (isOther) throw refuse(409, "Conflict");
      return found;
    };
    const later = async <T>(run: () => T): Promise<T> => {
      await new Promise((resolve) => setImmediate(resolve));
      return run();
    };
    const fake = {
      get: (ref: ObjectRef) =>
        later(() => {
          note("get", idOf(ref.kind, ref.namespace, ref.name));
          return find(ref);
        }),
      create: (object: KubernetesObject) =>
        later(() => {
          note("create", idOfObject(object));
          if (this.#objects.has(idOfObject(object))) throw refuse(409, "AlreadyExists");
          return this.put(object);
        }),
      replace: (object: KubernetesObject) =>
        later(() => {
          note("replace", idOfObject(object));
          check(this.#objects.get(idOfObject(object)), object.metadata);
          return this.put(object);
        }),
      apply: (object: KubernetesObject & { status?: unknown }) =>
        later(() => {
          note("apply", idOfObject(object));
          const found = check(this.#objects.get(idOfObject(object)), object.metadata);
          const next = { ...found, status: object.status } as KubernetesObject;
          return isDeepStrictEqual(found, next) ? found : this.put(next);
        }),
      patch: (ref: ObjectRef, patch: Json | readonly Operation[]) =>
        later(() => {
          note("patch", idOf(ref.kind, ref.namespace, ref.name));
          if (Array.isArray(patch)) {
            return this.put(jsonPatch(check(find(ref), { name: ref.name }), patch));
          }
          const merge = patch as Json;
          const found = check(find(ref), merge.metadata as KubernetesObject["metadata"]);
          return this.put(mergePatch(found, merge) as unknown as KubernetesObject);
        }),
      delete: (ref: ObjectRef, preconditions: { uid?: string; resourceVersion?: string }) =>
        later(() => {
          note("delete", idOf(ref.kind, ref.namespace, ref.name));
          const found = find(ref);
          if (found === undefined) return "absent";
          check(found, { name: ref.name, ...preconditions });
          this.remove(found);
          return "deleted";
        }),
    };
    return fake as unknown as KubernetesClient;
  }

  #tell(change: Change<KubernetesObject>): void {
    for (const listener of this.#listeners.get(change.object.kind) ?? []) listener(change);
  }
}
