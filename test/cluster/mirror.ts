import { setTimeout as sleep } from "node:timers/promises";
import type { Rest } from "./rest";

/** What every object in a namespace has. */
interface Named {
  readonly metadata: { readonly name: string; readonly namespace: string };
}

/** What is mirrored. */
export interface MirrorRequest {
  readonly rest: Rest;
  /** Of a collection. */
  readonly path: string;
  /** Called after each change, and after each list. */
  readonly change: () => void;
  /** Ends it. */
  readonly signal: AbortSignal;
}

const relistMs = 300;

/**
 * Keeps a collection in memory, by `<namespace>/<name>`. While the API server is away it stays as it was last seen.
 */
export function mirror<T extends Named>(request: MirrorRequest): ReadonlyMap<string, T> {
  const objects = new Map<string, T>();
  void follow(request, objects);
  return objects;
}

// Lists and watches for as long as the signal lets it; a watch that ends is followed by a list.
async function follow<T extends Named>(
  { rest, path, change, signal }: MirrorRequest,
  objects: Map<string, T>,
): Promise<void> {
  const keyOf = ({ metadata }: T) => `${metadata.namespace}/${metadata.name}`;
  while (!signal.aborted) {
    try {
      const list = await rest.json<{
        readonly metadata: { readonly resourceVersion: string };
        readonly items: readonly T[];
      }>({ path });
      objects.clear();
      for (const item of list.items) objects.set(keyOf(item), item);
      change();
      const query = `?watch=1&resourceVersion=${list.metadata.resourceVersion}`;
      await rest.watch(
        path + query,
        (event) => {
          const { type, object } = event as { readonly type: string; readonly object: T };
          if (type === "ADDED" || type === "MODIFIED") objects.set(keyOf(object), object);
          else if (type === "DELETED") objects.delete(keyOf(object));
          change();
        },
        signal,
      );
    } catch {
      // The API server is away: asked again below.
    }
    await sleep(relistMs, undefined, { ref: false });
  }
}
