import type { KubernetesObject, PartialObjectMetadata } from "../../lib/api";
import { readMark } from "./secrets";

/** What to do with a derived Secret whose HostedAPIServer does not exist. */
export type SweepDecision =
  | { readonly kind: "delete" }
  | { readonly kind: "keep"; readonly reason: "NotMarked" | "Attached" | "ForeignOwner" };

/** The HostedAPIServer (`namespace/name`) that a Secret says that it was made for; undefined for any other Secret. */
export function markedKey(secret: KubernetesObject): string | undefined {
  const mark = readMark(secret);
  return mark === undefined ? undefined : `${mark.namespace}/${mark.name}`;
}

/**
 * Decides what becomes of a Secret with fairlead's labels. It goes only if its HostedAPIServer is gone and its owner is
 * the Namespace that the labels name: labels alone are easily copied. One whose HostedAPIServer is there is the
 * business of its plan, in whichever namespace the Secret is.
 */
export function decideSweep(
  secret: PartialObjectMetadata,
  exists: (key: string) => boolean,
): SweepDecision {
  const mark = readMark(secret);
  if (mark === undefined) return { kind: "keep", reason: "NotMarked" };
  if (exists(`${mark.namespace}/${mark.name}`)) return { kind: "keep", reason: "Attached" };
  const isOwned = (secret.metadata.ownerReferences ?? []).some(
    ({ kind, name }) => kind === "Namespace" && name === mark.namespace,
  );
  return isOwned ? { kind: "delete" } : { kind: "keep", reason: "ForeignOwner" };
}
