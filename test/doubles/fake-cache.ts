import type { KubernetesObject } from "../../lib/api";
import type { Cache, Change } from "../../lib/cluster";

/** A cache that holds what a test puts into it. */
export class FakeCache<T extends KubernetesObject> implements Cache<T> {
  readonly #objects = new Map<string, T>();
  readonly #listeners: ((change: Change<T>) => void)[] = [];
  readonly synced: Promise<void>;
  isSynced = false;
  isStopped = false;
  #markSynced: () => void = () => undefined;

  constructor() {
    this.synced = new Promise((resolve) => {
      this.#markSynced = resolve;
    });
  }

  get(name: string, namespace = ""): T | undefined {
    return this.#objects.get(`${namespace}/${name}`);
  }

  list(namespace?: string): readonly T[] {
    const objects = [...this.#objects.values()];
    return namespace === undefined
      ? objects
      : objects.filter(({ metadata }) => metadata.namespace === namespace);
  }

  onChange(listener: (change: Change<T>) => void): void {
    this.#listeners.push(listener);
  }

  stop(): void {
    this.isStopped = true;
  }

  /** The first list arrives. */
  fill(objects: readonly T[]): void {
    for (const object of objects) this.put(object);
    this.isSynced = true;
    this.#markSynced();
  }

  /** An object is added or updated. */
  put(object: T): void {
    const { name, namespace = "" } = object.metadata;
    const previous = this.get(name, namespace);
    this.#objects.set(`${namespace}/${name}`, object);
    this.#tell(
      previous === undefined ? { kind: "added", object } : { kind: "updated", object, previous },
    );
  }

  /** An object is deleted. */
  remove(object: T): void {
    const { name, namespace = "" } = object.metadata;
    const previous = this.get(name, namespace);
    if (previous === undefined) return;
    this.#objects.delete(`${namespace}/${name}`);
    this.#tell({ kind: "deleted", object, previous });
  }

  #tell(change: Change<T>): void {
    for (const listener of this.#listeners) listener(change);
  }
}
