import { policyObjects } from "../../capabilities/policies/resources";
import { GROUP } from "../../lib/api/names";
import { IN_FORCE_CONFIG_MAP, PARAMETERS_CONFIG_MAP } from "../../lib/domain/admission-policies";
import { ROUTE_CONFIG_MAP } from "../../lib/domain/names";
import {
  ADMISSION,
  clusterMeta,
  PROCESSES,
  SYSTEM_NAMESPACE,
  systemMeta,
  WATCH,
  WEBHOOK_CONFIGURATION,
  type ProcessNames,
} from "../names";
import { item, type Condition, type Entry } from "../template";
import { WEBHOOK_TLS_SECRET } from "../../lib/domain/webhook";
import { definitionNames } from "./definitions";

/** A rule of a Role. */
export interface PolicyRule {
  readonly apiGroups?: readonly string[];
  readonly resources?: readonly string[];
  readonly resourceNames?: readonly string[];
  readonly nonResourceURLs?: readonly string[];
  readonly verbs: readonly string[];
}

const ISTIO = "networking.istio.io";
const istioKinds = [
  "gateways",
  "virtualservices",
  "destinationrules",
  "serviceentries",
  "envoyfilters",
];
const read = ["get", "list", "watch"] as const;
const follow = ["list", "watch"] as const;

function rule(
  group: string,
  resources: readonly string[],
  verbs: readonly string[],
): Required<Pick<PolicyRule, "apiGroups" | "resources" | "verbs">> {
  return { apiGroups: [group], resources, verbs };
}

const named = (base: PolicyRule, resourceNames: readonly string[]): PolicyRule => ({
  ...base,
  resourceNames,
});

/** A rule, and what it is for. */
export interface Right {
  readonly rule: PolicyRule;
  readonly why: string;
}

const right = (why: string, base: PolicyRule): Right => ({ rule: base, why });

const CRD = "apiextensions.k8s.io";

/** What both processes read wherever control planes are: nothing of it is anybody's secret. */
const everywhere: readonly Right[] = [
  right(
    "at the start: are the kinds there?",
    named(rule(CRD, ["customresourcedefinitions"], ["get"]), definitionNames),
  ),
  right("zones", rule("", ["nodes"], follow)),
  right("what users ask for", rule(GROUP, ["hostedapiservers"], follow)),
  right("the management cluster's version", { nonResourceURLs: ["/version"], verbs: ["get"] }),
];

function systemRights({ mode }: ProcessNames): readonly Right[] {
  // The one that comes first makes it, by an apply, for which names count.
  const stores = ["pepr-fairlead-store", "pepr-fairlead-schedule"];
  const verbs = ["get", "list", "watch", "create", "patch"];
  const store = right(
    "Pepr's store, which fairlead keeps nothing in",
    named(rule("pepr.dev", ["peprstores"], verbs), stores),
  );
  if (mode === "admission") return [store];
  return [
    store,
    right(
      "the webhook's serving certificate",
      named(rule("", ["secrets"], [...read, "patch"]), [WEBHOOK_TLS_SECRET]),
    ),
    right("which replicas serve it", rule("discovery.k8s.io", ["endpointslices"], follow)),
    right(
      "what admission policies read; a creation can't be limited to a name",
      rule("", ["configmaps"], ["create"]),
    ),
    right(
      "what admission policies read",
      named(rule("", ["configmaps"], [...read, "update", "delete"]), [
        PARAMETERS_CONFIG_MAP,
        IN_FORCE_CONFIG_MAP,
      ]),
    ),
  ];
}

/** Rights, whose they are, and where they hold. */
export interface Grant {
  /** The Role's or ClusterRole's name. */
  readonly name: string;
  readonly processes: readonly ProcessNames[];
  readonly rights: readonly Right[];
  /**
   * cluster: everywhere. A namespace: there. gateways: in each gateway namespace. control planes: everywhere, or in each
   * control-plane namespace in the restricted mode. both: everywhere, or in each of either. policies: everywhere, unless
   * admission is by the webhook alone; in the restricted mode only where policies are asked for.
   */
  readonly scope:
    | "cluster"
    | "policies"
    | { readonly namespace: string }
    | "gateways"
    | "control planes"
    | "both";
}

