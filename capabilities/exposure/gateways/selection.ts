import type { KubernetesObject } from "../../../lib/api";
import type { Cache, Change } from "../../../lib/cluster";

/** The objects of a cache that meet a condition, by namespace: the rest, however many, cost nothing to look at. */
export class Selection<T extends KubernetesObject> {
  readonly #objects = new Map<string, Map<string, T>>();

  /**
   * @param select The object where it belongs here, else undefined.
   * @param tell Told of each change of an object that belongs here, or did before.
   */
  constructor(
    cache: Cache<KubernetesObject>,
    private readonly select: (object: KubernetesObject) => T | undefined,
    tell: (change: Change<T>) => void,
  ) {
    for (const object of cache.list()) this.#put(object);
    cache.onChange(({ kind, object }) => {
      const previous = this.#take(object);
      const now = kind === "deleted" ? undefined : this.#put(object);
      if (now !== undefined && previous !== undefined) {
        tell({ kind: "updated", object: now, previous });
      } else if (now !== undefined) tell({ kind: "added", object: now });
      else if (previous !== undefined) tell({ kind: "deleted", object: previous, previous });
    });
  }

  /** All of them, or those of a namespace. */
  list(namespace?: string): readonly T[] {
    if (namespace !== undefined) return [...(this.#objects.get(namespace)?.values() ?? [])];
    return [...this.#objects.values()].flatMap((objects) => [...objects.values()]);
  }

  #put(object: KubernetesObject): T | undefined {
    const selected = this.select(object);
    if (selected === undefined) return undefined;
    const { namespace = "", name } = object.metadata;
    const objects = this.#objects.get(namespace) ?? new Map<string, T>();
    this.#objects.set(namespace, objects.set(name, selected));
    return selected;
  }

  #take({ metadata: { namespace = "", name } }: KubernetesObject): T | undefined {
    const objects = this.#objects.get(namespace);
    const previous = objects?.get(name);
    objects?.delete(name);
    if (objects?.size === 0) this.#objects.delete(namespace);
    return previous;
  }
}
