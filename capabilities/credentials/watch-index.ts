import type { KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import { Freshest, type Cache } from "../../lib/cluster";
import { keyOf } from "../../lib/domain/keys";
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

/**
 * The Secrets with fairlead's labels, by the HostedAPIServer (key) that they name; one's own writes at once, before the
 * watch tells them.
 */
export class DerivedIndex {
  readonly #places = new Map<string, Set<string>>();
  readonly #fresh: Freshest<PartialObjectMetadata>;

  /** @param secrets Metadata of all Secrets. */
  constructor(secrets: Cache<PartialObjectMetadata>) {
    this.#fresh = new Freshest(secrets);
  }

  /** Takes in a Secret as it is now. @returns the keys that it is and was of. */
  put(secret: PartialObjectMetadata, previous?: PartialObjectMetadata): readonly string[] {
    const now = markedKey(secret);
    const before = previous === undefined ? undefined : markedKey(previous);
    if (before !== undefined && before !== now) this.#forget(before, secret);
    if (now !== undefined) {
      const places = this.#places.get(now) ?? new Set<string>();
      this.#places.set(now, places.add(keyOf(secret)));
    }
    return [before, now].filter((key) => key !== undefined);
  }

  /** Forgets a Secret that was deleted. @returns the key that it was of. */
  remove(secret: PartialObjectMetadata): readonly string[] {
    const key = markedKey(secret);
    if (key === undefined) return [];
    const { name, namespace } = secret.metadata;
    // It was made anew already, and the watch has yet to tell.
    if (this.#fresh.get(name, namespace) === undefined) this.#forget(key, secret);
    return [key];
  }

  /** Notes a write of one's own. @param secret As it was answered; its data is not kept. */
  wrote({ apiVersion, kind, metadata }: KubernetesObject): void {
    const secret = { apiVersion, kind, metadata };
    this.#fresh.wrote(secret);
    this.put(secret);
  }

  /** A Secret's metadata, whoever made it. */
  find(name: string, namespace: string): PartialObjectMetadata | undefined {
    return this.#fresh.get(name, namespace);
  }

  /** The Secrets of a key, sorted by name. */
  of(key: string): readonly PartialObjectMetadata[] {
    return this.#fresh
      .pick(this.#places.get(key) ?? [])
      .filter((secret) => markedKey(secret) === key)
      .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
  }

  keys(): readonly string[] {
    return [...this.#places.keys()];
  }

  #forget(key: string, secret: PartialObjectMetadata): void {
    const places = this.#places.get(key);
    places?.delete(keyOf(secret));
    if (places?.size === 0) this.#places.delete(key);
  }
}
