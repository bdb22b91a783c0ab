import { createHash } from "node:crypto";
import { equals } from "ramda";
import { IN_FORCE_CONFIG_MAP } from "../../lib/domain/admission-policies";
import { GROUP, isManaged } from "../../lib/domain/names";
import type { KubernetesObject } from "../../lib/api";
import type { AnyPolicy } from "./observed";

/** On policies and bindings: a hash of the spec that fairlead wrote last, which tells an edit from an upgrade. */
export const ANNOTATION_SPEC_HASH = `${GROUP}/spec-hash`;

/** A hash of anything that is JSON, 16 hex digits. */
export function digest(value: unknown): string {
  return createHash("sha256").update(JSON.stringify(value)).digest("hex").slice(0, 16);
}

/**
 * Whether an object stays when policies go. An API server before 1.37 that has once stopped to follow a kind of
 * parameters, since no policy has any of it, never follows it again; these are about nothing that anybody makes.
 */
export function isLasting({ metadata }: KubernetesObject): boolean {
  return metadata.name === IN_FORCE_CONFIG_MAP;
}

/** A name that tells policies and bindings of either sort apart. The version does not: it is the same object in both. */
export function nameOf({ kind, metadata }: KubernetesObject): string {
  return `${kind} ${metadata.name}`;
}

/** Whether all that `wanted` says is so; what else is there, are the API server's defaults. An empty list is none. */
export function covers(is: unknown, wanted: unknown): boolean {
  if (Array.isArray(wanted)) {
    if (wanted.length === 0 && is === undefined) return true;
    return (
      Array.isArray(is) &&
      is.length === wanted.length &&
      wanted.every((each, index) => covers(is[index], each))
    );
  }
  if (typeof wanted !== "object" || wanted === null) return is === wanted;
  if (typeof is !== "object" || is === null) return false;
  const there = is as Readonly<Record<string, unknown>>;
  return Object.entries(wanted).every(([key, value]) => covers(there[key], value));
}

/** How a live object compares with how it is to be. */
export type Comparison =
  | "inLine"
  | "missing"
  /** Not fairlead's. */
  | "foreign"
  /** fairlead wrote something else: an older version, say. */
  | "older"
  /** Somebody else changed it. */
  | "edited";

/** Compares an object with how it is to be. */
export function compare(live: AnyPolicy | undefined, wanted: AnyPolicy): Comparison {
  if (live === undefined) return "missing";
  if (!isManaged(live)) return "foreign";
  const isSame = covers(live.spec, wanted.spec);
  const hash = live.metadata.annotations?.[ANNOTATION_SPEC_HASH];
  if (!isSame) return hash === digest(wanted.spec) ? "edited" : "older";
  const isMarked =
    covers(live.metadata.labels, wanted.metadata.labels ?? {}) && hash === digest(wanted.spec);
  const isOwned = equals(live.metadata.ownerReferences, wanted.metadata.ownerReferences);
  return isMarked && isOwned ? "inLine" : "older";
}
