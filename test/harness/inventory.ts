import { createHash } from "node:crypto";
import { Refusal, type AnyObject, type Api } from "./api";

interface ResourceList {
  readonly resources: readonly { readonly name: string; readonly verbs: readonly string[] }[];
}

interface GroupList {
  readonly groups: readonly {
    readonly name: string;
    readonly preferredVersion: { readonly groupVersion: string };
  }[];
}

/** Events come and go by themselves. */
const ignored = new Set(["/api/v1/events", "/apis/events.k8s.io/v1/events"]);

async function listablePaths(api: Api): Promise<string[]> {
  const { groups } = await api.read<GroupList>("/apis");
  const bases = [
    "/api/v1",
    ...groups.map(({ preferredVersion }) => `/apis/${preferredVersion.groupVersion}`),
  ];
  const found = await Promise.all(
    bases.map(async (base) => {
      const { resources } = await api.read<ResourceList>(base);
      return resources
        .filter(({ name, verbs }) => verbs.includes("list") && !name.includes("/"))
        .map(({ name }) => `${base}/${name}`);
    }),
  );
  return found.flat().filter((path) => !ignored.has(path));
}

async function listAll(api: Api, path: string): Promise<readonly AnyObject[]> {
  try {
    return (await api.read<{ items: readonly AnyObject[] | null }>(path)).items ?? [];
  } catch (error) {
    // A kind whose definition went between discovery and the list.
    if (error instanceof Refusal && error.code === 404) return [];
    throw error;
  }
}

/** Every object of every kind that discovery tells of, Events aside, as `path namespace/name uid`, sorted. */
export async function inventory(api: Api): Promise<string[]> {
  const lines: string[] = [];
  for (const path of await listablePaths(api)) {
    for (const { metadata } of await listAll(api, path)) {
      const { namespace = "", name = "", uid = "" } = metadata;
      lines.push(`${path} ${namespace}/${name} ${uid}`);
    }
  }
  return lines.sort();
}

/** Kinds whose objects tell of time, or of what is running: not of what somebody installed. */
const restless = /\/(leases|events|nodes|endpoints|endpointslices|pods)$/;

/** An object without what the API server, and whoever runs it, says of it. */
function bare({ metadata, status: _status, ...object }: AnyObject): object {
  const {
    resourceVersion: _version,
    managedFields: _managers,
    generation: _generation,
    ...rest
  } = metadata;
  return { ...object, metadata: rest };
}

/**
 * Every object of every kind that discovery tells of, with all that was declared of it, by `path namespace/name`.
 * Secrets are told apart by a hash.
 */
export async function contents(api: Api): Promise<Readonly<Record<string, string>>> {
  const found: (readonly [string, string])[] = [];
  for (const path of await listablePaths(api)) {
    if (restless.test(path)) continue;
    for (const object of await listAll(api, path)) {
      const { namespace = "", name = "" } = object.metadata;
      const text = JSON.stringify(bare(object));
      const isSecret = path.endsWith("/secrets");
      const shown = isSecret ? createHash("sha256").update(text).digest("hex") : text;
      found.push([`${path} ${namespace}/${name}`, shown]);
    }
  }
  return Object.fromEntries(found.sort());
}
