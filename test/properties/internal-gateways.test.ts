import fc from "fast-check";
import {
  internalServiceOf,
  type GatewayService,
} from "../../capabilities/exposure/gateways/internal-service";
import type { ObservedGateway } from "../../capabilities/exposure/gateways/observed";
import { planGateway, type GatewayAction } from "../../capabilities/exposure/gateways/plan";
import { desiredPolicies } from "../../capabilities/exposure/gateways/policies";
import {
  routeSecretMetadataOf,
  type RouteSecretState,
} from "../../capabilities/exposure/gateways/route-secret";
import { envoyFilterOf } from "../../capabilities/exposure/resources";
import type { EnvoyFilter, InternalGateway, KubernetesObject, NetworkPolicy } from "../../lib/api";

const namespace = "istio-ingress";
const VALUES = ["a".repeat(64), "b".repeat(64)];
/** The route secret, the EnvoyFilter that holds it, and a round that finds nothing to do. */
const ROUNDS = 3;

const gateway: InternalGateway = {
  apiVersion: "fairlead.dev/v1alpha1",
  kind: "InternalGateway",
  metadata: { name: "default", namespace, uid: "9a", generation: 1 },
  spec: { selector: { istio: "ingressgateway" } },
};

const foreignPolicy = (name: string, podSelector: object): NetworkPolicy => ({
  apiVersion: "networking.k8s.io/v1",
  kind: "NetworkPolicy",
  metadata: { name, namespace, uid: name },
  spec: { podSelector, policyTypes: ["Ingress"] },
});

/** Without marks and owner: somebody else's. */
function foreign<T extends KubernetesObject>(object: T): T {
  const { name } = object.metadata;
  return { ...object, metadata: { name, namespace, uid: "foreign" } };
}

const service = internalServiceOf(gateway);
const editedService: GatewayService = { ...service, spec: { ...service.spec, selector: {} } };
const filters = VALUES.map((value) => envoyFilterOf(gateway, value));
const editedFilters = filters.map(
  (filter): EnvoyFilter => ({
    ...filter,
    spec: { ...filter.spec, priority: -1 },
  }),
);
const secret = routeSecretMetadataOf(gateway);

const routeSecrets: readonly RouteSecretState[] = [
  { kind: "absent" },
  { kind: "foreign" },
  { kind: "going", object: secret },
  { kind: "invalid", object: secret },
  ...VALUES.map((value) => ({ kind: "known", object: secret, value }) as const),
];

const denyAll = foreignPolicy("deny-all", {});
const zone = foreignPolicy("zone", { matchLabels: { zone: "a" } });
/** What belongs to one or both of the others, and so may be there too much. */
const ownPolicies = [[denyAll], [zone]].flatMap((policies) => desiredPolicies(gateway, policies));

const some = <T>(...values: readonly T[]): fc.Arbitrary<T> => fc.constantFrom(...values);

const worlds: fc.Arbitrary<ObservedGateway> = fc
  .record({
    service: some(undefined, service, editedService, foreign(service)),
    filter: some(undefined, ...filters, ...editedFilters, ...filters.map(foreign)),
    routeSecret: some(...routeSecrets),
    policies: fc.subarray([denyAll, zone, ...ownPolicies]),
    hasIstio: fc.boolean(),
    isInUse: fc.boolean(),
    isHeld: fc.boolean(),
    isDeleted: fc.boolean(),
    attached: fc.nat({ max: 1 }),
    terminating: fc.boolean(),
  })
  .map(({ isHeld, isDeleted, ...world }) => ({
    gateway: {
      ...gateway,
      metadata: {
        ...gateway.metadata,
        ...(isHeld ? { finalizers: ["fairlead.dev/exposure"] } : {}),
        ...(isDeleted ? { deletionTimestamp: "2026-11-21T11:00:00Z" } : {}),
      },
    },
    neighbours: [],
    services: world.service === undefined ? [] : [world.service],
    pods: [],
    foreignGateways: world.isInUse
      ? [
          {
            apiVersion: "networking.istio.io/v1",
            kind: "Gateway",
            metadata: { name: "shop", namespace: "shop" },
            spec: { servers: [{ port: { number: 9443 } }] },
          },
        ]
      : [],
    endpointSlices: [],
    istio: world.hasIstio ? { envoyFilter: world.filter } : undefined,
    routeSecret: world.routeSecret,
    policies: world.policies,
    deadAddresses: new Set<string>(),
    attached: world.attached,
    terminating: world.terminating,
    refusal: undefined,
    nowMs: 0,
  }));

