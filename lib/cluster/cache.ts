import {
  ListWatch,
  type KubernetesListObject,
  type KubernetesObject as InformedObject,
} from "@kubernetes/client-node";
import type { KubernetesObject } from "../api";
import { namespacesIn, type NamespaceScope } from "../domain/namespace-scope";
import { Backoff } from "./backoff";
import type { Collection, KubernetesClient } from "./client";
import type { Clock } from "./clock";
import { describeError, isForbidden } from "./errors";
import type { WatchList, WatchTracker } from "./freshness";
import type { Logger } from "./logger";
import type { Metrics } from "./metrics";
import { ReadRefusals } from "./read-refusals";
import { collectionPath } from "./resources";
import { FreshWatch, SILENCE_LIMIT_MS } from "./watch";

/** A change that a cache saw. */
export interface Change<T> {
  readonly kind: "added" | "updated" | "deleted";
  readonly object: T;
  readonly previous?: T;
}

/** A collection of the API server's as it was last heard of. */
export interface Cache<T extends KubernetesObject> {
  get(name: string, namespace?: string): T | undefined;
  list(namespace?: string): readonly T[];
  onChange(listener: (change: Change<T>) => void): void;
  /** Resolves when the first list is in; pending for as long as the API server can't be reached. */
  readonly synced: Promise<void>;
  readonly isSynced: boolean;
  stop(): void;
}

/** The namespaces that are read, and which of them can't be. */
export interface ReadScope extends NamespaceScope {
  readonly refusals: ReadRefusals;
}

/** What a cache needs. */
export interface CacheContext {
  readonly client: KubernetesClient;
  readonly clock: Clock;
  readonly log: Logger;
  /** Where each watch is noted, with how fresh it is. */
  readonly watches?: WatchList | undefined;
  /** What is counted; nothing where absent. */
  readonly metrics?: Metrics | undefined;
  /** In the restricted mode: the only namespaces in which anything but fairlead's own kinds is read. */
  readonly scope?: ReadScope;
}

/** What to keep and what of it. */
export interface CacheOptions<T extends KubernetesObject> extends Collection {
  /** What of an object is kept, to bound memory; everything but managedFields when absent. */
  readonly project?: (object: T) => T;
}

/** Longer than it takes to start a watch that can be started. */
const START_LIMIT_MS = 60_000;

/** Of a cache that is one of several: told whether it is refused, and why. */
type RefusalListener = (sentence: string | undefined) => void;

const RESTART = { initialDelayMs: 200, maxDelayMs: 5_000 };
/** A right that is missing is given by a person. */
const REFUSED_RESTART = { initialDelayMs: 1_000, maxDelayMs: 30_000 };

function withoutManagedFields<T extends KubernetesObject>(object: T): T {
  const { managedFields: _managedFields, ...metadata } = object.metadata as T["metadata"] & {
    managedFields?: unknown;
  };
  return { ...object, metadata };
}

class InformerCache<T extends KubernetesObject> implements Cache<T> {
  readonly #objects = new Map<string, Map<string, T>>();
  readonly #listeners: ((change: Change<T>) => void)[] = [];
  readonly #backoff = new Backoff(RESTART);
  readonly #tracker: WatchTracker | undefined;
  readonly #refusedBackoff = new Backoff(REFUSED_RESTART);
  /** client-node types times as Date; on the wire, and so here, they are strings. */
  readonly #informer: ListWatch<InformedObject>;
  readonly synced: Promise<void>;
  isSynced = false;
  #markSynced: () => void = () => undefined;
  #stopped = false;
  #refusal: string | undefined;

