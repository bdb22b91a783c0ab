import { literal, routedPod, sentence } from "../../../lib/domain/cel";
import { NETWORK_POLICY_ALLOWED } from "../../../lib/domain/network-policy-label";
import { aliasedElsewhereWarning } from "../../../lib/domain/routes";
import { PARAMETERS } from "../params";
import {
  hasParameters,
  mutating,
  validating,
  type Named,
  type PolicyObject,
  type PolicyScope,
  type Validation,
} from "./object";

/** Policies of Pods; each has one binding, of the same name. */
const ROUTE = "fairlead-pods";
const DENIALS = "fairlead-pods-denials";
const WARNINGS = "fairlead-pods-warnings";

/** As many hosts have a warning each; what is beyond stands in the last one. A HostedAPIServer has as many at most. */
const MAX_WARNINGS = 16;

const parameter = (name: keyof typeof PARAMETERS): string =>
  `params.data[${literal(PARAMETERS[name])}]`;
const allowed = literal(NETWORK_POLICY_ALLOWED);

/** An address in one spelling, as `canonicalAddress`; what is none stays as it is. */
const canonical = (address: string): string =>
  `(isIP(${address}) ? string(ip(${address})) : ${address})`;

const hostnames = (alias: string): string => `${alias}.?hostnames.orValue([])`;

/** What the route says, and which aliases the Pod has. */
const routeVariables: readonly Named[] = [
  { name: "hosts", expression: `${parameter("hosts")}.split(",")` },
  { name: "addresses", expression: `${parameter("addresses")}.split(",")` },
  // The same in one spelling, and in the same order.
  { name: "own", expression: `variables.addresses.map(a, ${canonical("a")})` },
  { name: "aliases", expression: "object.spec.?hostAliases.orValue([])" },
  {
    name: "foreign",
    expression: `variables.aliases.filter(a, !(${canonical("a.ip")} in variables.own))`,
  },
];

const isAliasedElsewhere = `variables.foreign.exists(a, h in ${hostnames("a")})`;

/** The Pod's aliases once more, since a policy's variables are its own. */
const patchVariables: readonly Named[] = [
  ...routeVariables,
  { name: "ips", expression: `variables.aliases.map(a, ${canonical("a.ip")})` },
  { name: "wanted", expression: `variables.hosts.filter(h, !${isAliasedElsewhere})` },
];

/** The hosts that no alias of an address has, which is in one spelling. */
const missing = (address: string): string => `variables.wanted.filter(h,
    !variables.aliases.exists(a, ${canonical("a.ip")} == ${address} && h in ${hostnames("a")}))`;

/** An alias that is there gets what is missing at its end: the first one where an address has several. */
const extendAliases = `variables.own.filter(o, o in variables.ips && size(${missing("o")}) > 0).map(o, JSONPatch{
  op: "add",
  path: "/spec/hostAliases/" + string(variables.ips.indexOf(o)) + "/hostnames",
  value: (${hostnames("variables.aliases[variables.ips.indexOf(o)]")} + ${missing("o")}).map(h, h)
})`;

const isNew = `!(${canonical("n")} in variables.ips)`;

/** Addresses without an alias get one with all hosts, at the end. */
const addAliases = `(size(variables.wanted) == 0 ? [] :
  (has(object.spec.hostAliases) ? [] : [JSONPatch{op: "add", path: "/spec/hostAliases", value: []}]) +
  variables.addresses.filter(n, ${isNew}).map(n, JSONPatch{
    op: "add",
    path: "/spec/hostAliases/-",
    value: {"ip": dyn(n), "hostnames": dyn(variables.wanted.map(h, h))}
  }))`;

const setLabel = `(!has(object.metadata.labels) ?
    [JSONPatch{op: "add", path: "/metadata/labels", value: {${parameter("label")}: ${allowed}}}] :
  object.metadata.labels[?${parameter("label")}].orValue("") == ${allowed} ? [] :
    [JSONPatch{op: "add", path: "/metadata/labels/" + jsonpatch.escapeKey(${parameter("label")}), value: ${allowed}}])`;

const routed: Named = { name: "routed", expression: routedPod() };
const isFollowed: Named = {
  name: "parameters",
  expression: hasParameters([PARAMETERS.hosts, PARAMETERS.addresses, PARAMETERS.label]),
};

const denials: readonly Validation[] = [
  {
    expression: `!(${literal(PARAMETERS.denial)} in params.data)`,
    message: "fairlead: the route of this namespace can't be followed.",
    messageExpression: parameter("denial"),
  },
  {
    // Mutating policies come before webhooks, and are not asked again about what they had nothing to do with.
    expression: `!(${literal(PARAMETERS.label)} in params.data) ||
object.metadata.?labels[?${parameter("label")}].orValue("") == ${allowed}`,
    message:
      'fairlead: another admission webhook made this Pod one that is routed, after fairlead\'s policy had looked at it: give it the label fairlead.dev/route: "true" where it is made.',
  },
];

const aliasedElsewhere = (host: string): string =>
  sentence(aliasedElsewhereWarning, {
    host,
    ip: `variables.foreign.filter(a, ${host} in ${hostnames("a")})[0].ip`,
  });

function warningAt(index: number): Validation {
  const rest = `variables.elsewhere.filter(h, variables.elsewhere.indexOf(h) >= ${index}).map(h, ${aliasedElsewhere("h")}).join(" ")`;
  const isLast = index === MAX_WARNINGS - 1;
  return {
    expression: `size(variables.elsewhere) <= ${index}`,
    message: "fairlead: a host of the route keeps this Pod's own alias.",
    messageExpression: isLast ? rest : aliasedElsewhere(`variables.elsewhere[${index}]`),
  };
}

/** The policies of Pods: `decideRouting` in expressions. */
export function podPolicies(scope: PolicyScope): readonly PolicyObject[] {
  const pods = { resource: "pods", operations: ["CREATE"] } as const;
  return [
    ...mutating(
      {
        ...pods,
        name: ROUTE,
        matchConditions: [isFollowed, routed],
        variables: patchVariables,
        patch: `${extendAliases} +\n${addAliases} +\n${setLabel}`,
      },
      [{ name: ROUTE }],
      scope,
    ),
    ...validating(
      {
        ...pods,
        name: DENIALS,
        matchConditions: [{ name: "parameters", expression: hasParameters([]) }, routed],
        variables: [],
        action: "Deny",
        validations: denials,
      },
      [{ name: DENIALS }],
      scope,
    ),
    ...validating(
      {
        ...pods,
        name: WARNINGS,
        matchConditions: [isFollowed, routed],
        variables: [
          ...routeVariables,
          { name: "elsewhere", expression: `variables.hosts.filter(h, ${isAliasedElsewhere})` },
        ],
        action: "Warn",
        validations: Array.from({ length: MAX_WARNINGS }, (_, index) => warningAt(index)),
      },
      [{ name: WARNINGS }],
      scope,
    ),
  ];
}
