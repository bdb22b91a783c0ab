import { equals } from "ramda";
import type { WebhookRules } from "../../lib/domain/webhook";

/** fairlead's webhook as it is; only what is looked at is typed. */
export interface LiveWebhook {
  readonly [field: string]: unknown;
  readonly name: string;
}

/** Whether all reaches the webhook that is to. */
export function isWide(live: LiveWebhook, wide: WebhookRules): boolean {
  return Object.entries(wide).every(([field, value]) => equals(live[field], value as unknown));
}

const namesOf = (conditions: unknown): readonly string[] =>
  Array.isArray(conditions)
    ? conditions.map(({ name }: { readonly name: string }) => name)
    : [];

/** Whether policies were relied on, by whomever: exceptions aside, only what they can't do reaches the webhook. */
export function isNarrow(live: LiveWebhook, narrow: WebhookRules): boolean {
  return equals(namesOf(live.matchConditions), namesOf(narrow.matchConditions));
}
