import type { KubernetesObject } from "../api";
import type { FieldManager } from "../domain/names";
import type { Connection } from "./connection";
import { isNotFound } from "./errors";
import { collectionPath, objectPath, type KindRef, type ObjectRef } from "./resources";

/** Asks for `metadata` alone. @see https://kubernetes.io/docs/reference/using-api/api-concepts/#receiving-resources-as-tables */
export const METADATA_ONLY = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1";
const METADATA_ONLY_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1";
const PAGE_SIZE = 500;
/** One API server of several may not be reached at all. */
const LOOK_TIMEOUT_MS = 5_000;

/** What `/version` answers; `emulationMajor` and `emulationMinor` only where the server emulates an older one. */
export interface ServerVersion {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
  readonly emulationMajor?: string;
  readonly emulationMinor?: string;
}

/** A collection and the version to watch it from. */
export interface ObjectList<T> {
  readonly items: readonly T[];
  readonly metadata: { readonly resourceVersion: string };
}

/** What to list or watch. */
export interface Collection extends KindRef {
  readonly namespace?: string;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly metadataOnly?: boolean;
}

/** How a patch is meant: RFC 7386 or RFC 6902. */
export interface PatchOptions {
  readonly type: "merge" | "json";
  readonly fieldManager: FieldManager;
  readonly subresource?: "status";
}

/** How an object is applied. */
export interface ApplyOptions {
  readonly fieldManager: FieldManager;
  /** True: take fields over from other managers. For what is fairlead's alone. */
  readonly force?: boolean;
  readonly subresource?: "status";
}

/** What somebody wants to do; no name and no namespace: to all of them. */
export interface AccessQuestion {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
}

/** Which API server of several is asked. */
export interface ServerChoice {
  /** True: on a connection of its own, so that a load balancer chooses again. */
  readonly fresh?: boolean;
  /** An API server's own address (an IP). */
  readonly address?: { readonly host: string; readonly port: number };
}

/** What an object must still be for it to be deleted. */
export interface Preconditions {
  readonly uid?: string;
  readonly resourceVersion?: string;
}

interface ListPage<T> {
  readonly items?: readonly T[];
  readonly metadata: { readonly resourceVersion: string; readonly continue?: string };
}

const patchTypes = { merge: "application/merge-patch+json", json: "application/json-patch+json" };
const suffix = (subresource?: string): string =>
  subresource === undefined ? "" : `/${subresource}`;

/** Reads and writes objects of the API server. Every method throws ApiError when the server refuses. */
export class KubernetesClient {
  /** @param connection Where to send requests. */
  constructor(readonly connection: Connection) {}

  /** Reads an object; undefined when it does not exist. */
  async get<T extends KubernetesObject>(ref: ObjectRef): Promise<T | undefined> {
    try {
      return await this.connection.send<T>({ method: "GET", path: objectPath(ref) });
    } catch (error) {
      if (isNotFound(error)) return undefined;
      throw error;
    }
  }

  /** Reads a whole collection, page by page. */
  async list<T extends KubernetesObject>(collection: Collection): Promise<ObjectList<T>> {
    const items: T[] = [];
    let resourceVersion = "";
    let next: string | undefined;
    do {
      const page: ListPage<T> = await this.connection.send<ListPage<T>>({
        method: "GET",
        path: collectionPath(collection, collection.namespace),
        query: {
          labelSelector: collection.labelSelector,
          fieldSelector: collection.fieldSelector,
          limit: PAGE_SIZE,
          continue: next,
        },
        ...(collection.metadataOnly === true ? { accept: METADATA_ONLY_LIST } : {}),
      });
      items.push(...(page.items ?? []));
      // Every page of one list is of the same version.
      resourceVersion = page.metadata.resourceVersion;
      next = page.metadata.continue === "" ? undefined : page.metadata.continue;
    } while (next !== undefined);
    return { items, metadata: { resourceVersion } };
  }

  /** Creates an object. An object of that name that exists already is an ApiError with reason AlreadyExists. */
  create<T extends KubernetesObject>(object: T, fieldManager: FieldManager): Promise<T> {
    return this.connection.send<T>({
      method: "POST",
      path: collectionPath(object, object.metadata.namespace),
      query: { fieldManager, fieldValidation: "Strict" },
      body: object,
    });
  }

