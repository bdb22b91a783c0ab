import type { KubernetesObject } from "../api";
import type { FieldManager } from "../domain/names";
import { refOf, type KubernetesClient } from "./client";

/**
 * Adds or removes one finalizer and touches no other; does nothing where it is so already. The object must still be of
 * the version that was read, else the write is a Conflict, which the queue repeats.
 */
export async function setFinalizer<T extends KubernetesObject>(
  client: KubernetesClient,
  object: T,
  wish: {
    readonly finalizer: string;
    readonly present: boolean;
    readonly fieldManager: FieldManager;
  },
): Promise<T> {
  const finalizers = object.metadata.finalizers ?? [];
  if (finalizers.includes(wish.finalizer) === wish.present) return object;
  const next = wish.present
    ? [...finalizers, wish.finalizer]
    : finalizers.filter((finalizer) => finalizer !== wish.finalizer);
  const { resourceVersion, uid } = object.metadata;
  const patch = { metadata: { resourceVersion, uid, finalizers: next } };
  return client.patch<T>(refOf(object), patch, {
    type: "merge",
    fieldManager: wish.fieldManager,
  });
}
