import { equals } from "ramda";
import type { Condition, KubernetesObject } from "../api";
import type { FieldManager } from "../domain/names";
import type { KubernetesClient } from "./client";

/** An object with a status that holds conditions. */
export interface ObjectWithStatus extends KubernetesObject {
  readonly status?: { readonly conditions?: readonly Condition[] };
}

type Status = Readonly<Record<string, unknown>> & { readonly conditions?: readonly Condition[] };

function holds(actual: Readonly<Record<string, unknown>>, wanted: Status): boolean {
  const { conditions = [], ...fields } = wanted;
  const present = (actual.conditions as readonly Condition[] | undefined) ?? [];
  return (
    Object.entries(fields).every(([key, value]) => equals(actual[key], value)) &&
    conditions.every((condition) =>
      equals(
        present.find(({ type }) => type === condition.type),
        condition,
      ),
    )
  );
}

/** Whose fields of which object's status are written. */
export interface StatusTarget<T extends ObjectWithStatus> {
  readonly client: KubernetesClient;
  readonly fieldManager: FieldManager;
  /** The object as it was read or last written. */
  readonly object: T;
}

/**
 * Writes a capability's own fields and conditions of a status by server-side apply, so that several capabilities share
 * a status without reading each other's part; writes nothing where the status holds them already.
 * @returns The object as it is now.
 */
export async function applyStatus<T extends ObjectWithStatus>(
  { client, fieldManager, object }: StatusTarget<T>,
  wanted: Status,
): Promise<T> {
  if (holds((object.status ?? {}) as Readonly<Record<string, unknown>>, wanted)) return object;
  const { name, namespace } = object.metadata;
  const patch = {
    apiVersion: object.apiVersion,
    kind: object.kind,
    metadata: { name, ...(namespace === undefined ? {} : { namespace }) },
    status: wanted,
  };
  // Forced: a capability's fields are its own, whoever else wrote into them by hand.
  return (await client.apply(patch as KubernetesObject, {
    fieldManager,
    force: true,
    subresource: "status",
  })) as T;
}
