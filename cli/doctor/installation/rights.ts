import { grants, type Grant, type PolicyRule } from "../../../deploy/objects/rbac";
import { PROCESSES, SYSTEM_NAMESPACE, type ProcessNames } from "../../../deploy/names";
import type { Deployment } from "../../../lib/api";
import { APPLY_MANIFEST, kubectl } from "../commands";
import { problem, unseen, warning, type Finding } from "../finding";
import { valueOf, type Observed, type Rbac, type RoleBinding } from "../observed";
import { admissionSetting } from "./admission";
import { controlPlaneNamespaces } from "./webhook";

// Who may do what is read from roles and bindings: an access review would be asked for by a POST, and this only reads.
// Other authorizers than RBAC are not seen.

/** A right: one verb, on one resource, where; `*` is any name. */
interface Need {
  readonly verb: string;
  readonly group: string;
  readonly resource: string;
  readonly name: string;
  /** Undefined: in all namespaces. */
  readonly namespace: string | undefined;
}

type Account = string;

const has = (list: readonly string[] | undefined, wanted: string): boolean =>
  list?.some((each) => each === wanted || each === "*") === true;

function allows(rule: PolicyRule, need: Need): boolean {
  const [, subresource] = need.resource.split("/");
  const resources = rule.resources ?? [];
  const isResource =
    has(resources, need.resource) ||
    (subresource !== undefined && resources.includes(`*/${subresource}`));
  const names = rule.resourceNames ?? [];
  return (
    has(rule.verbs, need.verb) &&
    has(rule.apiGroups, need.group) &&
    isResource &&
    (names.length === 0 || names.includes(need.name))
  );
}

/** Groups that every ServiceAccount of fairlead's namespace is in. */
const groups = [
  "system:authenticated",
  "system:serviceaccounts",
  `system:serviceaccounts:${SYSTEM_NAMESPACE}`,
];

function binds({ subjects, metadata }: RoleBinding, account: Account): boolean {
  return (subjects ?? []).some(({ kind, name, namespace = metadata.namespace }) => {
    if (kind === "Group") return groups.includes(name);
    if (kind === "User") return name === `system:serviceaccount:${SYSTEM_NAMESPACE}:${account}`;
    return kind === "ServiceAccount" && name === account && namespace === SYSTEM_NAMESPACE;
  });
}

/** The rules that an account has, and where: undefined is everywhere. */
function rulesOf(
  { bindings, roles }: Rbac,
  account: Account,
): readonly { readonly namespace: string | undefined; readonly rules: readonly PolicyRule[] }[] {
  return bindings
    .filter((binding) => binds(binding, account))
    .map(({ metadata, roleRef }) => {
      const role = roles.find(
        (each) =>
          each.kind === roleRef.kind &&
          each.metadata.name === roleRef.name &&
          (roleRef.kind === "ClusterRole" || each.metadata.namespace === metadata.namespace),
      );
      return { namespace: metadata.namespace, rules: role?.rules ?? [] };
    });
}

/** In the restricted mode the rights are given only where policies are asked for. */
function mayUsePolicies(setting: string, isRestricted: boolean): boolean {
  return isRestricted ? setting === "Policy" : setting !== "Webhook";
}

/** Where a grant must hold: undefined is everywhere. */
function placesOf({ scope }: Grant, observed: Observed): readonly (string | undefined)[] {
  const gateways = (valueOf(observed.gateways) ?? []).map(({ metadata }) => metadata.namespace);
  const gatewayPlaces = [...new Set(gateways)];
  const listed = controlPlaneNamespaces(observed);
  switch (scope) {
    case "cluster":
      return [undefined];
    case "policies":
      return mayUsePolicies(admissionSetting(observed), listed !== undefined) ? [undefined] : [];
    case "gateways":
      return gatewayPlaces;
    case "control planes":
      return listed ?? [undefined];
    case "both":
      return listed === undefined ? [undefined] : [...new Set([...listed, ...gatewayPlaces])];
    default:
      return [scope.namespace];
  }
}

