import {
  bindRole,
  describe,
  edit,
  kubectl,
  LIST_NAMESPACE,
  remove,
  WATCHER_LOGS,
  type Target,
} from "../commands";
import { bad, fine, notable, type AboutGateway, type Remedies, type Remedy } from "./remedies";

type Commands = Remedy<AboutGateway>["commands"];

const targetOf = ({ namespace, name }: AboutGateway): Target => ({
  resource: "internalgateway",
  namespace,
  name,
});

const show: Commands = (about) => [describe(targetOf(about))];

const selectorOf = ({ gateway }: AboutGateway): string =>
  Object.entries(gateway.spec.selector)
    .map(([key, value]) => `${key}=${value}`)
    .join(",");

const NAMED =
  /(Service|Secret|EnvoyFilter|NetworkPolicy|InternalGateway|Gateway|Pod) ([-.a-z0-9]+)\/([-.a-z0-9]*[a-z0-9])/;

/** Istio's Gateway is not Gateway API's. */
const resources: Readonly<Record<string, string>> = { Gateway: "gateways.networking.istio.io" };

/** The object that the message names. */
function named({ condition }: AboutGateway): Target | undefined {
  const [, kind, namespace, name] = NAMED.exec(condition.message) ?? [];
  if (kind === undefined || name === undefined) return undefined;
  return { resource: resources[kind] ?? kind.toLowerCase(), namespace, name };
}

const removeNamed: Commands = (about) => {
  const target = named(about);
  return target === undefined ? show(about) : [remove(target)];
};

/** A port can't be changed: what it collides with is moved, or the InternalGateway is made anew. */
const moveNamed: Commands = (about) => {
  const target = named(about);
  return [describe(targetOf(about)), ...(target === undefined ? [] : [edit(target)])];
};

/** What is to be done about each reason of an InternalGateway's conditions; see docs/conditions.md. */
export const gatewayRemedies: Remedies<AboutGateway> = {
  Accepted: {
    Accepted: fine,
    PortAmbiguous: bad(
      "spec.port can't be changed: an InternalGateway with another port.target is a new one.",
      moveNamed,
    ),
    PortInUse: bad(
      "spec.port can't be changed: an InternalGateway with another port.target is a new one.",
      moveNamed,
    ),
    NamespaceNotListed: bad("", () => [LIST_NAMESPACE]),
    ReadRefused: bad("fairlead's rights in a namespace come by RoleBindings.", ({ namespace }) => [
      bindRole("fairlead-watch-namespace", namespace),
    ]),
    Deleting: notable("", () => [kubectl("get", "hostedapiservers", "-A", "-o", "wide")]),
  },
  Programmed: {
    Programmed: fine,
    Pending: notable("Where it stays so, the watch process can't write.", () => [WATCHER_LOGS]),
    IstioNotInstalled: bad("", () => [
      "helm upgrade --install istio-base base --repo https://istio-release.storage.googleapis.com/charts -n istio-system --create-namespace",
    ]),
    AddressNotUsable: bad("", (about) => [
      kubectl("get", "pods", "-n", about.namespace, "-l", selectorOf(about), "-o", "wide"),
      kubectl("get", "networkpolicies", "-n", about.namespace),
    ]),
    ForeignObject: bad("", removeNamed),
    RouteSecretInvalid: bad("", removeNamed),
    WriteRefused: bad(
      "fairlead's rights in the gateway's namespace come by a RoleBinding.",
      ({ namespace }) => [bindRole("fairlead-gateway-namespace", namespace)],
    ),
    Invalid: bad("See its condition Accepted.", show),
    Terminating: notable("", ({ namespace }) => [kubectl("describe", "namespace", namespace)]),
  },
};
