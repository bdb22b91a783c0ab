import { ANNOTATION_CONTESTED } from "../../../lib/domain/names";
import { edit, kubectl, mergePatch, unannotate, type Target } from "../commands";
import { bad, notable, type AboutServer, type Remedies, type Remedy } from "./remedies";

type Commands = Remedy<AboutServer>["commands"];

/** The first Secret that the condition names; it names the others after it. */
function secretOf({ condition, namespace }: AboutServer): Target | undefined {
  const [, name] = /Secret ([-.a-z0-9]*[a-z0-9])/.exec(condition.message) ?? [];
  return name === undefined ? undefined : { resource: "secret", namespace, name };
}

const hostedAPIServer = ({ namespace, name }: AboutServer): Target => ({
  resource: "hostedapiserver",
  namespace,
  name,
});

const editSecret: Commands = (about) => {
  const secret = secretOf(about);
  return [edit(secret ?? hostedAPIServer(about))];
};

/** Takes the Secret off the list. */
const takeOff: Commands = (about) => {
  const secret = secretOf(about);
  const names = about.server.spec.clients?.kubeconfigSecrets ?? [];
  const kubeconfigSecrets = names.filter((name) => name !== secret?.name);
  return [mergePatch(hostedAPIServer(about), { spec: { clients: { kubeconfigSecrets } } })];
};

const removeAnnotation: Commands = (about) => {
  const secret = secretOf(about);
  return secret === undefined ? editSecret(about) : [unannotate(secret, ANNOTATION_CONTESTED)];
};

const allowWrites: Commands = ({ namespace }) => [
  kubectl(
    ...["create", "rolebinding", "fairlead-control-plane-namespace", `--namespace=${namespace}`],
    "--clusterrole=fairlead-control-plane-namespace",
    "--serviceaccount=pepr-system:fairlead-watch",
  ),
];

const rollPods: Commands = (about) => [
  mergePatch(hostedAPIServer(about), { spec: { clients: { restartStalePods: true } } }),
];

const unclear = bad("Which server is meant can't be told.", editSecret);

/** What is to be done about a kubeconfig that is left alone; see docs/kubeconfigs.md. */
export const kubeconfigRemedies: Remedies<AboutServer>[string] = {
  StalePods: bad(
    "Aliases can't be changed, so the Pods must be made anew; fairlead rolls their owners one at a time:",
    rollPods,
  ),
  NotServedYet: notable("", ({ namespace }) => [kubectl("get", "pods", "-n", namespace)]),
  NotTrusted: bad("", editSecret),
  TLSServerName: bad("", editSecret),
  Contested: bad("", removeAnnotation),
  Immutable: bad("", takeOff),
  Missing: bad("", takeOff),
  NoKubeconfig: bad("", takeOff),
  ClaimedByOther: bad("", takeOff),
  CertificateAuthorityFile: bad("", editSecret),
  ProxyURL: bad("", editSecret),
  ServerHasPath: bad("", editSecret),
  NoCurrentContext: unclear,
  UnknownContext: unclear,
  UnknownCluster: unclear,
  NoServer: unclear,
  Ambiguous: unclear,
  Aliases: bad("", editSecret),
  ReadRefused: bad("", allowWrites),
  WriteRefused: bad("", allowWrites),
  Conflict: notable("", ({ namespace }) => [kubectl("get", "secrets", "-n", namespace)]),
};
