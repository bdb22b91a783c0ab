import {
  ANNOTATION_CONTESTED,
  ANNOTATION_DISABLE_ISTIO_TLS_TERMINATION,
  ANNOTATION_DISABLE_L7,
  ANNOTATION_FORCE_DELETE,
  ROUTE_CONFIG_MAP,
} from "../../../lib/domain/names";
import { isHostAllowed } from "../../../lib/domain/hosts";
import {
  bindRole,
  describe,
  edit,
  jsonPatch,
  kubectl,
  LIST_NAMESPACE,
  mergePatch,
  remove,
  unannotate,
  WATCHER_LOGS,
  type Target,
} from "../commands";
import { kubeconfigRemedies } from "./kubeconfig-remedies";
import { bad, fine, notable, type AboutServer, type Remedies, type Remedy } from "./remedies";

type Commands = Remedy<AboutServer>["commands"];

const targetOf = ({ namespace, name }: AboutServer): Target => ({
  resource: "hostedapiserver",
  namespace,
  name,
});

const editIt: Commands = (about) => [edit(targetOf(about))];
const showIt: Commands = (about) => [describe(targetOf(about))];
const showLogs: Commands = () => [WATCHER_LOGS];

function gatewayTarget({ gateway, server }: AboutServer): Target {
  const ref = gateway?.metadata ?? server.spec.gatewayRef ?? server.status?.gatewayRef;
  return {
    resource: "internalgateway",
    namespace: ref?.namespace ?? "<namespace>",
    name: ref?.name ?? "<name>",
  };
}

const showGateway: Commands = (about) => [describe(gatewayTarget(about))];

/** Names a gateway that exists; where there are several, the first, for its owner to choose another. */
const chooseGateway: Commands = (about) => {
  const [first] = about.gateways;
  if (first === undefined) return [kubectl("apply", "-f", "examples/internal-gateway.yaml")];
  const { namespace = "", name } = first.metadata;
  return [mergePatch(targetOf(about), { spec: { gatewayRef: { namespace, name } } })];
};

const NAMESPACE_NAME = "kubernetes.io/metadata.name";

/** Lets this namespace in, and nobody else: by the labels that the gateway asks for, or by its name. */
const allowNamespace: Commands = (about) => {
  const target = gatewayTarget(about);
  const { from = "Same", selector = {} } = about.gateway?.spec.allowedNamespaces ?? {};
  const { matchLabels = {}, matchExpressions = [] } = selector;
  const [first, ...others] = matchExpressions;
  const labels = Object.entries(matchLabels);
  if (from === "Selector" && first === undefined && labels.length > 0) {
    const pairs = labels.map(([key, value]) => `${key}=${value}`);
    return [kubectl("label", "namespace", about.namespace, "--overwrite", ...pairs)];
  }
  const isByName =
    first?.key === NAMESPACE_NAME && first.operator === "In" && others.length + labels.length === 0;
  if (from === "Selector" && !isByName) return [edit(target)];
  const known = from === "Same" ? [target.namespace ?? ""] : (first?.values ?? []);
  const values = [...new Set([...known, about.namespace])];
  const wanted = { matchExpressions: [{ key: NAMESPACE_NAME, operator: "In", values }] };
  return [
    mergePatch(target, { spec: { allowedNamespaces: { from: "Selector", selector: wanted } } }),
  ];
};

const allowHosts: Commands = (about) => {
  const allowed = about.gateway?.spec.allowedHosts;
  const added = about.server.spec.hosts.filter((host) => !isHostAllowed(allowed, host));
  const operations = added.map((value) => ({ op: "add", path: "/spec/allowedHosts/-", value }));
  return [jsonPatch(gatewayTarget(about), ...operations)];
};

const optOuts = [ANNOTATION_DISABLE_L7, ANNOTATION_DISABLE_ISTIO_TLS_TERMINATION];

