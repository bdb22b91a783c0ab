import type { KubernetesObject } from "../api";
import type { Cache } from "./cache";

interface Written<T> {
  readonly object: T;
  /** It was deleted at this version or a later one. */
  readonly deleted: boolean;
}

// Versions of one kind are compared as numbers, which Kubernetes has always made them and promises since 1.35.
const versionOf = (object: KubernetesObject | undefined): number =>
  Number(object?.metadata.resourceVersion ?? 0);

/**
 * A cache together with one's own writes that it has not seen yet, so that a plan that follows a write is not made from
 * the state before it.
 * @see https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
 */
export class Freshest<T extends KubernetesObject> {
  readonly #written = new Map<string, Written<T>>();

  /** @param cache What the API server was last heard to say. */
  constructor(private readonly cache: Cache<T>) {
    // What others delete before anybody looked would be taken to be there still.
    cache.onChange(({ kind, object }) => {
      if (kind !== "deleted") return;
      const written = this.#written.get(this.#place(object));
      // Not where another one has been made meanwhile.
      if (written?.object.metadata.uid === object.metadata.uid) {
        this.#written.delete(this.#place(object));
      }
    });
  }

  /** The object as it was last seen or written. */
  get(name: string, namespace = ""): T | undefined {
    return this.#newest(`${namespace}/${name}`, this.cache.get(name, namespace));
  }

  /** The objects of these names, as they were last seen or written. */
  pick(names: Iterable<string>): readonly T[] {
    return [...names].flatMap((place) => {
      const slash = place.indexOf("/");
      return this.get(place.slice(slash + 1), place.slice(0, slash)) ?? [];
    });
  }

  /** Notes what a create or an update was answered with. */
  wrote(object: T): void {
    this.#written.set(this.#place(object), { object, deleted: false });
  }

  /** Notes that an object was deleted. */
  removed(object: T): void {
    this.#written.set(this.#place(object), { object, deleted: true });
  }

  #place({ metadata }: KubernetesObject): string {
    return `${metadata.namespace ?? ""}/${metadata.name}`;
  }

  #newest(place: string, cached: T | undefined): T | undefined {
    const written = this.#written.get(place);
    if (written === undefined) return cached;
    const sameObject = cached?.metadata.uid === written.object.metadata.uid;
    if (written.deleted) {
      if (sameObject) return undefined;
    } else if (versionOf(cached) < versionOf(written.object)) {
      return written.object;
    }
    this.#written.delete(place);
    return cached;
  }
}
