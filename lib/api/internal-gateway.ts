import { Type, type Static } from "@sinclair/typebox";
import { INTERNAL_SERVICE, INTERNAL_TARGET_PORT, TUNNEL_LOOPBACK_PORT, TUNNEL_PORT } from "./names";
import type { KindDefinition } from "./custom-resource";
import { Conditions, StringEnum, StringMap, type KubernetesSchemaOptions } from "./schema";
import type { ObjectMeta } from "./object-meta";

const port = (description: string, fallback: number) =>
  Type.Optional(Type.Integer({ minimum: 1, maximum: 65535, default: fallback, description }));

const labelSelector = Type.Object(
  {
    matchLabels: Type.Optional(
      StringMap({ description: "Labels that must be there with these values." }),
    ),
    matchExpressions: Type.Optional(
      Type.Array(
        Type.Object({
          key: Type.String({ minLength: 1, maxLength: 317, description: "The label's key." }),
          operator: StringEnum(["In", "NotIn", "Exists", "DoesNotExist"], {
            description: "How the label is compared.",
          }),
          values: Type.Optional(
            Type.Array(Type.String({ maxLength: 63 }), {
              maxItems: 64,
              description: "For In and NotIn.",
            }),
          ),
        }),
        { maxItems: 16, description: "Requirements that must all hold." },
      ),
    ),
  },
  { description: "Labels of the namespaces that may attach (from: Selector)." },
);

const spec = Type.Object(
  {
    selector: StringMap({
      minProperties: 1,
      maxProperties: 16,
      description: "Labels of the Istio ingress gateway's Pods, in the namespace of this object.",
    }),
    serviceName: Type.Optional(
      Type.String({
        default: INTERNAL_SERVICE,
        minLength: 1,
        maxLength: 63,
        pattern: "^[a-z]([-a-z0-9]*[a-z0-9])?$",
        description: "The internal ClusterIP Service that fairlead owns. Immutable.",
        "x-kubernetes-validations": [
          { rule: "self == oldSelf", message: "serviceName is immutable" },
        ],
      } satisfies KubernetesSchemaOptions & {
        minLength: number;
        maxLength: number;
        pattern: string;
      }),
    ),
    port: Type.Optional(
      Type.Object(
        {
          service: port("The port of the internal Service.", 443),
          target: port("The port of the gateway's Pods; fairlead's alone.", INTERNAL_TARGET_PORT),
        },
        {
          default: { service: 443, target: INTERNAL_TARGET_PORT },
          description: "Where the internal Service and the gateway listen. Immutable.",
          "x-kubernetes-validations": [{ rule: "self == oldSelf", message: "port is immutable" }],
        } satisfies KubernetesSchemaOptions,
      ),
    ),
    ipFamilyPolicy: Type.Optional(
      StringEnum(["SingleStack", "PreferDualStack", "RequireDualStack"], {
        default: "PreferDualStack",
        description: "IP families of the internal Service, as in a Service's ipFamilyPolicy.",
      }),
    ),
    allowedNamespaces: Type.Optional(
      Type.Object(
        {
          from: Type.Optional(
            StringEnum(["All", "Same", "Selector"], {
              default: "Same",
              description: "Whose HostedAPIServers may attach, as in Gateway API's allowedRoutes.",
            }),
          ),
          selector: Type.Optional(labelSelector),
        },
        {
          default: { from: "Same" },
          description: "The gateway owner's consent: which namespaces may attach.",
          "x-kubernetes-validations": [
            {
              rule: "self.from == 'Selector' ? has(self.selector) : !has(self.selector)",
              message: "selector goes with from: Selector, and only with it",
            },
          ],
        } satisfies KubernetesSchemaOptions,
      ),
    ),
    allowedHosts: Type.Optional(
      Type.Array(
        Type.String({
          minLength: 1,
          maxLength: 253,
          pattern: "^(\\*\\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$",
        }),
        {
          maxItems: 64,
          description:
            "Host names that may be claimed here; a first label of * stands for one label. Absent: all.",
          "x-kubernetes-list-type": "set",
        } satisfies KubernetesSchemaOptions & { maxItems: number },
      ),
    ),
    networkPolicies: Type.Optional(
      StringEnum(["IfIsolated", "Never"], {
        default: "IfIsolated",
        description:
          "Whether NetworkPolicies are written where another policy already isolates those Pods.",
      }),
    ),
    tunnel: Type.Optional(
      Type.Object(
        {
          port: port(
            "The port of the gateway's Pods, and of the internal Service, that takes HTTP CONNECT; fairlead's alone. A public Service has to lead there.",
            TUNNEL_PORT,
          ),
          loopbackPort: port(
            "The port on loopback addresses of the gateway's Pods where tunnels end; fairlead's alone.",
            TUNNEL_LOOPBACK_PORT,
          ),
        },
        {
          description:
            "Takes connections of nodes of hosted clusters to the in-cluster name of their API server. Absent: none.",
        },
      ),
    ),
  },
  {
    description: "What the gateway's owner offers and to whom.",
    "x-kubernetes-validations": [
      {
        rule: "!has(self.tunnel) || !has(self.port) || (self.tunnel.port != self.tunnel.loopbackPort && self.tunnel.port != self.port.target && self.tunnel.port != self.port.service && self.tunnel.loopbackPort != self.port.target)",
        message: "tunnel.port, tunnel.loopbackPort and the ports of port must differ",
      },
    ],
  } satisfies KubernetesSchemaOptions & { description: string },
);

const status = Type.Object(
  {
    addresses: Type.Optional(
      Type.Array(Type.String(), {
        description:
          "Cluster IPs of the internal Service whose family has ready endpoints and that were not seen dead.",
        "x-kubernetes-list-type": "atomic",
      } satisfies KubernetesSchemaOptions),
    ),
    attachedAPIServers: Type.Optional(
      Type.Integer({ minimum: 0, description: "How many HostedAPIServers are attached." }),
    ),
    conditions: Conditions("Accepted and Programmed."),
  },
  { description: "What was observed." },
);

/** The schema of an InternalGateway and how kubectl shows it. */
export const internalGatewayDefinition: KindDefinition = {
  kind: "InternalGateway",
  plural: "internalgateways",
  singular: "internalgateway",
  shortNames: ["igw"],
  description:
    "An Istio ingress gateway that leads requests to hosted API servers inside the cluster.",
  spec,
  status,
  columns: [
    { name: "Addresses", type: "string", jsonPath: ".status.addresses" },
    { name: "Attached", type: "integer", jsonPath: ".status.attachedAPIServers" },
    {
      name: "Accepted",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Accepted")].status',
    },
    {
      name: "Programmed",
      type: "string",
      jsonPath: '.status.conditions[?(@.type=="Programmed")].status',
    },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};

/** `spec` of an InternalGateway, as the API server stores it. */
export type InternalGatewaySpec = Static<typeof spec>;
/** `status` of an InternalGateway. */
export type InternalGatewayStatus = Static<typeof status>;

/** An Istio ingress gateway that serves hosted API servers; lives in the gateway namespace. */
export interface InternalGateway {
  readonly apiVersion: string;
  readonly kind: "InternalGateway";
  readonly metadata: ObjectMeta;
  readonly spec: InternalGatewaySpec;
  readonly status?: InternalGatewayStatus;
}
