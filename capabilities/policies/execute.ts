import { IN_FORCE_CONFIG_MAP } from "../../lib/domain/admission-policies";
import type { KubernetesObject, OwnerReference } from "../../lib/api";
import { refOf, type KubernetesClient } from "../../lib/cluster";
import {
  FIELD_MANAGERS,
  LABEL_MANAGED_BY,
  LABEL_NAMESPACE,
  MANAGED_BY,
} from "../../lib/domain/names";
import type { ConfigMap } from "../../lib/domain/route-config";
import { SYSTEM_NAMESPACE } from "../../lib/domain/webhook";
import { ANNOTATION_SPEC_HASH, digest } from "./compare";
import { markLabels } from "./in-force";
import type { AnyPolicy } from "./observed";
import type { Write } from "./plan";

const fieldManager = FIELD_MANAGERS.policies;

/** A policy or a binding with fairlead's marks. */
export function marked(object: AnyPolicy, owner: OwnerReference | undefined): AnyPolicy {
  const { metadata, spec } = object;
  return {
    ...object,
    metadata: {
      ...metadata,
      labels: { ...metadata.labels, [LABEL_MANAGED_BY]: MANAGED_BY },
      annotations: { ...metadata.annotations, [ANNOTATION_SPEC_HASH]: digest(spec) },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
  };
}

/** An object as it is to be, with what others have added to its metadata. */
function over<T extends KubernetesObject>(seen: T, object: T): T {
  const { labels, annotations, resourceVersion = "" } = seen.metadata;
  return {
    ...object,
    metadata: {
      ...object.metadata,
      resourceVersion,
      labels: { ...labels, ...object.metadata.labels },
      annotations: { ...annotations, ...object.metadata.annotations },
    },
  };
}

/**
 * Makes a change of a policy or a binding.
 * @throws ApiError with reason Conflict or AlreadyExists when it is not as it was seen any more.
 */
export async function execute(client: KubernetesClient, write: Write): Promise<void> {
  switch (write.action) {
    case "create":
      await client.create(write.object, fieldManager);
      return;
    case "replace":
      await client.replace(over(write.seen, write.object), fieldManager);
      return;
    case "delete": {
      const { uid = "", resourceVersion = "" } = write.seen.metadata;
      await client.delete(refOf(write.seen), { uid, resourceVersion });
    }
  }
}

/**
 * Makes a ConfigMap as it is to be, or brings the one that is there in line.
 * @throws ApiError with reason Conflict or AlreadyExists when it is not as it was seen any more.
 */
export async function writeConfigMap(
  client: KubernetesClient,
  wanted: ConfigMap,
  live: ConfigMap | undefined,
): Promise<void> {
  if (live === undefined) await client.create(wanted, fieldManager);
  else await client.replace(over(live, wanted), fieldManager);
}

/** The ConfigMap that holds the mark. */
const markRef = {
  apiVersion: "v1",
  kind: "ConfigMap",
  namespace: SYSTEM_NAMESPACE,
  name: IN_FORCE_CONFIG_MAP,
} as const;

/** The mark that API servers know, or are to; undefined where none was written. */
export async function readMark(client: KubernetesClient): Promise<string | undefined> {
  return (await client.get<ConfigMap>(markRef))?.data?.mark;
}

/** Writes the mark that API servers are asked for. @returns whether that took a write. */
export async function writeMark(
  client: KubernetesClient,
  mark: string,
  owner: OwnerReference | undefined,
): Promise<boolean> {
  const live = await client.get<ConfigMap>(markRef);
  if (live?.data?.mark === mark) return false;
  const labels = {
    [LABEL_MANAGED_BY]: MANAGED_BY,
    [LABEL_NAMESPACE]: SYSTEM_NAMESPACE,
    ...markLabels,
  };
  const wanted = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: {
      name: IN_FORCE_CONFIG_MAP,
      namespace: SYSTEM_NAMESPACE,
      labels,
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    data: { mark },
  };
  await writeConfigMap(client, wanted, live);
  return true;
}