function needsOf(rule: PolicyRule, namespace: string | undefined): readonly Need[] {
  const { verbs, apiGroups = [], resources = [], resourceNames = ["*"] } = rule;
  return verbs.flatMap((verb) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.map((name) => ({ verb, group, resource, name, namespace })),
      ),
    ),
  );
}

/** `update secrets "x"`. */
function textOf({ verb, group, resource, name }: Need): string {
  const kind = group === "" ? resource : `${resource}.${group}`;
  return `${verb} ${kind}${name === "*" ? "" : ` ${name}`}`;
}

function mend(grant: Grant, account: Account, namespace: string | undefined): string {
  // A ClusterRole in one namespace: the one thing that users bind themselves.
  if (typeof grant.scope === "object" || namespace === undefined) return APPLY_MANIFEST;
  return kubectl(
    ...["create", "rolebinding", grant.name, `--namespace=${namespace}`],
    ...[`--clusterrole=${grant.name}`, `--serviceaccount=${SYSTEM_NAMESPACE}:${account}`],
  );
}

interface Question {
  readonly grant: Grant;
  readonly account: Account;
  readonly namespace: string | undefined;
}

function checkPlace(rbac: Rbac, { grant, account, namespace }: Question): readonly Finding[] {
  const given = rulesOf(rbac, account).filter(
    (each) => each.namespace === undefined || each.namespace === namespace,
  );
  const rules = given.flatMap((each) => each.rules);
  const missing = grant.rights
    .flatMap(({ rule }) => needsOf(rule, namespace))
    .filter((need) => !rules.some((rule) => allows(rule, need)));
  if (missing.length === 0) return [];
  const shown = missing.slice(0, 5).map(textOf).join(", ");
  const more = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
  const where = namespace === undefined ? "in the whole cluster" : `in namespace ${namespace}`;
  return [
    problem({
      subject: `ServiceAccount ${SYSTEM_NAMESPACE}/${account}`,
      reason: "RightsMissing",
      message: `It may not ${shown}${more} ${where} (role ${grant.name}).`,
      commands: [mend(grant, account, namespace)],
    }),
  ];
}

function accountOf({ serviceAccount }: ProcessNames, deployment: Deployment | undefined): Account {
  return deployment?.spec.template.spec?.serviceAccountName ?? serviceAccount;
}

/** The ServiceAccounts of both processes have all the rights that fairlead uses. */
export function checkRights(observed: Observed): readonly Finding[] {
  const { rbac, admission, watch } = observed;
  if (rbac.kind === "unseen") return [unseen("RBAC", rbac.why)];
  if (rbac.kind === "absent") return [];
  const deployments = { admission: valueOf(admission), watch: valueOf(watch) };
  const found = PROCESSES.flatMap((process) => {
    const deployment = deployments[process.mode];
    // Of a process that is not there, something else is said.
    if (deployment === undefined) return [];
    const account = accountOf(process, deployment);
    return grants
      .filter(({ processes }) => processes.includes(process))
      .flatMap((grant) =>
        placesOf(grant, observed).flatMap((namespace) =>
          checkPlace(rbac.value, { grant, account, namespace }),
        ),
      );
  });
  return [...new Map(found.map((finding) => [finding.message, finding])).values()];
}

/** The ValidatingAdmissionPolicies that come with fairlead are there and bound. */
export function checkPolicies({ policies }: Observed): readonly Finding[] {
  return [...policies].flatMap(([name, look]) => {
    const subject = name.replace("/", " ");
    if (look.kind === "seen") return [];
    if (look.kind === "unseen") return [unseen(subject, look.why)];
    return [
      warning({
        subject,
        reason: "PolicyMissing",
        message:
          "It does not exist: what docs/rbac.md says of it is not enforced. (`npx pepr deploy` makes none, and the chart's admissionPolicies may be off.)",
        commands: [APPLY_MANIFEST],
      }),
    ];
  });
}
