import {
  clusterParamsOf,
  namespaceParamsOf,
  type Parameters,
} from "../../../capabilities/policies/params";
import {
  policyObjects,
  type PolicyObject,
  type PolicyVersion,
} from "../../../capabilities/policies/resources";
import type { HostedAPIServer } from "../../../lib/api";
import { PARAMETERS_CONFIG_MAP, parameterLabels } from "../../../lib/domain/admission-policies";
import { ROUTE_CONFIG_MAP } from "../../../lib/domain/names";
import type { ConfigMap } from "../../../lib/domain/route-config";
import type { RouteService } from "../../../lib/domain/routes";
import type { ClusterTopology } from "../../../lib/domain/traffic-distribution";
import { SYSTEM_NAMESPACE, webhookRules } from "../../../lib/domain/webhook";
import { refOf, type AnyObject, type Api } from "../api";
import type { Fairlead } from "../fairlead";
import { configMap, namespace } from "../objects";
import { inParallel } from "../parallel";
import { ARM_LABEL, inArm, type Arm, type Place } from "./places";

const CONCURRENCY = 16;

/** The Service of that namespace and name, as the API server keeps it. */
export type Services = ReadonlyMap<string, RouteService>;

/** The arms in which a place is: what decides twice is looked at where objects are generated. */
export interface Placed {
  readonly arm: Arm;
  readonly place: Place;
}

/** Creates what is there before anything decides. @returns The gateways' Services, by namespace and name. */
export async function furnish(api: Api, placed: readonly Placed[]): Promise<Services> {
  const all = placed.map(({ arm, place }) => ({ arm, ...inArm(place, arm) }));
  const shared = new Map(
    placed.flatMap(({ place }) => place.shared).map((each) => [JSON.stringify(each), each]),
  );
  const services = [...shared.values()].filter(({ kind }) => kind === "Service");
  const gatewayNamespaces = new Set(services.map(({ metadata }) => metadata.namespace ?? ""));
  await inParallel(gatewayNamespaces, CONCURRENCY, async (name) => api.create(namespace(name)));
  const kept = new Map<string, RouteService>();
  await inParallel(services, CONCURRENCY, async (service) => {
    const { body } = await api.create(service);
    kept.set(
      `${body.metadata.namespace ?? ""}/${body.metadata.name ?? ""}`,
      body as unknown as RouteService,
    );
  });
  await inParallel(all, CONCURRENCY, async ({ arm, namespaces, before }) => {
    for (const name of namespaces) {
      await api.create(namespace(name, { labels: { [ARM_LABEL]: arm } }));
    }
    for (const object of before) {
      await api.create(object);
      // It has a finalizer, and so it stays.
      if (object.metadata.deletionTimestamp !== undefined) await api.remove(refOf(object));
    }
  });
  return kept;
}

/** Creates HostedAPIServers, which needs the definitions that fairlead installs, and gives them their status. */
export async function host(api: Api, placed: readonly Placed[]): Promise<void> {
  const all = placed.flatMap(({ arm, place }) => inArm(place.hostedAPIServers, arm));
  await inParallel(all, CONCURRENCY, async (hapi) => {
    await api.create(hapi);
    if (hapi.status !== undefined) await api.patch(refOf(hapi), { status: hapi.status }, "/status");
  });
}

/** Where webhook and policies act: in the namespaces of their arms. */
function inArms<T extends { readonly matchExpressions: readonly unknown[] }>(
  selector: T,
  values: readonly Arm[],
): T {
  const requirement = { key: ARM_LABEL, operator: "In", values };
  return { ...selector, matchExpressions: [...selector.matchExpressions, requirement] };
}

/** The policies, in the namespaces of their arms. */
export function policiesInArms(apiVersion: PolicyVersion): readonly PolicyObject[] {
  return policyObjects({ apiVersion }).map((object) => {
    const constraints = object.spec.matchConstraints as
      | { readonly namespaceSelector: { readonly matchExpressions: readonly unknown[] } }
      | undefined;
    if (constraints === undefined) return object;
    const namespaceSelector = inArms(constraints.namespaceSelector, ["policies", "both"]);
    const matchConstraints = { ...constraints, namespaceSelector };
    return { ...object, spec: { ...object.spec, matchConstraints } };
  });
}

