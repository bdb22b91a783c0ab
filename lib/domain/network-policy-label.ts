import { createHash } from "node:crypto";

const PREFIX = "networking.resources.gardener.cloud/";
const MAX_NAME_CHARACTERS = 63;
const HASH_CHARACTERS = 5;

/** The value that lets traffic through. */
export const NETWORK_POLICY_ALLOWED = "allowed";

/** A port of a Service's Pods. */
export interface PolicyDestination {
  readonly namespace: string;
  readonly service: string;
  /** The Pods' port, not the Service's. */
  readonly port: number;
}

/**
 * The key of the label that lets a Pod reach a Service's Pods on a port. A name over 63 characters is cut and ends with
 * a hash of the whole, so that it stays a label and stays unique.
 * @see https://github.com/gardener/gardener/blob/master/pkg/utils/gardener/networkpolicy.go NetworkPolicyLabel
 */
export function networkPolicyLabel({ namespace, service, port }: PolicyDestination): string {
  const name = `to-${namespace}-${service}-tcp-${port}`;
  if (name.length <= MAX_NAME_CHARACTERS) return PREFIX + name;
  const hash = createHash("sha256").update(name).digest("hex").slice(0, HASH_CHARACTERS);
  return `${PREFIX}${name.slice(0, MAX_NAME_CHARACTERS - HASH_CHARACTERS - 1)}-${hash}`;
}
