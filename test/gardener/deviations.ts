import { createHash } from "node:crypto";
import { isDeepStrictEqual } from "node:util";

import type { Effect, HostAlias, Pod, Recording, RouteState } from "./types";

/** What fairlead must answer. */
export type Outcome =
  | { readonly allowed: false }
  | { readonly allowed: true; readonly effect: Effect; readonly warns: boolean };

/** A reason why fairlead's outcome is not Gardener's. */
export type DeviationId =
  | "same-ip-merged"
  | "user-alias-kept"
  | "addresses"
  | "service-and-port"
  | "no-cluster-ip"
  | "hosts-trimmed"
  | "no-hosts"
  | "host-repeated"
  | "host-invalid"
  | "empty-namespace";

/** The deviations, each with the line of design section 3 (or of the API) that asks for it. */
export const deviationReasons: Readonly<Record<DeviationId, string>> = {
  "same-ip-merged":
    "“Doing it twice changes nothing; an alias of the same IP is merged, not repeated.” Gardener appends a further alias for the IP each time.",
  "user-alias-kept":
    "“A host that the user has aliased to another IP keeps the user's alias alone (two would both resolve), and the admission response warns.” Gardener aliases the host to both IPs.",
  addresses:
    "“One host alias per address (`addresses`, else all cluster IPs of the Service).” Gardener does not read the key.",
  "service-and-port":
    "“Optionally `service` and `port`.” Gardener does not read the keys: always istio-ingressgateway-internal and 9443.",
  "no-cluster-ip":
    "“Has no cluster IP (headless, ExternalName): the Pod is denied.” Gardener adds the alias IP `None`, which no API server accepts (headless), or the label without any alias (ExternalName).",
  "hosts-trimmed":
    "“`hosts` (comma separated).” Gardener splits at commas only: a blank or an empty item becomes part of the alias, and the API server then refuses the Pod.",
  "no-hosts":
    "“Present but without hosts: the Pod is denied.” Gardener denies only the empty string, and makes hosts of blanks and of nothing from the others.",
  "host-repeated":
    "“All hosts, in the order given.” Gardener repeats a host that is given twice; once is as good.",
  "host-invalid":
    "“The Pod is denied with a sentence that says what to fix.” Gardener passes an invalid name on, and the API server refuses the Pod; to deny it at once is as good.",
  "empty-namespace":
    "“ConfigMap in the Pod's namespace.” The request has the namespace; Gardener reads the object's and does nothing where it is empty. (An API server fills it in before it calls webhooks.)",
};

/** What a recording has to be compared with. */
interface Classification {
  /** Why the outcome differs from the recorded one; empty where it must be the same. */
  readonly deviations: readonly DeviationId[];
  /** The outcomes that are right; more than one where the design leaves it open. */
  readonly accepted: readonly Outcome[];
}

interface Route {
  readonly hosts: readonly string[];
  readonly addresses: readonly string[];
  readonly labelKey: string;
}

const secretPrefix = "generic-token-kubeconfig";
const defaultService = "istio-ingressgateway-internal";
const defaultPort = "9443";

/** The hosts or addresses of a comma separated value, without blanks and empty items. */
export const itemsOf = (value: string | undefined): readonly string[] =>
  (value ?? "")
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");

/** An IP in one spelling, so that two spellings of an IPv6 address are equal. */
const canonicalIP = (ip: string): string =>
  ip.includes(":") ? new URL(`http://[${ip}]`).hostname : ip;

/** Whether an API server accepts the name in a host alias (an RFC 1123 subdomain). */
const isValidHost = (host: string): boolean =>
  host.length <= 253 &&
  /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/.test(host);

/** The label that lets a Pod reach the gateway through its network policies. */
export const routeLabelKey = (
  gatewayNamespace: string,
  service = defaultService,
  port = defaultPort,
): string => {
  const name = `to-${gatewayNamespace}-${service}-tcp-${port}`;
  const digest = createHash("sha256").update(name).digest("hex").slice(0, 5);
  return `networking.resources.gardener.cloud/${name.length > 63 ? `${name.slice(0, 57)}-${digest}` : name}`;
};

const isRouted = (pod: Pod): boolean =>
  (pod.spec.volumes ?? []).some(
    ({ secret, projected }) =>
      (secret?.secretName.startsWith(secretPrefix) ?? false) ||
      (projected?.sources ?? []).some((source) => source.secret?.name.startsWith(secretPrefix)),
  );

const gatewayServiceOf = (config: Readonly<Record<string, string>>): string =>
  `${config["istio-namespace"] ?? ""}/${config.service ?? defaultService}`;

const routeOf = (
  config: Readonly<Record<string, string>>,
  clusterIPs: readonly string[],
): Route | undefined => {
  const hosts = itemsOf(config.hosts);
  const usableIPs = clusterIPs.filter((ip) => ip !== "None");
  if (hosts.length === 0 || usableIPs.length === 0) return undefined;
  const given = itemsOf(config.addresses);
  return {
    hosts,
    addresses: given.length > 0 ? given : usableIPs,
    labelKey: routeLabelKey(config["istio-namespace"] ?? "", config.service, config.port),
  };
};

const effectOf = (pod: Pod): Effect => ({
  hostAliases: pod.spec.hostAliases ?? null,
  labels: pod.metadata.labels ?? null,
});

/** The hosts that the Pod's author has aliased to an IP that is none of the route's. */
const hostsElsewhere = (pod: Pod, route: Route): ReadonlySet<string> => {
  const ours = new Set(route.addresses.map(canonicalIP));
  const elsewhere = (pod.spec.hostAliases ?? []).filter(({ ip }) => !ours.has(canonicalIP(ip)));
  const hostnames = new Set(elsewhere.flatMap((alias) => alias.hostnames ?? []));
  return new Set(route.hosts.filter((host) => hostnames.has(host)));
};