const optIn: Commands = (about) => {
  const places: readonly (readonly [Target, Readonly<Record<string, string>> | undefined])[] = [
    [targetOf(about), about.server.metadata.annotations],
    [{ resource: "namespace", name: about.namespace }, about.metadata?.metadata.annotations],
  ];
  const found = places.flatMap(([target, annotations]) =>
    optOuts
      .filter((name) => annotations?.[name] === "true")
      .map((name) => unannotate(target, name)),
  );
  return found.length > 0 ? found : toAuto(about);
};

const toAuto: Commands = (about) => [
  mergePatch(targetOf(about), { spec: { loadBalancing: "Auto" } }),
];

const NAMED = /(Secret|ConfigMap) ([-.a-z0-9]+)\/([-.a-z0-9]*[a-z0-9])/;

/** The source that a message names. */
function sourceOf({ condition }: AboutServer): Target | undefined {
  const [, kind, namespace, name] = NAMED.exec(condition.message) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  return { resource: kind.toLowerCase(), namespace, name };
}

const createSource: Commands = (about) => {
  const source = sourceOf(about);
  if (source === undefined) return editIt(about);
  const { resource, namespace = about.namespace, name } = source;
  const { server, proxyClient } = about.server.spec.certificates ?? {};
  const pairs = [server?.secretName, proxyClient?.certificate?.secretName];
  const isPair = resource === "secret" && pairs.includes(name);
  const files = isPair
    ? ["tls", name, "--cert=<certificate.pem>", "--key=<key.pem>"]
    : [...(resource === "secret" ? ["generic"] : []), name, "--from-file=ca.crt=<ca.pem>"];
  // A placeholder is not quoted: it is to be seen.
  return [`kubectl create ${resource} ${files.join(" ")} -n ${namespace}`];
};

const fillSource: Commands = (about) => {
  const source = sourceOf(about);
  return source === undefined ? editIt(about) : [edit(source)];
};

/** Replaces a source by what was issued anew. */
function renew({ resource, namespace = "", name }: Target): string {
  const [type, files] =
    resource === "secret"
      ? ["tls ", "--cert=<certificate.pem> --key=<key.pem>"]
      : ["", "--from-file=ca.crt=<ca.pem>"];
  return `kubectl create ${resource} ${type}${name} -n ${namespace} --dry-run=client -o yaml ${files} | kubectl apply -f -`;
}

const renewSource: Commands = (about) => {
  const source = sourceOf(about);
  return source === undefined ? editIt(about) : [renew(source)];
};

const renewServerCertificate: Commands = (about) => {
  const name = about.server.spec.certificates?.server?.secretName;
  if (name === undefined) return editIt(about);
  return [renew({ resource: "secret", namespace: about.namespace, name })];
};

const removeNamed: Commands = (about) => {
  const [, kind, namespace, name] =
    /(Secret|ConfigMap|Gateway|VirtualService|DestinationRule|NetworkPolicy) ([-.a-z0-9]+)\/([-.a-z0-9]*[a-z0-9])/.exec(
      about.condition.message,
    ) ?? [];
  if (kind === undefined || name === undefined) return showIt(about);
  const isIstios = ["Gateway", "VirtualService", "DestinationRule"].includes(kind);
  const resource = isIstios ? `${kind.toLowerCase()}s.networking.istio.io` : kind.toLowerCase();
  return [remove({ resource, namespace, name })];
};

const bindGatewayNamespace: Commands = (about) => [
  bindRole("fairlead-gateway-namespace", gatewayTarget(about).namespace ?? ""),
];

const notListed = bad("", () => [LIST_NAMESPACE]);
const readRefused = bad("fairlead's rights in a namespace come by RoleBindings.", (about) => [
  bindRole("fairlead-watch-namespace", about.namespace),
]);

const showNamespace: Commands = ({ namespace }) => [kubectl("describe", "namespace", namespace)];

const showGatewayPods: Commands = (about) => {
  const { gateway } = about;
  const { namespace = "<namespace>" } = gatewayTarget(about);
  const labels = Object.entries(gateway?.spec.selector ?? {}).map(
    ([key, value]) => `${key}=${value}`,
  );
  return [kubectl("get", "pods", "-n", namespace, "-l", labels.join(","), "-o", "wide")];
};

