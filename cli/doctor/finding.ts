/** How bad something is: a problem needs somebody; a warning is worth knowing; unseen could not be looked at. */
export type Severity = "problem" | "warning" | "unseen";

/** Something that is not as it should be. */
export interface Finding {
  readonly severity: Severity;
  /** What it is about: `Deployment pepr-system/pepr-fairlead`. */
  readonly subject: string;
  /** Why, in CamelCase, for programs. */
  readonly reason: string;
  /** Sentences: what is wrong, and what it means. */
  readonly message: string;
  /** Commands that mend it, or, where only a person can decide, that lead there; a placeholder is in `<angle brackets>`. */
  readonly commands: readonly string[];
}

/** A finding without its severity. */
export type FindingText = Omit<Finding, "severity">;

/** A finding that needs somebody. */
export const problem = (text: FindingText): Finding => ({ severity: "problem", ...text });
/** A finding that is worth knowing. */
export const warning = (text: FindingText): Finding => ({ severity: "warning", ...text });

/** A look that was refused or that failed. */
export function unseen(subject: string, why: string): Finding {
  return {
    severity: "unseen",
    subject,
    reason: "NotSeen",
    message: `It could not be looked at: ${why}.`,
    commands: [],
  };
}

/** A name as kubectl and people write it: `namespace/name`, or the name alone. */
export function nameOf(metadata: { readonly namespace?: string; readonly name: string }): string {
  return metadata.namespace === undefined
    ? metadata.name
    : `${metadata.namespace}/${metadata.name}`;
}
