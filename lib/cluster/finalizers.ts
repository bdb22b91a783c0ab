import { equals } from "ramda";
import type { KubernetesObject } from "../api";
import type { FieldManager } from "../domain/names";
import { refOf, type KubernetesClient } from "./client";
import { ApiError, isInvalid } from "./errors";

/**
 * Adds or removes one finalizer and touches no other; does nothing where it is so already. The object must still have
 * the finalizers that were read, else the write is a Conflict. Whatever else was written meanwhile, conditions above
 * all, is no matter: where several capabilities begin with the same object, none has to wait and try again.
 * @returns The object as it is now.
 * @throws {ApiError} Conflict where finalizers were changed meanwhile, or it is another object by now.
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
  const { finalizers = [], uid } = object.metadata;
  if (finalizers.includes(wish.finalizer) === wish.present) return object;
  const next = wish.present
    ? [...finalizers, wish.finalizer]
    : finalizers.filter((finalizer) => finalizer !== wish.finalizer);
  const path = "/metadata/finalizers";
  const patch = [
    { op: "test", path: "/metadata/uid", value: uid },
    // Without any, the field is absent, which the API server takes for null.
    { op: "test", path, value: finalizers.length === 0 ? null : finalizers },
    // "add" replaces what is there.
    { op: "add", path, value: next },
  ];
  try {
    const options = { type: "json", fieldManager: wish.fieldManager } as const;
    return await client.patch<T>(refOf(object), patch, options);
  } catch (error) {
    // A test that fails is told as an invalid request, which a policy's refusal is too.
    if (isInvalid(error) && (await hasChanged(client, object))) throw conflict(object);
    throw error;
  }
}

async function hasChanged(client: KubernetesClient, object: KubernetesObject): Promise<boolean> {
  const current = await client.get<KubernetesObject>(refOf(object));
  const factsOf = (metadata: KubernetesObject["metadata"] | undefined): unknown => [
    metadata?.uid,
    metadata?.finalizers ?? [],
  ];
  return !equals(factsOf(current?.metadata), factsOf(object.metadata));
}

function conflict({ kind, metadata }: KubernetesObject): ApiError {
  const { namespace = "", name } = metadata;
  return new ApiError(`the finalizers of ${kind} ${namespace}/${name} were changed meanwhile`, {
    status: 409,
    reason: "Conflict",
    method: "PATCH",
  });
}
