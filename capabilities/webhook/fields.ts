import { equals } from "ramda";
import type { LiveWebhook, WebhookConfiguration, DesiredWebhook } from "./observed";

/** An operation of a JSON patch (RFC 6902); `add` replaces what is there. */
export interface Operation {
  readonly op: "add" | "replace";
  readonly path: string;
  readonly value: unknown;
}

/** A field that is not as it should be. */
export interface Drift {
  /** `webhooks[pepr-fairlead.pepr.dev].matchConditions`, say. */
  readonly field: string;
  readonly operation: Operation;
}

/** What the API server fills in where a rule does not say it. */
const DEFAULT_SCOPE = { scope: "*" };

// Only what the API server fills in by itself is no difference.
function normalize(field: string, value: unknown): unknown {
  if (field !== "rules" || !Array.isArray(value)) return value;
  return value.map((rule: object) => ({ ...DEFAULT_SCOPE, ...rule }));
}

function driftOf(live: LiveWebhook, desired: DesiredWebhook, index: number): readonly Drift[] {
  const { name, ...fields } = desired;
  return Object.entries(fields)
    .filter(([field, value]) => !equals(normalize(field, live[field]), normalize(field, value)))
    .map(([field, value]) => ({
      field: `webhooks[${name}].${field}`,
      operation: { op: "add", path: `/webhooks/${index}/${field}`, value },
    }));
}

/**
 * What of the configuration is not as desired. Webhooks of other names, and fields that `desired` does not say, are
 * nobody's business here.
 */
export function findDrift(
  { webhooks = [] }: WebhookConfiguration,
  desired: readonly DesiredWebhook[],
): readonly Drift[] {
  return webhooks.flatMap((live, index) =>
    desired
      .filter(({ name }) => name === live.name)
      .flatMap((webhook) => driftOf(live, webhook, index)),
  );
}