const showRoutedPods: Commands = (about) => [
  kubectl("get", "pods", "-n", about.namespace),
  mergePatch(targetOf(about), { spec: { clients: { restartStalePods: true } } }),
];

const accepted: Remedies<AboutServer>[string] = {
  Accepted: fine,
  GatewayNotFound: bad("", chooseGateway),
  GatewayAmbiguous: bad("", chooseGateway),
  GatewayNotAccepted: bad("The gateway's owner mends it.", showGateway),
  GatewayTerminating: bad("", chooseGateway),
  NotAllowedByGateway: bad("The gateway's owner allows it:", allowNamespace),
  HostNotAllowed: bad("The gateway's owner allows it:", allowHosts),
  HostConflict: bad("", editIt),
  ServiceConflict: bad("", editIt),
  GatewayConflict: bad("", editIt),
  UnsupportedVersion: bad("With Auto it is served in L4 until then.", toAuto),
  OptedOut: bad("", optIn),
  CertificatesMissing: bad("With Auto it is served in L4 without them.", toAuto),
  NamespaceNotListed: notListed,
  ReadRefused: readRefused,
};

const resolvedRefs: Remedies<AboutServer>[string] = {
  Resolved: fine,
  NoCertificates: fine,
  SecretNotFound: bad("", createSource),
  ConfigMapNotFound: bad("", createSource),
  KeyNotFound: bad("", fillSource),
  InvalidCertificate: bad("", renewSource),
  InvalidPrivateKey: bad("", renewSource),
  UnsupportedKey: bad("", editIt),
  TooLarge: bad("", fillSource),
  KeyMismatch: bad("", renewSource),
  Expired: bad("", renewSource),
  NotYetValid: bad("", renewSource),
  HostNotCovered: bad("", renewSource),
  NotACA: bad("", fillSource),
  ClientAuthMissing: bad("", renewSource),
  InvalidSpec: bad("", editIt),
};

const credentialsSynced: Remedies<AboutServer>[string] = {
  Synced: fine,
  TokensOnly: fine,
  NotNeeded: fine,
  ServingLastGood: notable("See ResolvedRefs for what to mend.", showIt),
  WithdrawalPending: bad("Give consent again before that; see Accepted.", showIt),
  LastGoodExpired: bad("See ResolvedRefs for what to mend.", showIt),
  LastGoodDamaged: bad("See ResolvedRefs for what to mend.", showIt),
  SourceInvalid: bad("", showIt),
  ForeignObject: bad("", removeNamed),
  WriteRefused: bad(
    "fairlead's rights in the gateway's namespace come by a RoleBinding.",
    bindGatewayNamespace,
  ),
  ReadRefused: readRefused,
  NotAccepted: bad("See Accepted for what to mend.", showIt),
  NamespaceTerminating: notable("", showNamespace),
  GatewayNamespaceTerminating: bad("", chooseGateway),
};

const programmed: Remedies<AboutServer>[string] = {
  Programmed: fine,
  Pending: notable("Where it stays so, the watch process can't look or write.", showLogs),
  NotServed: bad(
    "fairlead wrote what is to be served; Istio or the gateway does not follow, or can't be reached.",
    showGatewayPods,
  ),
  NoReadyGateway: bad("", showGatewayPods),
  FilterNotInLine: bad("See the InternalGateway's condition Programmed.", showGateway),
  Switching: notable("", showRoutedPods),
  GatewayNotFound: bad("", chooseGateway),
  GatewayNotReady: bad("", showGateway),
  ForeignObject: bad("", removeNamed),
  WriteRefused: bad(
    "fairlead's rights in the gateway's namespace come by a RoleBinding.",
    bindGatewayNamespace,
  ),
  ReadRefused: readRefused,
  Invalid: bad("See Accepted for what to mend.", showIt),
  Deleting: notable("Without waiting for routed Pods, whose connections break:", (about) => [
    kubectl(
      ...["annotate", "hostedapiserver", about.name, "-n", about.namespace],
      `${ANNOTATION_FORCE_DELETE}=true`,
    ),
  ]),
  Terminating: notable("", showNamespace),
};