const isForeign = ({ metadata }: KubernetesObject): boolean => metadata.labels === undefined;

function withObject(
  observed: ObservedGateway,
  object: KubernetesObject,
  isThere: boolean,
): ObservedGateway {
  const replace = <T extends KubernetesObject>(objects: readonly T[]): readonly T[] => [
    ...objects.filter(({ metadata }) => metadata.name !== object.metadata.name),
    ...(isThere ? [object as T] : []),
  ];
  switch (object.kind) {
    case "Service":
      return { ...observed, services: replace(observed.services) };
    case "NetworkPolicy":
      return { ...observed, policies: replace(observed.policies) };
    case "EnvoyFilter":
      return { ...observed, istio: { envoyFilter: isThere ? (object as EnvoyFilter) : undefined } };
    default:
      return { ...observed, routeSecret: { kind: "absent" } };
  }
}

/** What the cluster is like after an action. */
function after(observed: ObservedGateway, action: GatewayAction): ObservedGateway {
  const { metadata } = observed.gateway;
  const held = (finalizers: readonly string[]): ObservedGateway => ({
    ...observed,
    gateway: { ...observed.gateway, metadata: { ...metadata, finalizers } },
  });
  switch (action.kind) {
    case "add-finalizer":
      return held(["fairlead.dev/exposure"]);
    case "remove-finalizer":
      return held([]);
    case "create-route-secret":
      return { ...observed, routeSecret: { kind: "known", object: secret, value: "c".repeat(64) } };
    case "patch-service":
      return withObject(
        observed,
        { ...action.service, spec: action.patch.spec } as KubernetesObject,
        true,
      );
    case "create":
    case "update":
    case "delete":
      return withObject(observed, action.object, action.kind !== "delete");
  }
}

function converge(observed: ObservedGateway): ObservedGateway {
  let current = observed;
  for (let round = 0; round < ROUNDS; round += 1) {
    current = planGateway(current).actions.reduce(after, current);
  }
  return current;
}

describe("the plan for an InternalGateway", () => {
  it("leaves nothing to do once it was carried out", () => {
    fc.assert(
      fc.property(worlds, (observed) => {
        expect(planGateway(converge(observed)).actions).toEqual([]);
      }),
    );
  });

  it("touches nothing of somebody else's", () => {
    const foreignObjects = ({ services, istio, policies }: ObservedGateway) =>
      [...services, istio?.envoyFilter, ...policies].filter(
        (object) => object !== undefined && isForeign(object),
      );
    fc.assert(
      fc.property(worlds, (observed) => {
        expect(foreignObjects(converge(observed))).toEqual(foreignObjects(observed));
      }),
    );
  });

  it("leaves nothing of its own once the gateway goes", () => {
    fc.assert(
      fc.property(worlds, (observed) => {
        const { deletionTimestamp, finalizers = [] } = observed.gateway.metadata;
        fc.pre(deletionTimestamp !== undefined && finalizers.length > 0);
        fc.pre(observed.attached === 0 || observed.terminating);
        const { gateway: gone, services, istio, policies } = converge(observed);
        expect(gone.metadata.finalizers).toEqual([]);
        const left = [...services, istio?.envoyFilter, ...policies].filter(
          (object) => object !== undefined && !isForeign(object),
        );
        expect(left).toEqual([]);
      }),
    );
  });

  it("makes nothing while the port is another one's, unless it was in line with the spec before", () => {
    fc.assert(
      fc.property(worlds, (observed) => {
        const { deletionTimestamp } = observed.gateway.metadata;
        fc.pre(observed.foreignGateways.length > 0 && deletionTimestamp === undefined);
        fc.pre(!observed.services.includes(service));
        expect(planGateway(observed).actions).toEqual([]);
      }),
    );
  });
});
