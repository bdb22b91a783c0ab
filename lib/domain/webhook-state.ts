import { equals } from "ramda";
import { literal } from "./cel";
import { EXCEPTED, webhookRules, type WebhookRules, type WebhookScope } from "./webhook";

/** A webhook as it is; only what is looked at is typed. */
export type WebhookFields = Readonly<Record<string, unknown>>;

/** How much reaches fairlead's webhook. */
export type WebhookWidth =
  /** All that concerns fairlead. */
  | "wide"
  /** What policies can't express, exceptions aside: somebody has relied on them. */
  | "narrow"
  /** Neither: it was never brought in line, or was by another version, or somebody has changed it. */
  | "other";

const namesOf = (conditions: unknown): readonly string[] =>
  Array.isArray(conditions) ? conditions.map(({ name }: { readonly name: string }) => name) : [];

/** Which conditions there are tells how it was meant, whatever they say. */
function isNarrow(live: WebhookFields, { matchConditions }: WebhookRules): boolean {
  return equals(namesOf(live.matchConditions), namesOf(matchConditions));
}

/** Whether all of a namespace that concerns fairlead reaches the webhook, though policies act elsewhere. */
export function hasNamespace(live: WebhookFields | undefined, namespace: string): boolean {
  const conditions = (live?.matchConditions ?? []) as WebhookRules["matchConditions"];
  return conditions.some(
    ({ name, expression }) => name === EXCEPTED && expression.includes(literal(namespace)),
  );
}

/** How much reaches the webhook as it is. */
export function widthOf(live: WebhookFields | undefined, scope: WebhookScope): WebhookWidth {
  if (live === undefined) return "other";
  const wide = Object.entries(webhookRules(scope));
  if (wide.every(([field, value]) => equals(live[field], value as unknown))) return "wide";
  const beside = { ...scope, policies: true };
  const narrow = [webhookRules(beside), webhookRules({ ...beside, except: ["any"] })];
  return narrow.some((rules) => isNarrow(live, rules)) ? "narrow" : "other";
}
