import type { KubernetesObject } from "../../../lib/api";
import { Freshest, type Cache } from "../../../lib/cluster";

/**
 * A `Freshest` that also hears of what others delete: an object that came and went between two looks would else be
 * taken to be there still.
 */
export function followDeletions<T extends KubernetesObject>(cache: Cache<T>): Freshest<T> {
  const fresh = new Freshest(cache);
  cache.onChange(({ kind, object }) => {
    const { name, namespace, uid } = object.metadata;
    // Not where another one has been made meanwhile.
    if (kind === "deleted" && fresh.get(name, namespace)?.metadata.uid === uid) {
      fresh.removed(object);
    }
  });
  return fresh;
}
