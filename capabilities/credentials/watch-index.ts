import type { KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import { markedKey } from "./sweep";

/** What is looked at on behalf of a HostedAPIServer: `Secret/namespace/name`. */
export type Watched = string;

/**
 * Which HostedAPIServers (by key) look at which objects, so that a change of any other object costs nothing.
 */
export class WatchIndex {
  readonly #byKey = new Map<string, ReadonlySet<Watched>>();
  readonly #byObject = new Map<Watched, Set<string>>();

  /** Sets what a key looks at, in place of what it looked at before. */
  set(key: string, watched: ReadonlySet<Watched>): void {
    for (const object of this.#byKey.get(key) ?? []) {
      if (watched.has(object)) continue;
      const keys = this.#byObject.get(object);
      keys?.delete(key);
      if (keys?.size === 0) this.#byObject.delete(object);
    }
    for (const object of watched) {
      this.#byObject.set(object, (this.#byObject.get(object) ?? new Set()).add(key));
    }
    if (watched.size === 0) this.#byKey.delete(key);
    else this.#byKey.set(key, watched);
  }

  /** The keys that look at an object. */
  keysOf(object: Watched): readonly string[] {
    return [...(this.#byObject.get(object) ?? [])];
  }

  /** What a key looks at. */
  watchedBy(key: string): readonly Watched[] {
    return [...(this.#byKey.get(key) ?? [])];
  }
}

const nameOf = ({ metadata }: KubernetesObject): string =>
  `${metadata.namespace ?? ""}/${metadata.name}`;

/** The Secrets with fairlead's labels, by the HostedAPIServer (key) that they name. */
export class DerivedIndex {
  readonly #byKey = new Map<string, Map<string, PartialObjectMetadata>>();

  /** Takes in a Secret as it is now. @returns the keys that it is and was of. */
  put(secret: PartialObjectMetadata, previous?: PartialObjectMetadata): readonly string[] {
    const before = previous === undefined ? [] : this.remove(previous);
    const key = markedKey(secret);
    if (key === undefined) return before;
    const secrets = this.#byKey.get(key) ?? new Map<string, PartialObjectMetadata>();
    this.#byKey.set(key, secrets.set(nameOf(secret), secret));
    return [...before, key];
  }

  /** Forgets a Secret. @returns the key that it was of. */
  remove(secret: PartialObjectMetadata): readonly string[] {
    const key = markedKey(secret);
    const secrets = key === undefined ? undefined : this.#byKey.get(key);
    if (key === undefined || secrets === undefined) return [];
    secrets.delete(nameOf(secret));
    if (secrets.size === 0) this.#byKey.delete(key);
    return [key];
  }

  /** The Secrets of a key, sorted by name. */
  of(key: string): readonly PartialObjectMetadata[] {
    return [...(this.#byKey.get(key)?.values() ?? [])].sort((a, b) =>
      nameOf(a) < nameOf(b) ? -1 : 1,
    );
  }

  keys(): readonly string[] {
    return [...this.#byKey.keys()];
  }
}
