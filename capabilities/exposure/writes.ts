import type { KubernetesObject } from "../../lib/api";
import { isAlreadyExists, refOf, type KubernetesClient, type Logger } from "../../lib/cluster";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import { isOwnObject, type Write } from "./objects";

/** What writes go through. */
export interface WriteContext {
  readonly client: KubernetesClient;
  readonly log: Logger;
}

/** Thrown where an object that is not fairlead's has the name of one that is to be made. */
export class ForeignObjectError extends Error {
  override readonly name = "ForeignObjectError";
  /** @param object What stands in the way. */
  constructor(readonly object: KubernetesObject) {
    const { kind, metadata } = object;
    const name = `${metadata.namespace ?? ""}/${metadata.name}`;
    super(
      `${kind} ${name} exists and is not fairlead's, so it is not touched; delete it, and fairlead makes its own.`,
    );
  }
}

const fieldManager = FIELD_MANAGERS.exposure;

async function create(
  { client }: WriteContext,
  object: KubernetesObject,
): Promise<KubernetesObject> {
  try {
    return await client.create(object, fieldManager);
  } catch (error) {
    if (!isAlreadyExists(error)) throw error;
    const found = await client.get<KubernetesObject>(refOf(object));
    // Gone meanwhile, or ours and not in the cache yet: the next round sees which.
    if (found === undefined) throw error;
    if (!isOwnObject(found, object)) throw new ForeignObjectError(found);
    return found;
  }
}

async function remove({ client }: WriteContext, object: KubernetesObject): Promise<void> {
  const { uid, resourceVersion } = object.metadata;
  await client.delete(refOf(object), {
    ...(uid === undefined ? {} : { uid }),
    ...(resourceVersion === undefined ? {} : { resourceVersion }),
  });
}

/**
 * Carries out one write.
 * @returns The object as it is now; undefined when it was deleted.
 * @throws {ForeignObjectError} where somebody else's object is in the way.
 * @throws {ApiError} where the API server refuses; a Conflict is mended by planning again.
 */
export async function executeWrite(
  context: WriteContext,
  write: Write,
): Promise<KubernetesObject | undefined> {
  const { kind, metadata } = write.object;
  const about = { write: write.kind, kind, name: `${metadata.namespace ?? ""}/${metadata.name}` };
  context.log.info(about, "write");
  switch (write.kind) {
    case "create":
      return create(context, write.object);
    case "update":
      return context.client.replace(write.object, fieldManager);
    case "delete":
      await remove(context, write.object);
      return undefined;
  }
}