const withAddress = (
  aliases: readonly HostAlias[],
  address: string,
  hosts: readonly string[],
): readonly HostAlias[] => {
  const same = aliases.filter(({ ip }) => canonicalIP(ip) === canonicalIP(address));
  const present = new Set(same.flatMap(({ hostnames }) => hostnames ?? []));
  const missing = hosts.filter((host) => !present.has(host));
  if (missing.length === 0) return aliases;
  const [first] = same;
  if (first === undefined) return [...aliases, { ip: address, hostnames: missing }];
  return aliases.map((alias) =>
    alias === first ? { ...alias, hostnames: [...(alias.hostnames ?? []), ...missing] } : alias,
  );
};

const routedOutcome = (pod: Pod, route: Route): Outcome => {
  const elsewhere = hostsElsewhere(pod, route);
  const hosts = route.hosts.filter((host) => !elsewhere.has(host));
  const hostAliases = route.addresses.reduce(
    (aliases, address) => withAddress(aliases, address, hosts),
    pod.spec.hostAliases ?? [],
  );
  return {
    allowed: true,
    effect: {
      hostAliases: hostAliases.length > 0 ? hostAliases : null,
      labels: { ...pod.metadata.labels, [route.labelKey]: "allowed" },
    },
    warns: elsewhere.size > 0,
  };
};

/**
 * What design section 3 asks for when the Pod is created in this state: an oracle of its own, which
 * shares nothing with the module.
 */
export const designOutcome = (state: RouteState, pod: Pod): Outcome => {
  if (!isRouted(pod) || state.config === undefined) {
    return { allowed: true, effect: effectOf(pod), warns: false };
  }
  const route = routeOf(state.config, state.clusterIPs.get(gatewayServiceOf(state.config)) ?? []);
  return route === undefined ? { allowed: false } : routedOutcome(pod, route);
};

/** What the ConfigMap and the Services alone make different, for every routed Pod. */
const stateDeviations = ({ config, clusterIPs }: RouteState): readonly DeviationId[] => {
  if (config?.hosts === undefined || config.hosts === "") return [];
  const gardenerIPs = clusterIPs.get(`${config["istio-namespace"] ?? ""}/${defaultService}`);
  if (gardenerIPs === undefined) return []; // denied by both
  const hosts = itemsOf(config.hosts);
  const found = new Map<DeviationId, boolean>([
    ["no-hosts", hosts.length === 0],
    ["hosts-trimmed", hosts.length > 0 && hosts.join(",") !== config.hosts],
    ["host-repeated", new Set(hosts).size < hosts.length],
    ["host-invalid", hosts.some((host) => !isValidHost(host))],
    ["service-and-port", config.service !== undefined || config.port !== undefined],
    ["addresses", itemsOf(config.addresses).length > 0],
    ["no-cluster-ip", gardenerIPs.every((ip) => ip === "None")],
  ]);
  return [...found].filter(([, applies]) => applies).map(([id]) => id);
};

/** What the Pod's own host aliases make different. */
const aliasDeviations = (state: RouteState, pod: Pod): readonly DeviationId[] => {
  if (state.config === undefined) return [];
  const route = routeOf(state.config, state.clusterIPs.get(gatewayServiceOf(state.config)) ?? []);
  if (route === undefined) return [];
  const ours = new Set(route.addresses.map(canonicalIP));
  const merges = (pod.spec.hostAliases ?? []).some(({ ip }) => ours.has(canonicalIP(ip)));
  return [
    ...(merges ? (["same-ip-merged"] as const) : []),
    ...(hostsElsewhere(pod, route).size > 0 ? (["user-alias-kept"] as const) : []),
  ];
};

const deviationsOf = (state: RouteState, pod: Pod): readonly DeviationId[] => {
  if (!isRouted(pod) || state.config === undefined) return [];
  if (pod.metadata.namespace === undefined) {
    const untouched: Outcome = { allowed: true, effect: effectOf(pod), warns: false };
    return isDeepStrictEqual(designOutcome(state, pod), untouched) ? [] : ["empty-namespace"];
  }
  return [...stateDeviations(state), ...aliasDeviations(state, pod)];
};

const recordedOutcome = ({ verdict, effect }: Recording): Outcome =>
  verdict.allowed ? { allowed: true, effect, warns: false } : { allowed: false };

const withoutRepeats = (outcome: Outcome): Outcome => {
  if (!outcome.allowed) return outcome;
  const hostAliases = outcome.effect.hostAliases?.map((alias) => ({
    ...alias,
    ...(alias.hostnames === undefined ? {} : { hostnames: [...new Set(alias.hostnames)] }),
  }));
  return { ...outcome, effect: { ...outcome.effect, hostAliases: hostAliases ?? null } };
};

/**
 * Says which outcomes of fairlead are right for a recording, and by which lines of the design they
 * differ from the recorded one. Verdicts are compared by `allowed` alone: codes and sentences are
 * fairlead's own.
 */
export const classify = (state: RouteState, recording: Recording): Classification => {
  const deviations = deviationsOf(state, recording.pod);
  if (deviations.length === 0) return { deviations, accepted: [recordedOutcome(recording)] };
  const outcome = designOutcome(state, recording.pod);
  const hosts = itemsOf(state.config?.hosts);
  return {
    deviations,
    accepted: [
      outcome,
      ...(new Set(hosts).size < hosts.length ? [withoutRepeats(outcome)] : []),
      ...(hosts.every(isValidHost) ? [] : [{ allowed: false } as const]),
    ],
  };
};