const admissionGrants: readonly Grant[] = [
  {
    name: "fairlead-admission",
    processes: [ADMISSION],
    scope: "cluster",
    rights: [
      ...everywhere,
      right(
        "at the start: is Pepr's namespace there?",
        named(rule("", ["namespaces"], ["get"]), [SYSTEM_NAMESPACE]),
      ),
    ],
  },
  {
    name: "fairlead-admission-routes",
    processes: [ADMISSION],
    scope: "both",
    rights: [
      right("routes", named(rule("", ["configmaps"], follow), [ROUTE_CONFIG_MAP])),
      right("what routes lead to, by names that routes give", rule("", ["services"], follow)),
    ],
  },
];

/** What the watch process reads, and what of it it writes in place. */
const watchGrants: readonly Grant[] = [
  {
    name: "fairlead-watch",
    processes: [WATCH],
    scope: "cluster",
    rights: [
      ...everywhere,
      right(
        "is Istio there?",
        named(rule(CRD, ["customresourcedefinitions"], follow), [`gateways.${ISTIO}`]),
      ),
      right("consent by labels, opting out by annotations", rule("", ["namespaces"], read)),
      right("what gateways' owners offer", rule(GROUP, ["internalgateways"], follow)),
      right(
        "conditions; restricted: also that a namespace is not listed",
        rule(GROUP, ["hostedapiservers/status", "internalgateways/status"], ["patch"]),
      ),
      right(
        "keeps fairlead's own webhook in line",
        named(
          rule(
            "admissionregistration.k8s.io",
            ["mutatingwebhookconfigurations"],
            [...read, "patch"],
          ),
          [WEBHOOK_CONFIGURATION],
        ),
      ),
    ],
  },
  {
    name: "fairlead-watch-namespace",
    processes: [WATCH],
    scope: "both",
    rights: [
      right(
        "sources of certificates: all are watched as metadata, those that are named are read",
        rule("", ["secrets", "configmaps"], read),
      ),
      right(
        "trafficDistribution; where the gateway listens",
        rule("", ["services"], [...read, "patch"]),
      ),
      right("a gateway's Pods; routed and stale Pods", rule("", ["pods"], follow)),
      right("says on users' objects what it did", rule("", ["events"], ["create"])),
      right(
        "which of a gateway's Pods are ready",
        rule("discovery.k8s.io", ["endpointslices"], follow),
      ),
      right("which Pods are isolated", rule("networking.k8s.io", ["networkpolicies"], read)),
      right(
        "who else serves on a gateway; its own objects; get: whose is what exists already?",
        rule(ISTIO, istioKinds, read),
      ),
      right(
        "finalizers; get: is it really gone?",
        rule(GROUP, ["hostedapiservers"], ["get", "patch"]),
      ),
      right("finalizers", rule(GROUP, ["internalgateways"], ["patch"])),
    ],
  },
];

const ADMISSION_REGISTRATION = "admissionregistration.k8s.io";
const policyNames = [
  ...new Set(policyObjects({ apiVersion: "v1" }).map(({ metadata }) => metadata.name)),
  IN_FORCE_CONFIG_MAP,
].sort();
const policyKinds = ["policies", "policybindings"].flatMap((kind) =>
  ["mutating", "validating"].map((sort) => `${sort}admission${kind}`),
);

/** What it takes to admit by policies. */
const policyGrant: Grant = {
  name: "fairlead-policies",
  processes: [WATCH],
  scope: "policies",
  rights: [
    right(
      "is there somebody else's of that name?",
      rule(ADMISSION_REGISTRATION, policyKinds, follow),
    ),
    right(
      "admission policies and their bindings; a creation can't be limited to a name",
      rule(ADMISSION_REGISTRATION, policyKinds, ["create"]),
    ),
    right(
      "admission policies and their bindings",
      named(rule(ADMISSION_REGISTRATION, policyKinds, ["update", "delete"]), policyNames),
    ),
    right(
      "who makes a policy must be allowed to read whatever may be its parameters",
      rule("", ["configmaps"], ["get", "list"]),
    ),
  ],
};