/**
 * fairlead's webhook twice: with all its rules, and with those that are left beside policies.
 * @param serviceNames See `namedServices`.
 */
export function webhooksInArms(
  { webhookUrl, caPem }: Fairlead,
  serviceNames: readonly string[],
): readonly AnyObject[] {
  const caBundle = Buffer.from(caPem).toString("base64");
  const configuration = (name: string, policies: boolean, values: readonly Arm[]): AnyObject => {
    const rules = webhookRules({ policies, serviceNames });
    return {
      apiVersion: "admissionregistration.k8s.io/v1",
      kind: "MutatingWebhookConfiguration",
      metadata: { name },
      webhooks: [
        {
          name: "pepr-fairlead.pepr.dev",
          admissionReviewVersions: ["v1"],
          clientConfig: { url: webhookUrl, caBundle },
          failurePolicy: "Fail",
          ...rules,
          namespaceSelector: inArms(rules.namespaceSelector, values),
        },
      ],
    };
  };
  return [
    configuration("pepr-fairlead", false, ["webhook", "both"]),
    configuration("pepr-fairlead-beside", true, ["policies"]),
  ];
}

const isNamed =
  (kind: string, of: string) =>
  ({ kind: is, metadata }: AnyObject): boolean =>
    is === kind && metadata.namespace === of;

function parametersOf(
  place: Place,
  of: string,
  known: ClusterTopology & { readonly services: Services },
): Parameters | undefined {
  const routes = place.before.filter(isNamed("ConfigMap", of));
  const found = routes.find(({ metadata }) => metadata.name === ROUTE_CONFIG_MAP);
  return namespaceParamsOf({
    minor: known.minor,
    zones: known.zones,
    route: {
      namespace: of,
      configMap: found as unknown as ConfigMap | undefined,
      service: (inNamespace, name) => known.services.get(`${inNamespace}/${name}`),
    },
    hostedAPIServers: place.hostedAPIServers.filter(
      isNamed("HostedAPIServer", of),
    ) as unknown as readonly HostedAPIServer[],
  });
}

function parametersConfigMap(inNamespace: string, data: Parameters): AnyObject {
  const created = configMap(inNamespace, PARAMETERS_CONFIG_MAP, data);
  return { ...created, metadata: { ...created.metadata, labels: parameterLabels } };
}

/** What the policies are told, those about the cluster last. */
export function parametersInArms(
  placed: readonly Placed[],
  known: ClusterTopology & { readonly services: Services },
): readonly AnyObject[] {
  const all = placed
    .filter(({ arm }) => arm !== "webhook")
    .map(({ arm, place }) => inArm(place, arm));
  const own = all.flatMap((place) =>
    place.namespaces.flatMap((of) => {
      const data = parametersOf(place, of, known);
      return data === undefined ? [] : [parametersConfigMap(of, data)];
    }),
  );
  const namespaces = all.flatMap(({ hostedAPIServers }) =>
    hostedAPIServers.map(({ metadata }) => metadata.namespace ?? ""),
  );
  const { minor, zones } = known;
  const cluster = clusterParamsOf({ minor, zones, namespaces: [...new Set(namespaces)] });
  return [...own, parametersConfigMap(SYSTEM_NAMESPACE, cluster)];
}

/** Tells policies their parameters, and writes what has changed when they are told again. */
export class ParameterWriter {
  readonly #told = new Map<string, string>();

  constructor(private readonly api: Api) {}

  /** @param parameters Those about the cluster come last, and are seen last. */
  async tell(parameters: readonly AnyObject[]): Promise<void> {
    const write = async (object: AnyObject): Promise<void> => this.#write(object);
    await inParallel(parameters.slice(0, -1), CONCURRENCY, write);
    for (const last of parameters.slice(-1)) await write(last);
  }

  async #write(object: AnyObject): Promise<void> {
    const key = object.metadata.namespace ?? "";
    const told = this.#told.get(key);
    const data = JSON.stringify(object.data);
    if (told === data) return;
    if (told === undefined) await this.api.create(object);
    else await this.api.replace(object);
    this.#told.set(key, data);
  }
}
