import { canonicalAddress } from "./ip-addresses";

const MAX_HOST_CHARACTERS = 253;
const MAX_LABEL_CHARACTERS = 63;
const DNS_LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/** Why a text is no host name that a Pod can be aliased to. */
export interface HostProblem {
  readonly reason:
    | "Empty"
    | "IPAddress"
    | "Wildcard"
    | "TrailingDot"
    | "UpperCase"
    | "TooLong"
    | "LabelTooLong"
    | "NotDNS";
  /** The end of a sentence that begins with the host, `is a wildcard` say. */
  readonly problem: string;
  /** What to do, as an imperative without a full stop. */
  readonly remedy: string;
}

/** Whether a text is an RFC 1123 label, such as a Namespace's name. */
export function isDNSLabel(text: string): boolean {
  return text.length <= MAX_LABEL_CHARACTERS && DNS_LABEL.test(text);
}

/** The items of a comma separated list in the order given, without blanks around them, empty ones and repetitions. */
export function splitList(text: string): readonly string[] {
  const items = text.split(",").map((item) => item.trim());
  return [...new Set(items.filter((item) => item !== ""))];
}

const problems: readonly (HostProblem & { readonly applies: (host: string) => boolean })[] = [
  {
    reason: "Empty",
    applies: (host) => host === "",
    problem: "is empty",
    remedy: "write a DNS name",
  },
  {
    reason: "IPAddress",
    applies: (host) => canonicalAddress(host) !== undefined,
    problem: "is an IP address, not a name",
    remedy: "write the DNS name that clients use",
  },
  {
    reason: "Wildcard",
    applies: (host) => host.includes("*"),
    problem: "is a wildcard",
    remedy: "write each name that it stands for",
  },
  {
    reason: "TrailingDot",
    applies: (host) => host.endsWith("."),
    problem: "ends with a dot",
    remedy: "write it without the dot",
  },
  {
    reason: "TooLong",
    applies: (host) => host.length > MAX_HOST_CHARACTERS,
    problem: `is longer than ${MAX_HOST_CHARACTERS} characters`,
    remedy: "use a shorter name",
  },
  {
    reason: "LabelTooLong",
    applies: (host) => host.split(".").some((label) => label.length > MAX_LABEL_CHARACTERS),
    problem: `has a part of more than ${MAX_LABEL_CHARACTERS} characters`,
    remedy: "use a shorter name",
  },
  {
    reason: "UpperCase",
    applies: (host) => host !== host.toLowerCase() && isHost(host.toLowerCase()),
    problem: "has upper-case letters",
    remedy: "write it in lower case",
  },
  {
    reason: "NotDNS",
    applies: (host) => !host.split(".").every((label) => DNS_LABEL.test(label)),
    problem: "is not a DNS name",
    remedy: "use lower-case letters, digits, dashes and dots",
  },
];

/**
 * Says why a text is no host name; undefined where it is one. A host name is an RFC 1123 name in lower case, without a
 * wildcard and without a final dot, and not an IP address.
 * @see https://kubernetes.io/docs/concepts/overview/working-with-objects/names/#dns-subdomain-names
 */
export function findHostProblem(host: string): HostProblem | undefined {
  const found = problems.find(({ applies }) => applies(host));
  if (found === undefined) return undefined;
  const { reason, problem, remedy } = found;
  return { reason, problem, remedy };
}

/** Whether a text is a host name, see `findHostProblem`. */
export function isHost(text: string): boolean {
  return findHostProblem(text) === undefined;
}

/**
 * Whether a name of a certificate covers a host: the same name, or a wildcard that is the whole first label and stands
 * for exactly one. Letter case does not matter; an IP address is covered by no DNS name.
 * @param pattern A DNS name of the certificate's subjectAltName.
 * @param host A host name; a final dot is ignored.
 * @see https://www.rfc-editor.org/rfc/rfc6125#section-6.4.3
 */
export function certificateCoversHost(pattern: string, host: string): boolean {
  const name = host.toLowerCase().replace(/\.$/, "");
  if (name === "" || canonicalAddress(name) !== undefined) return false;
  const wanted = pattern.toLowerCase();
  if (!wanted.includes("*")) return wanted === name;
  const suffix = wanted.slice(1);
  const firstDot = name.indexOf(".");
  if (!wanted.startsWith("*.") || suffix.length < 2 || suffix.includes("*")) return false;
  return firstDot > 0 && name.slice(firstDot) === suffix;
}

/**
 * Whether an InternalGateway's `allowedHosts` lets a host be claimed: a first label of `*` stands for one label, as in
 * a certificate. Absent allows every host, an empty list none.
 */
export function isHostAllowed(allowedHosts: readonly string[] | undefined, host: string): boolean {
  return allowedHosts?.some((pattern) => certificateCoversHost(pattern, host)) ?? true;
}
