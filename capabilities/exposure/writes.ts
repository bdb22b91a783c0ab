import type { KubernetesObject } from "../../lib/api";
import {
  isAlreadyExists,
  refOf,
  tellChange,
  type DecisionContext,
  type KubernetesClient,
} from "../../lib/cluster";
import { FIELD_MANAGERS } from "../../lib/domain/names";
import { isOwnObject, type Write } from "./objects";

/** What writes go through. */
export interface WriteContext extends DecisionContext {
  readonly client: KubernetesClient;
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

/** Why each write is made. */
const reasons: Readonly<Record<Write["kind"], string>> = {
  create: "Missing",
  update: "OutOfLine",
  delete: "NotWanted",
};

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
 * @param key The HostedAPIServer or InternalGateway that it is made for.
 * @returns The object as it is now; undefined when it was deleted.
 * @throws {ForeignObjectError} where somebody else's object is in the way.
 * @throws {ApiError} where the API server refuses; a Conflict is mended by planning again.
 */
export async function executeWrite(
  context: WriteContext,
  key: string,
  write: Write,
): Promise<KubernetesObject | undefined> {
  const written = await execute(context, write);
  const { kind, metadata } = write.object;
  const decision = { capability: "exposure", key, action: write.kind, reason: reasons[write.kind] };
  tellChange(context, decision, {
    object: `${kind} ${metadata.namespace ?? ""}/${metadata.name}`,
  });
  return written;
}

async function execute(context: WriteContext, write: Write): Promise<KubernetesObject | undefined> {
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
