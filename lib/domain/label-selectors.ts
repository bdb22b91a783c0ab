import { equals } from "ramda";
import type { LabelSelector, LabelSelectorRequirement } from "../api";

/** A selector as requirements alone, sorted, each once: two that are written differently but say the same are equal. */
function requirementsOf(selector: LabelSelector): readonly LabelSelectorRequirement[] {
  const fromLabels = Object.entries(selector.matchLabels ?? {}).map(
    ([key, value]): LabelSelectorRequirement => ({ key, operator: "In", values: [value] }),
  );
  const given = (selector.matchExpressions ?? []).map(
    ({ key, operator, values }): LabelSelectorRequirement => ({
      key,
      operator,
      ...(values === undefined || values === null || values.length === 0
        ? {}
        : { values: [...new Set(values)].sort() }),
    }),
  );
  const keyed = [...fromLabels, ...given].map((requirement): [string, LabelSelectorRequirement] => [
    JSON.stringify([requirement.key, requirement.operator, requirement.values ?? []]),
    requirement,
  ]);
  const sorted = [...new Map(keyed)].sort(([a], [b]) => (a < b ? -1 : 1));
  return sorted.map(([, requirement]) => requirement);
}

const isOneValue = ({ operator, values }: LabelSelectorRequirement): boolean =>
  operator === "In" && values?.length === 1;

/** Requirements as a selector: `matchLabels` for what it can say, `matchExpressions` for the rest. */
function toSelector(requirements: readonly LabelSelectorRequirement[]): LabelSelector {
  const labels = new Map<string, string>();
  const rest: LabelSelectorRequirement[] = [];
  for (const requirement of requirements) {
    const [value = ""] = requirement.values ?? [];
    if (isOneValue(requirement) && !labels.has(requirement.key)) labels.set(requirement.key, value);
    else rest.push(requirement);
  }
  return {
    ...(labels.size === 0 ? {} : { matchLabels: Object.fromEntries(labels) }),
    ...(rest.length === 0 ? {} : { matchExpressions: rest }),
  };
}

/** Whether a label with this value, or without any, meets a requirement. */
function meets(value: string | undefined, { operator, values }: LabelSelectorRequirement): boolean {
  switch (operator) {
    case "In":
      return value !== undefined && (values ?? []).includes(value);
    case "NotIn":
      return value === undefined || !(values ?? []).includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** Whether a selector selects an object with these labels. */
export function selects(
  selector: LabelSelector,
  labels: Readonly<Record<string, string>> = {},
): boolean {
  return requirementsOf(selector).every((requirement) =>
    meets(labels[requirement.key], requirement),
  );
}

/** Whether there are no labels that meet all requirements, as far as a key that must have one value tells. */
function isContradiction(requirements: readonly LabelSelectorRequirement[]): boolean {
  const fixed = requirements.filter(isOneValue);
  return fixed.some(({ key, values }) =>
    requirements.some((other) => other.key === key && !meets((values ?? [])[0], other)),
  );
}

/**
 * The selector of what both select, in a canonical form: the same for the same requirements, however they are written.
 * @returns undefined where nothing can be selected by both.
 */
export function intersect(a: LabelSelector, b: LabelSelector): LabelSelector | undefined {
  const requirements = requirementsOf({
    matchExpressions: [...requirementsOf(a), ...requirementsOf(b)],
  });
  return isContradiction(requirements) ? undefined : toSelector(requirements);
}

/** Whether everything that `narrow` selects is selected by `wide` too, as far as their requirements show. */
export function isWithin(narrow: LabelSelector, wide: LabelSelector): boolean {
  const known = requirementsOf(narrow);
  return requirementsOf(wide).every((requirement) =>
    known.some((other) => equals(other, requirement)),
  );
}