/** What the watch process makes, and where. */
const writeGrants: readonly Grant[] = [
  {
    name: "fairlead-gateway-namespace",
    processes: [WATCH],
    scope: "gateways",
    rights: [
      right(
        "credentials, and the route secret",
        rule("", ["secrets"], ["create", "update", "patch", "delete"]),
      ),
      right("the internal Service", rule("", ["services"], ["create", "delete"])),
      right(
        "lets routed Pods in, and the gateway out",
        rule("networking.k8s.io", ["networkpolicies"], ["create", "update", "delete"]),
      ),
      right("what the gateway serves", rule(ISTIO, istioKinds, ["create", "update", "delete"])),
    ],
  },
  {
    name: "fairlead-control-plane-namespace",
    processes: [WATCH],
    scope: "control planes",
    rights: [
      right("kubeconfigs in `clients.kubeconfigSecrets`", rule("", ["secrets"], ["patch"])),
      right(
        "`clients.restartStalePods`: whose Pods are stale, and restarting them; only annotations, by policy",
        rule("apps", ["deployments", "statefulsets", "daemonsets"], ["list", "patch"]),
      ),
      right("whose a ReplicaSet's Pods are", rule("apps", ["replicasets"], ["list"])),
      right("whether a restart may begin", rule("policy", ["poddisruptionbudgets"], ["list"])),
      right(
        "likewise; a creation can't be limited to a name",
        rule("", ["configmaps"], ["create"]),
      ),
      right(
        "routes, and what admission policies read",
        named(rule("", ["configmaps"], ["update", "delete"]), [
          ROUTE_CONFIG_MAP,
          PARAMETERS_CONFIG_MAP,
        ]),
      ),
      right(
        "lets routed Pods out, and the gateway in",
        rule("networking.k8s.io", ["networkpolicies"], ["create", "update", "delete"]),
      ),
    ],
  },
];

/** All that fairlead may do. */
export const grants: readonly Grant[] = [
  ...admissionGrants,
  ...watchGrants,
  ...writeGrants,
  policyGrant,
  {
    name: "fairlead-api-servers",
    processes: PROCESSES,
    scope: { namespace: "default" },
    rights: [
      right(
        "the addresses of the API servers, each of which is asked for its version",
        rule("discovery.k8s.io", ["endpointslices"], follow),
      ),
    ],
  },
  ...PROCESSES.map(
    (process): Grant => ({
      name: `${process.serviceAccount}-system`,
      processes: [process],
      scope: { namespace: SYSTEM_NAMESPACE },
      rights: systemRights(process),
    }),
  ),
];

/** A right that a tenant's life from its beginning to its end may give no occasion for. */
export interface SeldomRight {
  readonly process: ProcessNames["mode"];
  readonly verb: string;
  /** `kind.group`. */
  readonly resource: string;
  /** A namespace, or `*` where it is given for all. */
  readonly place: string;
  /** The occasion. */
  readonly why: string;
}

const race = (resource: string): SeldomRight => ({
  process: "watch",
  verb: "get",
  resource,
  place: "*",
  why: "another watch process made it at the same moment: is it fairlead's?",
});

/** What an end-to-end test of all rights does not see used. */
export const seldomUsed: readonly SeldomRight[] = [
  ...["get", "create", "update", "delete"].map((verb) => ({
    process: "watch" as const,
    verb,
    resource: "serviceentries.networking.istio.io",
    place: verb === "get" ? "*" : "istio-ingress",
    why: "the end of a tunnel, where one is asked for; another test does that",
  })),
  ...["deployments.apps", "statefulsets.apps", "daemonsets.apps"].map((resource) => ({
    process: "watch" as const,
    verb: "patch",
    resource,
    place: "*",
    why: "owners whose Pods are stale are restarted; another test has one of each",
  })),
  ...policyKinds.flatMap((kind) =>
    [...(kind.startsWith("mutating") ? follow : []), "create", "update", "delete"].map((verb) => ({
      process: "watch" as const,
      verb,
      resource: `${kind}.${ADMISSION_REGISTRATION}`,
      place: "*",
      why: "admission by policies, where the cluster serves them; another test does that",
    })),
  ),
  ...["get", "list", "watch", "create", "update", "delete"].map((verb) => ({
    process: "watch" as const,
    verb,
    resource: "configmaps",
    place: SYSTEM_NAMESPACE,
    why: "likewise",
  })),
  race("services"),
  race("networkpolicies.networking.k8s.io"),
  race("envoyfilters.networking.istio.io"),
  {
    process: "watch",
    verb: "patch",
    resource: "secrets",
    place: SYSTEM_NAMESPACE,
    why: "the webhook's certificate is renewed, once in two months; another test does that",
  },
];

const API_GROUP = "rbac.authorization.k8s.io";
const API_VERSION = `${API_GROUP}/v1`;