  /** What a creation would come to, at one API server; nothing is kept. */
  tryToCreate<T extends KubernetesObject>(
    object: T,
    fieldManager: FieldManager,
    choice: ServerChoice = {},
  ): Promise<T> {
    return this.connection.send<T>({
      method: "POST",
      path: collectionPath(object, object.metadata.namespace),
      query: { fieldManager, dryRun: "All" },
      body: object,
      ...choice,
      timeoutMs: LOOK_TIMEOUT_MS,
    });
  }

  /** Whether this client may do something in the whole cluster. */
  async mayI(question: AccessQuestion): Promise<boolean> {
    const { status } = await this.connection.send<{ readonly status: { allowed: boolean } }>({
      method: "POST",
      path: "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      body: {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SelfSubjectAccessReview",
        spec: { resourceAttributes: question },
      },
    });
    return status.allowed;
  }

  /** The names of the resources that an API server serves in a version of a group; none where it does not serve that. */
  async resources(groupVersion: string, choice: ServerChoice = {}): Promise<readonly string[]> {
    try {
      const { resources } = await this.connection.send<{
        readonly resources: readonly { readonly name: string }[];
      }>({
        method: "GET",
        path: `/apis/${groupVersion}`,
        ...choice,
        timeoutMs: LOOK_TIMEOUT_MS,
      });
      return resources.map(({ name }) => name);
    } catch (error) {
      if (isNotFound(error)) return [];
      throw error;
    }
  }

  /** Replaces an object as a whole; with `metadata.resourceVersion`, only if it is still that one. */
  replace<T extends KubernetesObject>(object: T, fieldManager: FieldManager): Promise<T> {
    return this.connection.send<T>({
      method: "PUT",
      path: objectPath(refOf(object)),
      query: { fieldManager, fieldValidation: "Strict" },
      body: object,
    });
  }

  /** Server-side apply. @see https://kubernetes.io/docs/reference/using-api/server-side-apply/ */
  apply<T extends KubernetesObject>(object: T, options: ApplyOptions): Promise<T> {
    return this.connection.send<T>({
      method: "PATCH",
      path: objectPath(refOf(object)) + suffix(options.subresource),
      query: { fieldManager: options.fieldManager, force: options.force === true },
      // JSON is YAML, and every version of the API server knows this type.
      contentType: "application/apply-patch+yaml",
      body: object,
    });
  }

  /** Patches an object. */
  patch<T extends KubernetesObject>(
    ref: ObjectRef,
    patch: object,
    options: PatchOptions,
  ): Promise<T> {
    return this.connection.send<T>({
      method: "PATCH",
      path: objectPath(ref) + suffix(options.subresource),
      query: { fieldManager: options.fieldManager },
      contentType: patchTypes[options.type],
      body: patch,
    });
  }

  /** Deletes an object, if it is still the one that is meant. Its dependents go in the background. */
  async delete(ref: ObjectRef, preconditions: Preconditions = {}): Promise<"deleted" | "absent"> {
    try {
      await this.connection.send({
        method: "DELETE",
        path: objectPath(ref),
        body: {
          apiVersion: "v1",
          kind: "DeleteOptions",
          propagationPolicy: "Background",
          preconditions,
        },
      });
      return "deleted";
    } catch (error) {
      if (isNotFound(error)) return "absent";
      throw error;
    }
  }

  /** The API server's version; `fresh`: on a new connection, which may lead to another replica. */
  version({ fresh = false }: { readonly fresh?: boolean } = {}): Promise<ServerVersion> {
    return this.connection.send({ method: "GET", path: "/version", fresh, timeoutMs: 5_000 });
  }

  /** The version of the API server at an address (an IP). */
  versionAt(host: string, port: number): Promise<ServerVersion> {
    return this.connection.send({
      method: "GET",
      path: "/version",
      address: { host, port },
      timeoutMs: 3_000,
    });
  }
}

/** The name of an object. */
export function refOf(object: KubernetesObject): ObjectRef {
  const { namespace, name } = object.metadata;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    name,
    ...(namespace === undefined ? {} : { namespace }),
  };
}
