import { equals } from "ramda";
import type { AnyGateway } from "../../../capabilities/exposure/caches";
import type { EndpointSlice } from "../../../capabilities/exposure/gateways/addresses";
import {
  serviceNameOf,
  type GatewayService,
} from "../../../capabilities/exposure/gateways/internal-service";
import type { ObservedGateway } from "../../../capabilities/exposure/gateways/observed";
import { filterNameOf } from "../../../capabilities/exposure/gateways/parts";
import { factsOf, planGateway } from "../../../capabilities/exposure/gateways/plan";
import { concernsGateways } from "../../../capabilities/exposure/gateways/policies";
import type { GatewayPod } from "../../../capabilities/exposure/gateways/ports";
import {
  isOwnRouteSecret,
  routeSecretNameOf,
  routeSecretOf,
  routeSecretValue,
  withoutData,
  type RouteSecret,
  type RouteSecretState,
} from "../../../capabilities/exposure/gateways/route-secret";
import { envoyFilterOf } from "../../../capabilities/exposure/resources";
import type {
  EnvoyFilter,
  HostedAPIServer,
  InternalGateway,
  KubernetesObject,
  NetworkPolicy,
} from "../../../lib/api";
import { LABEL_MANAGED_BY, MANAGED_BY } from "../../../lib/domain/names";
import type { CaseAdapter, Given } from "../runner";

const DEFAULT_NOW = "2026-11-21T12:00:00Z";
/** The value of the route Secret of `shared: in line`. */
const VALUE = "5ec2e7".padEnd(64, "0");

/** What the World of a case may say. */
interface World {
  readonly now?: string;
  /** Whether Istio's kinds are served: `absent` where not. */
  readonly istio?: "absent";
  /** The route Secret and the EnvoyFilter are there as they should be. */
  readonly shared?: "in line";
  /** Addresses at which nobody answered. */
  readonly deadAddresses?: readonly string[];
  /** What the API server said when it refused the last write. */
  readonly refusal?: string;
}

function matches(selector: Readonly<Record<string, string>>, object: KubernetesObject): boolean {
  return Object.entries(selector).every(([key, value]) => object.metadata.labels?.[key] === value);
}

/** The objects of a case, those that the World stands for included. */
function objectsOf({ world, objects }: Given, gateway: InternalGateway) {
  const { shared } = world as World;
  if (shared === undefined) return objects;
  return [...objects, routeSecretOf(gateway, VALUE), envoyFilterOf(gateway, VALUE)];
}

/** An EnvoyFilter without `spec` has the one that it is to have, for the value of its route Secret. */
function filledIn(
  filter: EnvoyFilter | undefined,
  gateway: InternalGateway,
  routeSecret: RouteSecretState,
): EnvoyFilter | undefined {
  if (filter === undefined || "spec" in filter) return filter;
  const value = routeSecret.kind === "known" ? routeSecret.value : VALUE;
  return { ...(filter as EnvoyFilter), spec: envoyFilterOf(gateway, value).spec };
}

function routeSecretState(
  secret: RouteSecret | undefined,
  gateway: InternalGateway,
): RouteSecretState {
  if (secret === undefined) return { kind: "absent" };
  const object = withoutData(secret);
  if (!isOwnRouteSecret(gateway, secret)) return { kind: "foreign" };
  if (object.metadata.deletionTimestamp !== undefined) return { kind: "going", object };
  const value = routeSecretValue(secret);
  return value === undefined ? { kind: "invalid", object } : { kind: "known", object, value };
}

function observe(given: Given, gateway: InternalGateway): ObservedGateway {
  const { namespace = "", name } = gateway.metadata;
  const world = given.world as World;
  const all = objectsOf(given, gateway);
  const ofKind = (kind: string): readonly KubernetesObject[] =>
    all.filter((object) => object.kind === kind);
  const here = (kind: string): readonly KubernetesObject[] =>
    ofKind(kind).filter(({ metadata }) => metadata.namespace === namespace);
  const named = (kind: string, wanted: string): KubernetesObject | undefined =>
    here(kind).find(({ metadata }) => metadata.name === wanted);
  const secret = named("Secret", routeSecretNameOf(gateway)) as RouteSecret | undefined;
  const routeSecret = routeSecretState(secret, gateway);
  const filter = named("EnvoyFilter", filterNameOf(gateway)) as EnvoyFilter | undefined;
  const isIstioAbsent = world.istio === "absent";
  const ownNamespace = ofKind("Namespace").find(({ metadata }) => metadata.name === namespace);
  const slices = here("EndpointSlice") as readonly EndpointSlice[];
  const gateways = ofKind("Gateway") as readonly AnyGateway[];
  return {
    gateway,
    neighbours: here("InternalGateway") as readonly InternalGateway[],
    services: here("Service") as readonly GatewayService[],
    pods: ofKind("Pod").filter((pod) => matches(gateway.spec.selector, pod)) as GatewayPod[],
    foreignGateways: isIstioAbsent
      ? []
      : gateways.filter((object) => !matches({ [LABEL_MANAGED_BY]: MANAGED_BY }, object)),
    endpointSlices: slices.filter((slice) =>
      matches({ "kubernetes.io/service-name": serviceNameOf(gateway) }, slice),
    ),
    istio: isIstioAbsent ? undefined : { envoyFilter: filledIn(filter, gateway, routeSecret) },
    routeSecret,
    policies: (here("NetworkPolicy") as readonly NetworkPolicy[]).filter(concernsGateways),
    deadAddresses: new Set(world.deadAddresses),
    attached: (ofKind("HostedAPIServer") as readonly HostedAPIServer[]).filter(
      ({ status }) =>
        status?.gatewayRef?.namespace === namespace && status.gatewayRef.name === name,
    ).length,
    terminating: ownNamespace?.metadata.deletionTimestamp !== undefined,
    refusal: world.refusal,
    nowMs: Date.parse(world.now ?? DEFAULT_NOW),
  };
}

/** An EnvoyFilter as it is to be is shown by the route secret that it holds; `exposure-resources` shows it in full. */
function summary(object: KubernetesObject, { gateway, routeSecret }: ObservedGateway): unknown {
  if (object.kind !== "EnvoyFilter") return object;
  const value = routeSecret.kind === "known" ? routeSecret.value : VALUE;
  const { spec } = object as EnvoyFilter;
  const isAsDesired = equals(spec, envoyFilterOf(gateway, value).spec);
  return { ...object, spec: isAsDesired ? { routeSecret: value } : "another one" };
}

/** `when.yaml` is the InternalGateway; the World is described above. */
export const adapter: CaseAdapter = {
  capability: "exposure",
  kinds: [
    "EndpointSlice",
    "EnvoyFilter",
    "Gateway",
    "HostedAPIServer",
    "InternalGateway",
    "Namespace",
    "NetworkPolicy",
    "Pod",
    "Secret",
    "Service",
  ],
  worldKeys: ["now", "istio", "shared", "deadAddresses", "refusal"],
  run(given, when) {
    const subject = when as KubernetesObject;
    if (subject.kind !== "InternalGateway") {
      throw new Error("when.yaml: the subject is an InternalGateway.");
    }
    const observed = observe(given, subject as InternalGateway);
    const { actions, status } = planGateway(observed);
    const outcome = {
      actions: actions.map((action) =>
        "object" in action ? { ...action, object: summary(action.object, observed) } : action,
      ),
      status,
      facts: factsOf(observed),
    };
    return JSON.parse(JSON.stringify(outcome).replaceAll(VALUE, "(the route secret)")) as unknown;
  },
};