  /** @param onRefusal Given where another cache is of use without this one, which then waits longer and in silence. */
  constructor(
    private readonly context: CacheContext,
    private readonly options: CacheOptions<T>,
    private readonly onRefusal?: RefusalListener,
  ) {
    this.synced = new Promise((resolve) => {
      this.#markSynced = resolve;
    });
    const path = collectionPath(options, options.namespace);
    this.#tracker = context.watches?.open(options.kind, START_LIMIT_MS);
    const watch = new FreshWatch(context.client.connection.config, {
      metadataOnly: options.metadataOnly === true,
      clock: context.clock,
      project: (object) => this.#keep(object as T),
      onHeard: (limitMs) => {
        this.#tracker?.heard(limitMs);
        this.#noteRefusal(undefined);
      },
    });
    this.#informer = new ListWatch<InformedObject>(
      path,
      watch,
      () => this.#list() as unknown as Promise<KubernetesListObject<InformedObject>>,
      false,
      options.labelSelector,
      options.fieldSelector,
    );
    this.#informer.on("add", (object) => {
      this.#put(object as unknown as T);
    });
    this.#informer.on("update", (object) => {
      this.#put(object as unknown as T);
    });
    this.#informer.on("delete", (object) => {
      this.#remove(object as unknown as T);
    });
    this.#informer.on("error", (error: unknown) => {
      this.#restart(error);
    });
    this.#start();
  }

  get(name: string, namespace = ""): T | undefined {
    return this.#objects.get(namespace)?.get(name);
  }

  list(namespace?: string): readonly T[] {
    if (namespace !== undefined) return [...(this.#objects.get(namespace)?.values() ?? [])];
    return [...this.#objects.values()].flatMap((objects) => [...objects.values()]);
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.#listeners.push(listener);
  }

  stop(): void {
    this.#stopped = true;
    this.#tracker?.close();
    void this.#informer.stop();
  }

  #keep(object: T): T {
    // Items of a list carry neither apiVersion nor kind.
    const { apiVersion, kind } = this.options;
    const whole = withoutManagedFields({ ...object, apiVersion, kind });
    if (this.options.project === undefined) return whole;
    const kept = this.options.project(whole);
    const { resourceVersion } = whole.metadata;
    // The informer resumes from the version of the last object that it was given.
    return {
      ...kept,
      metadata: {
        ...kept.metadata,
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      },
    };
  }

  async #list(): Promise<{ items: T[]; metadata: { resourceVersion: string } }> {
    const list = await this.context.client.list<T>(this.options);
    this.#tracker?.heard(SILENCE_LIMIT_MS);
    // The informer stores the items once this promise is settled.
    setImmediate(() => {
      this.isSynced = true;
      this.#markSynced();
    });
    return { items: list.items.map((item) => this.#keep(item)), metadata: list.metadata };
  }

  #start(): void {
    this.#informer.start().catch((error: unknown) => {
      this.#restart(error);
    });
  }

  #restart(error: unknown): void {
    if (this.#stopped) return;
    const isRefused = this.onRefusal !== undefined && isForbidden(error);
    const delayMs = (isRefused ? this.#refusedBackoff : this.#backoff).nextMs();
    const { kind, namespace, fieldSelector } = this.options;
    const about = { kind, namespace, fieldSelector, error: describeError(error), delayMs };
    // A refusal that others are of use without is an answer too: a new process would get the same.
    if (isRefused) this.#tracker?.heard(START_LIMIT_MS);
    else this.#tracker?.broken(START_LIMIT_MS);
    this.context.metrics?.failed("watch", error);
    const isKnown = isRefused && this.#refusal !== undefined;
    this.context.log[isKnown ? "debug" : "warn"](about, "watch interrupted, trying again");
    if (isRefused) this.#noteRefusal(describeError(error));
    this.context.clock.after(delayMs, () => {
      if (!this.#stopped) this.#start();
    });
  }

  #noteRefusal(sentence: string | undefined): void {
    if (sentence === undefined && this.#refusal === undefined) return;
    if (sentence === undefined) this.#refusedBackoff.reset();
    this.#refusal = sentence;
    this.onRefusal?.(sentence);
  }

  #put(object: T): void {
    this.#backoff.reset();
    const { namespace = "", name } = object.metadata;
    const objects = this.#objects.get(namespace) ?? new Map<string, T>();
    const previous = objects.get(name);
    objects.set(name, object);
    this.#objects.set(namespace, objects);
    this.#tell(
      previous === undefined ? { kind: "added", object } : { kind: "updated", object, previous },
    );
  }

  #remove(object: T): void {
    const { namespace = "", name } = object.metadata;
    const objects = this.#objects.get(namespace);
    const previous = objects?.get(name);
    if (objects === undefined || previous === undefined) return;
    objects.delete(name);
    if (objects.size === 0) this.#objects.delete(namespace);
    this.#tell({ kind: "deleted", object, previous });
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}

/**
 * Opens a cache: lists, watches, and starts again with a growing wait whenever that breaks, without end. The informer
 * is client-node's.
 */
