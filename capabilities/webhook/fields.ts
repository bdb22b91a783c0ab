import { equals } from "ramda";
import { WEBHOOK_NAME, type WebhookRules } from "../../lib/domain/webhook";
import type { WebhookConfiguration } from "./observed";

/** An operation of a JSON patch (RFC 6902); `add` replaces what is there. */
export interface Operation {
  readonly op: "add" | "replace";
  readonly path: string;
  readonly value: unknown;
}

/** A JSON pointer's part: @see https://www.rfc-editor.org/rfc/rfc6901#section-3 */
export function escapePointer(part: string): string {
  return part.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** A field that is not as it should be. */
export interface Drift {
  readonly field: string;
  readonly operation: Operation;
}

/** What of fairlead's webhook is not as desired; fields that `desired` does not say are left to others. */
export function findDrift(
  { webhooks = [] }: WebhookConfiguration,
  desired: WebhookRules | undefined,
): readonly Drift[] {
  const index = webhooks.findIndex(({ name }) => name === WEBHOOK_NAME);
  const live = webhooks[index];
  if (live === undefined || desired === undefined) return [];
  return Object.entries(desired)
    .filter(([field, value]) => !equals(live[field], value as unknown))
    .map(([field, value]) => ({
      field,
      operation: { op: "add", path: `/webhooks/${index}/${field}`, value: value as unknown },
    }));
}