const clientsRouted: Remedies<AboutServer>[string] = {
  Routed: fine,
  RoutedByOther: fine,
  L4Active: fine,
  Pending: notable("It follows once the gateway was seen to serve.", showIt),
  ForeignConfigMap: bad("", ({ namespace }) => [
    remove({ resource: "configmap", namespace, name: ROUTE_CONFIG_MAP }),
  ]),
  ...kubeconfigRemedies,
};

const topologyAware: Remedies<AboutServer>[string] = {
  Enabled: fine,
  Disabled: fine,
  SingleZone: fine,
  L7Active: fine,
  UnsupportedVersion: notable("", () => [kubectl("version")]),
  Contested: bad("", (about) => [
    kubectl(
      ...["annotate", "services", "--all", "-n", about.namespace],
      `${ANNOTATION_CONTESTED}-`,
    ),
  ]),
};

const LEFT_ALONE = /\). (Deployment|StatefulSet|DaemonSet|Pod) ([-.a-z0-9]+) (.*)/;

/** What is to be done with the first of those that fairlead leaves alone. */
const mendLeftAlone: Commands = ({ condition, namespace }) => {
  const [, kind, name, why = ""] = LEFT_ALONE.exec(condition.message) ?? [];
  const show = kubectl("get", "pods", "-n", namespace, "-o", "wide");
  if (kind === undefined || name === undefined) return [show];
  const target = { resource: kind.toLowerCase(), namespace, name };
  if (kind === "Pod") return [show, remove(target)];
  const resume = kubectl("rollout", "resume", `deployment/${name}`, "-n", namespace);
  return [show, why.startsWith("is paused") ? resume : edit(target)];
};

const podsUpToDate: Remedies<AboutServer>[string] = {
  UpToDate: fine,
  StalePods: bad("fairlead restarts them one owner at a time, if it is asked to:", showRoutedPods),
  Restarting: notable("", ({ namespace }) => [
    kubectl("get", "deployments,statefulsets,daemonsets", "-n", namespace),
  ]),
  AwaitingBudget: notable("", ({ namespace }) => [
    kubectl("get", "poddisruptionbudgets", "-n", namespace),
  ]),
  LeftAlone: bad("", mendLeftAlone),
  RestartRefused: bad("", ({ namespace }) => [
    bindRole("fairlead-control-plane-namespace", namespace),
  ]),
  RouteInvalid: bad("", ({ namespace }) => [
    edit({ resource: "configmap", namespace, name: ROUTE_CONFIG_MAP }),
  ]),
};

const tunnelProgrammed: Remedies<AboutServer>[string] = {
  Programmed: fine,
  Pending: notable("It follows once the public hosts are served.", showIt),
  NoTunnel: bad("The gateway's owner sets spec.tunnel, or this one's is taken away:", (about) => [
    edit(gatewayTarget(about)),
    jsonPatch(targetOf(about), { op: "remove", path: "/spec/tunnel" }),
  ]),
  NamesNotCovered: bad("", renewServerCertificate),
  NotServed: bad(
    "fairlead wrote what is to be served; Istio or the gateway does not follow, or can't be reached.",
    showGatewayPods,
  ),
};

/** What is to be done about each reason of a HostedAPIServer's conditions; see docs/conditions.md. */
export const serverRemedies: Remedies<AboutServer> = {
  Accepted: accepted,
  ResolvedRefs: resolvedRefs,
  CredentialsSynced: credentialsSynced,
  Programmed: programmed,
  PassthroughUsable: {
    HostsCovered: fine,
    NotSeen: fine,
    // It matters when it is to be switched to L4, and then Programmed says so.
    HostsNotCovered: fine,
  },
  ClientsRouted: clientsRouted,
  PodsUpToDate: podsUpToDate,
  TopologyAware: topologyAware,
  TunnelProgrammed: tunnelProgrammed,
};