export function openCache<T extends KubernetesObject>(
  context: CacheContext,
  options: CacheOptions<T>,
): Cache<T> {
  return new InformerCache(context, options);
}

/**
 * One cache of several, each of a namespace of its own. One that there is no right to read keeps nobody waiting: it may
 * be of a namespace that is gone, with its RoleBindings. `scope.refusals` tells of it.
 */
class MergedCache<T extends KubernetesObject> implements Cache<T> {
  readonly synced: Promise<void>;
  readonly #parts: ReadonlyMap<string, Cache<T>>;
  readonly #refused = new Set<string>();

  constructor(context: CacheContext, options: CacheOptions<T>, namespaces: readonly string[]) {
    const opened = namespaces.map((namespace) => this.#open(context, { ...options, namespace }));
    this.#parts = new Map(opened.map(({ namespace, part }) => [namespace, part]));
    this.synced = Promise.all(opened.map(({ known }) => known)).then(() => undefined);
  }

  get isSynced(): boolean {
    return [...this.#parts].every(
      ([namespace, part]) => part.isSynced || this.#refused.has(namespace),
    );
  }

  get(name: string, namespace = ""): T | undefined {
    return this.#parts.get(namespace)?.get(name, namespace);
  }

  list(namespace?: string): readonly T[] {
    if (namespace !== undefined) return this.#parts.get(namespace)?.list(namespace) ?? [];
    return this.#all().flatMap((part) => part.list());
  }

  onChange(listener: (change: Change<T>) => void): void {
    for (const part of this.#all()) part.onChange(listener);
  }

  stop(): void {
    for (const part of this.#all()) part.stop();
  }

  #open(context: CacheContext, options: CacheOptions<T> & { readonly namespace: string }) {
    const { namespace } = options;
    const reader = {};
    let markRefused = (): void => undefined;
    const refused = new Promise<void>((resolve) => {
      markRefused = resolve;
    });
    const part = new InformerCache(context, options, (sentence) => {
      context.scope?.refusals.note(namespace, reader, sentence);
      if (sentence === undefined) {
        this.#refused.delete(namespace);
      } else {
        this.#refused.add(namespace);
        markRefused();
      }
    });
    return { namespace, part, known: Promise.race([part.synced, refused]) };
  }

  #all(): readonly Cache<T>[] {
    return [...this.#parts.values()];
  }
}

/**
 * Opens a cache of a namespaced kind that is not fairlead's own: over all namespaces, or in the restricted mode one watch
 * for each that is listed.
 * @param options Without a namespace.
 */
export function openScopedCache<T extends KubernetesObject>(
  context: CacheContext,
  options: CacheOptions<T>,
): Cache<T> {
  const { scope } = context;
  if (scope === undefined) return openCache(context, options);
  return new MergedCache(context, options, namespacesIn(scope));
}

/** What of a cache passes a test by its namespace alone; synced when the cache is. */
class NarrowedCache<T extends KubernetesObject> implements Cache<T> {
  constructor(
    private readonly whole: Cache<T>,
    private readonly isIn: (namespace: string) => boolean,
  ) {}

  get synced(): Promise<void> {
    return this.whole.synced;
  }

  get isSynced(): boolean {
    return this.whole.isSynced;
  }

  get(name: string, namespace = ""): T | undefined {
    return this.isIn(namespace) ? this.whole.get(name, namespace) : undefined;
  }

  list(namespace?: string): readonly T[] {
    return this.whole
      .list(namespace)
      .filter((object) => this.isIn(object.metadata.namespace ?? ""));
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.whole.onChange((change) => {
      if (this.isIn(change.object.metadata.namespace ?? "")) listener(change);
    });
  }

  stop(): void {
    this.whole.stop();
  }
}

/**
 * What of a cache is in some namespaces; for who acts on nothing else.
 * @param namespaces Undefined: all of it.
 */
export function narrowCache<T extends KubernetesObject>(
  cache: Cache<T>,
  namespaces: readonly string[] | undefined,
): Cache<T> {
  if (namespaces === undefined) return cache;
  const listed = new Set(namespaces);
  return new NarrowedCache(cache, (namespace) => listed.has(namespace));
}

/** The scope that caches tell of what they can't read; undefined where fairlead is not restricted. */
export function readScope(scope: NamespaceScope | undefined): ReadScope | undefined {
  return scope && { ...scope, refusals: new ReadRefusals() };
}
