import type { InternalGatewaySpec } from "../../lib/api";

/** `metav1.LabelSelector` as InternalGateway has it. */
export type LabelSelector = NonNullable<
  NonNullable<InternalGatewaySpec["allowedNamespaces"]>["selector"]
>;

type Requirement = NonNullable<LabelSelector["matchExpressions"]>[number];
type Labels = Readonly<Record<string, string>>;

// NotIn also holds where the label is missing, as in Kubernetes.
function holds(requirement: Requirement, labels: Labels): boolean {
  const value = labels[requirement.key];
  const values = requirement.values ?? [];
  switch (requirement.operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/**
 * Whether labels match a selector: every label and every expression. An empty selector matches everything.
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/labels/#label-selectors
 */
export function matchesLabels(selector: LabelSelector, labels: Labels): boolean {
  const required = Object.entries(selector.matchLabels ?? {});
  return (
    required.every(([key, value]) => labels[key] === value) &&
    (selector.matchExpressions ?? []).every((requirement) => holds(requirement, labels))
  );
}