function subjectsOf({ processes }: Grant): readonly object[] {
  return processes.map(({ serviceAccount: name }) => ({
    kind: "ServiceAccount",
    name,
    namespace: SYSTEM_NAMESPACE,
  }));
}

interface Place {
  readonly namespace?: unknown;
  readonly each?: string;
  readonly when?: readonly Condition[];
}

const MODE = "admission.mode";
const restricted = (is: boolean): Condition => ({ path: "rbac.restricted", is });
const GATEWAYS = "rbac.gatewayNamespaces";
const CONTROL_PLANES = "rbac.controlPlaneNamespaces";

/** Where a grant is bound; no namespace: in the whole cluster. */
function placesOf({ scope }: Grant): readonly Place[] {
  const whole: Place = { when: [restricted(false)] };
  const each = (path: string): Place => ({ namespace: item, each: path });
  const within = (path: string): Place => ({ ...each(path), when: [restricted(true)] });
  switch (scope) {
    case "cluster":
      return [{}];
    case "policies":
      return [
        { when: [restricted(false), { path: MODE, isNot: "Webhook" }] },
        { when: [restricted(true), { path: MODE, is: "Policy" }] },
      ];
    case "gateways":
      return [each(GATEWAYS)];
    case "control planes":
      return [whole, within(CONTROL_PLANES)];
    case "both":
      return [whole, within(GATEWAYS), within(CONTROL_PLANES)];
    default:
      return [scope];
  }
}

/** A namespace may be listed in both ways; two bindings of one name would be one too many. */
function bindingName({ name, scope }: Grant, { each }: Place): string {
  return scope === "both" && each === GATEWAYS ? `${name}-gateways` : name;
}

function bindingOf(grant: Grant, place: Place): Entry {
  const { namespace, each, when } = place;
  const isRole = typeof grant.scope === "object";
  const roleRef = { apiGroup: API_GROUP, kind: isRole ? "Role" : "ClusterRole", name: grant.name };
  const metadata = clusterMeta(bindingName(grant, place));
  return {
    object: {
      apiVersion: API_VERSION,
      kind: namespace === undefined ? "ClusterRoleBinding" : "RoleBinding",
      metadata: namespace === undefined ? metadata : { ...metadata, namespace },
      roleRef,
      subjects: subjectsOf(grant),
    },
    ...(each === undefined ? {} : { each }),
    ...(when === undefined ? {} : { when }),
  };
}

function roleOf({ name, rights, scope }: Grant): Entry {
  const isRole = typeof scope === "object";
  const metadata = isRole
    ? { ...clusterMeta(name), namespace: scope.namespace }
    : clusterMeta(name);
  return {
    object: {
      apiVersion: API_VERSION,
      kind: isRole ? "Role" : "ClusterRole",
      metadata,
      rules: rights.map((each) => each.rule),
    },
  };
}

const userFacing = (to: readonly string[]): Readonly<Record<string, string>> =>
  Object.fromEntries(to.map((role) => [`rbac.authorization.k8s.io/aggregate-to-${role}`, "true"]));

/** Rights of users on fairlead's own kinds, by Kubernetes' own roles. */
function aggregatedRoles(): readonly Entry[] {
  const kinds = ["hostedapiservers", "internalgateways"];
  const roles = [
    { name: "fairlead-view", to: ["view", "edit", "admin"], verbs: read },
    {
      name: "fairlead-edit",
      to: ["edit", "admin"],
      verbs: ["create", "update", "patch", "delete", "deletecollection"],
    },
  ];
  return roles.map(({ name, to, verbs }) => {
    const { labels, ...metadata } = clusterMeta(name);
    return {
      object: {
        apiVersion: API_VERSION,
        kind: "ClusterRole",
        metadata: { ...metadata, labels: { ...labels, ...userFacing(to) } },
        rules: [rule(GROUP, kinds, verbs)],
      },
    };
  });
}

/** ServiceAccounts, roles and bindings. */
export function rbacEntries(): readonly Entry[] {
  const accounts = PROCESSES.map(
    ({ serviceAccount }): Entry => ({
      object: {
        apiVersion: "v1",
        kind: "ServiceAccount",
        metadata: systemMeta(serviceAccount),
        automountServiceAccountToken: false,
      },
    }),
  );
  return [
    ...accounts,
    ...aggregatedRoles(),
    ...grants.flatMap((grant) => [
      roleOf(grant),
      ...placesOf(grant).map((place) => bindingOf(grant, place)),
    ]),
  ];
}
