import { equals, omit } from "ramda";
import type { KubernetesObject } from "../../lib/api";
import { LABEL_MANAGED_BY, LABEL_NAME, LABEL_NAMESPACE } from "../../lib/domain/names";

/** One write that brings an object of fairlead's in line. */
export type Write =
  | { readonly kind: "create"; readonly object: KubernetesObject }
  | {
      readonly kind: "update";
      /** As it is to be, with what others added to its metadata and with the version that it replaces. */
      readonly object: KubernetesObject;
    }
  | { readonly kind: "delete"; readonly object: KubernetesObject };

const MARKS = [LABEL_MANAGED_BY, LABEL_NAMESPACE, LABEL_NAME] as const;

/** Whether an object that exists was made for the same owner as the desired one: by its marks and its owner. */
export function isOwnObject(current: KubernetesObject, desired: KubernetesObject): boolean {
  const owners = new Set((current.metadata.ownerReferences ?? []).map(({ uid }) => uid));
  return (
    MARKS.every((mark) => current.metadata.labels?.[mark] === desired.metadata.labels?.[mark]) &&
    (desired.metadata.ownerReferences ?? []).some(({ uid }) => owners.has(uid))
  );
}

/** What is compared: all but metadata and status. */
const contentOf = (object: KubernetesObject): object =>
  omit(
    ["apiVersion", "kind", "metadata", "status"],
    object as KubernetesObject & { status?: unknown },
  );

function hasLabels(current: KubernetesObject, desired: KubernetesObject): boolean {
  return Object.entries(desired.metadata.labels ?? {}).every(
    ([key, value]) => current.metadata.labels?.[key] === value,
  );
}

function isInLine(current: KubernetesObject, desired: KubernetesObject): boolean {
  return (
    equals(contentOf(current), contentOf(desired)) &&
    hasLabels(current, desired) &&
    equals(current.metadata.ownerReferences ?? [], desired.metadata.ownerReferences ?? [])
  );
}

function replacementOf(current: KubernetesObject, desired: KubernetesObject): KubernetesObject {
  return {
    ...desired,
    metadata: {
      ...current.metadata,
      ...desired.metadata,
      labels: { ...current.metadata.labels, ...desired.metadata.labels },
    },
  };
}

/**
 * Plans the write that brings an object in line; undefined where it is so, or is being deleted.
 * @param desired Undefined: there is to be none.
 * @param current Undefined: there is none. Never somebody else's: ask `isOwnObject` first.
 */
export function planWrite(
  desired: KubernetesObject | undefined,
  current: KubernetesObject | undefined,
): Write | undefined {
  if (current === undefined) {
    return desired === undefined ? undefined : { kind: "create", object: desired };
  }
  if (current.metadata.deletionTimestamp !== undefined) return undefined;
  if (desired === undefined) return { kind: "delete", object: current };
  if (isInLine(current, desired)) return undefined;
  return { kind: "update", object: replacementOf(current, desired) };
}

const placeOf = ({ kind, metadata }: KubernetesObject): string =>
  `${kind}/${metadata.namespace ?? ""}/${metadata.name}`;

/** Plans the writes that bring a set of objects in line: first those that are to be, in their order, then what goes. */
export function planWrites(
  desired: readonly KubernetesObject[],
  current: readonly KubernetesObject[],
): readonly Write[] {
  const byPlace = new Map(current.map((object) => [placeOf(object), object]));
  const wanted = new Set(desired.map(placeOf));
  return [
    ...desired.map((object) => planWrite(object, byPlace.get(placeOf(object)))),
    ...current
      .filter((object) => !wanted.has(placeOf(object)))
      .map((object) => planWrite(undefined, object)),
  ].filter((write) => write !== undefined);
}
