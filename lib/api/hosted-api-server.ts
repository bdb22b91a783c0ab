import { Type, type Static } from "@sinclair/typebox";
import type { KindDefinition } from "./custom-resource";
import {
  Conditions,
  StringEnum,
  Time,
  type KubernetesSchemaOptions,
  type ValidationRule,
} from "./schema";
import type { ObjectMeta } from "./object-meta";

const dnsLabels = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const secretName = Type.String({
  minLength: 1,
  maxLength: 253,
  pattern: `^${dnsLabels}$`,
  description: "Name of a Secret in this namespace.",
});
const key = (description: string, fallback: string) =>
  Type.Optional(
    Type.String({
      default: fallback,
      minLength: 1,
      maxLength: 253,
      pattern: "^[-._a-zA-Z0-9]+$",
      description,
    }),
  );
const rules = (...list: ValidationRule[]): KubernetesSchemaOptions => ({
  "x-kubernetes-validations": list,
});

const caBundle = (description: string) =>
  Type.Object(
    {
      secretName: Type.Optional(secretName),
      configMapName: Type.Optional(
        Type.String({
          minLength: 1,
          maxLength: 253,
          pattern: `^${dnsLabels}$`,
          description: "Name of a ConfigMap in this namespace.",
        }),
      ),
      key: key("The key that holds the PEM bundle.", "ca.crt"),
    },
    {
      description,
      ...rules({
        rule: "has(self.secretName) != has(self.configMapName)",
        message: "give either secretName or configMapName",
      }),
    },
  );

const keyPair = (description: string) =>
  Type.Object(
    {
      secretName,
      certificateKey: key("The key that holds the certificate chain (PEM).", "tls.crt"),
      privateKeyKey: key("The key that holds the private key (PEM).", "tls.key"),
    },
    { description },
  );

const issuer = Type.Object(
  {
    secretName,
    certificateKey: key("The key that holds the CA certificate (PEM).", "ca.crt"),
    privateKeyKey: key("The key that holds the CA's private key (PEM).", "ca.key"),
    commonName: Type.Optional(
      Type.String({
        default: "system:istio-gateway",
        minLength: 1,
        maxLength: 64,
        description:
          "Common name of the client certificate that fairlead issues; the API server's --requestheader-allowed-names must list it (kubeadm and Kamaji: front-proxy-client).",
      }),
    ),
  },
  { description: "The front-proxy CA: fairlead issues a short-lived client certificate from it." },
);

const certificates = Type.Object(
  {
    server: Type.Optional(keyPair("What the gateway serves to clients.")),
    serverCA: Type.Optional(caBundle("What the API servers' own certificates are verified with.")),
    serverName: Type.Optional(
      Type.String({
        default: "kubernetes.default.svc",
        minLength: 1,
        maxLength: 253,
        pattern: `^${dnsLabels}$`,
        description:
          "SNI towards the API servers, and the name that their certificate is verified for.",
      }),
    ),
    clientCA: Type.Optional(caBundle("What clients' certificates are verified with.")),
    proxyClient: Type.Optional(
      Type.Object(
        {
          issuer: Type.Optional(issuer),
          certificate: Type.Optional(
            keyPair("A ready-made client certificate: fairlead never sees a CA key."),
          ),
        },
        {
          description:
            "Who the gateway is to the API servers: exactly one of issuer and certificate.",
          ...rules({
            rule: "has(self.issuer) != has(self.certificate)",
            message: "give either issuer or certificate",
          }),
        },
      ),
    ),
  },
  {
    description: "Where certificates and CAs are found; server and serverCA are needed for L7.",
    ...rules(
      {
        rule: "has(self.clientCA) == has(self.proxyClient)",
        message:
          "clientCA and proxyClient go together: without them the gateway asks for no client certificate (tokens only)",
      },
      {
        rule: "has(self.server) == has(self.serverCA)",
        message: "server and serverCA go together",
      },
      {
        rule: "!has(self.clientCA) || has(self.server)",
        message: "clientCA and proxyClient need server and serverCA",
      },
    ),
  },
);

const clients = Type.Object(
  {
    kubeconfigSecrets: Type.Optional(
      Type.Array(secretName, {
        default: [],
        maxItems: 64,
        description: "Generic kubeconfig Secrets in this namespace to keep pointing the right way.",
        "x-kubernetes-list-type": "set",
      } satisfies KubernetesSchemaOptions & { default: string[]; maxItems: number }),
    ),
    restartStalePods: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          "Roll the owners (Deployments, StatefulSets, DaemonSets) of Pods whose host aliases no longer match, one at a time, as PodDisruptionBudgets allow.",
      }),
    ),
  },
  { default: {}, description: "What runs in this namespace and talks to the hosted API server." },
);

const topologyAware = Type.Object(
  {
    enabled: Type.Optional(
      Type.Boolean({
        default: false,
        description:
          'The owner says that the control plane is spread over zones (failure tolerance "zone").',
      }),
    ),
    services: Type.Optional(
      Type.Array(Type.String({ minLength: 1, maxLength: 63 }), {
        maxItems: 64,
        description:
          "Services of this namespace; absent: the well-known ones of a control plane. The hosted API server's own Service counts only while it is served in L4.",
        "x-kubernetes-list-type": "set",
      } satisfies KubernetesSchemaOptions & { maxItems: number }),
    ),
  },
  { default: {}, description: "Topology-aware routing of the control plane's Services." },
);

const tunnel = Type.Object(
  {
    clusterIPs: Type.Optional(
      Type.Array(
        Type.String({
          maxLength: 15,
          pattern: "^([0-9]{1,3}\\.){3}[0-9]{1,3}$",
        }),
        {
          default: [],
          maxItems: 2,
          description:
            "Cluster IPs (IPv4) of the Service default/kubernetes in the hosted cluster, by which Pods reach it without a name.",
          "x-kubernetes-list-type": "set",
        } satisfies KubernetesSchemaOptions & { default: string[]; maxItems: number },
      ),
    ),
    clusterDomain: Type.Optional(
      Type.String({
        default: "cluster.local",
        minLength: 1,
        maxLength: 200,
        pattern: `^${dnsLabels}$`,
        description: "The hosted cluster's own DNS domain.",
      }),
    ),
  },
  {
    description:
      "The hosted cluster's nodes reach this API server by its in-cluster names, through a tunnel to the gateway. Absent: they do not.",
  },
);

const gatewayRef = (description: string) =>
  Type.Object(
    {
      namespace: Type.String({
        minLength: 1,
        maxLength: 63,
        description: "Namespace of the InternalGateway.",
      }),
      name: Type.String({
        minLength: 1,
        maxLength: 253,
        description: "Name of the InternalGateway.",
      }),
    },
    { description },
  );

const spec = Type.Object(
  {
    kubernetesVersion: Type.String({
      maxLength: 64,
      pattern: "^v?[0-9]+\\.[0-9]+(\\.[0-9]+)?([-+.][0-9A-Za-z.+-]*)?$",
      description: "Kubernetes version of the hosted API server: 1.34.2, v1.34.2 or 1.31.5+k0s.0.",
    }),
    hosts: Type.Array(Type.String({ minLength: 1, maxLength: 253, pattern: `^${dnsLabels}$` }), {
      minItems: 1,
      maxItems: 16,
      description: "Public DNS names of the hosted API server.",
      "x-kubernetes-list-type": "set",
    } satisfies KubernetesSchemaOptions & { minItems: number; maxItems: number }),
    service: Type.Optional(
      Type.Object(
        {
          name: Type.Optional(
            Type.String({
              default: "kube-apiserver",
              minLength: 1,
              maxLength: 63,
              pattern: "^[a-z]([-a-z0-9]*[a-z0-9])?$",
              description: "Name of the Service.",
            }),
          ),
          port: Type.Optional(
            Type.Integer({
              default: 443,
              minimum: 1,
              maximum: 65535,
              description: "Port of the Service.",
            }),
          ),
        },
        {
          default: {},
          description: "The Service of the hosted API server's replicas, in this namespace.",
        },
      ),
    ),
    gatewayRef: Type.Optional(
      gatewayRef("The InternalGateway to attach to; optional where the cluster has exactly one."),
    ),
    loadBalancing: Type.Optional(
      StringEnum(["Auto", "L7", "L4"], {
        default: "Auto",
        description:
          "L7 balances requests, L4 connections. Auto: L7 where it can be, else L4 with the reason in status.",
      }),
    ),
    certificates: Type.Optional(certificates),
    clients: Type.Optional(clients),
    topologyAware: Type.Optional(topologyAware),
    tunnel: Type.Optional(tunnel),
  },
  {
    description: "A hosted API server and its owner's consent.",
    ...rules({
      rule: "!(has(self.loadBalancing) && self.loadBalancing == 'L7') || (has(self.certificates) && has(self.certificates.server))",
      message: "loadBalancing: L7 needs certificates.server and certificates.serverCA",
    }),
  },
);

const certificateStatus = Type.Object(
  {
    use: StringEnum(["server", "serverCA", "clientCA", "proxyClient", "proxyClientIssuer"], {
      description: "What it is for.",
    }),
    subject: Type.Optional(Type.String({ description: "Subject of the certificate." })),
    notBefore: Type.Optional(Time({ description: "Start of its validity." })),
    notAfter: Time({ description: "End of its validity; of a bundle, the earliest." }),
    sha256: Type.String({
      description: "SHA-256 of the certificate (DER), or of a bundle's (PEM), in hex.",
    }),
  },
  { description: "A certificate or bundle in use." },
);

const podCounts = Type.Object(
  {
    routed: Type.Integer({
      minimum: 0,
      description: "How many lead to the gateway, with all hosts.",
    }),
    stale: Type.Integer({
      minimum: 0,
      description:
        "How many have host aliases that no longer match, or should have some and don't.",
    }),
  },
  { description: "Running Pods of this namespace, by their host aliases." },
);

const status = Type.Object(
  {
    loadBalancing: Type.Optional(
      StringEnum(["L7", "L4"], { description: "How it is served now." }),
    ),
    observedGeneration: Type.Optional(
      Type.Integer({ minimum: 0, description: "The metadata.generation that was last acted on." }),
    ),
    gatewayRef: Type.Optional(gatewayRef("The InternalGateway that it is attached to.")),
    credentials: Type.Optional(
      Type.Object(
        {
          server: Type.Optional(Type.String({ description: "Current server Secret." })),
          proxyClient: Type.Optional(Type.String({ description: "Current proxy client Secret." })),
        },
        { description: "Current Secrets in the gateway namespace." },
      ),
    ),
    certificates: Type.Optional(
      Type.Array(certificateStatus, {
        description: "The certificates in use and when they end.",
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["use"],
      } satisfies KubernetesSchemaOptions),
    ),
    pods: Type.Optional(podCounts),
    conditions: Conditions(
      "Accepted, ResolvedRefs, CredentialsSynced, Programmed, PodsUpToDate, TopologyAware, TunnelProgrammed, Ready.",
    ),
  },
  { description: "What was observed." },
);

const condition = (type: string): string => `.status.conditions[?(@.type=="${type}")].status`;

/** The schema of a HostedAPIServer and how kubectl shows it. */
export const hostedAPIServerDefinition: KindDefinition = {
  kind: "HostedAPIServer",
  plural: "hostedapiservers",
  singular: "hostedapiserver",
  shortNames: ["hapi"],
  description:
    "A hosted kube-apiserver: a set of replicas behind a Service, reached through an InternalGateway.",
  spec,
  status,
  rules: [
    {
      rule: "size(self.metadata.name) <= 63",
      message: "the name of a HostedAPIServer has at most 63 characters, since labels carry it",
    },
  ],
  columns: [
    { name: "Mode", type: "string", jsonPath: ".status.loadBalancing" },
    { name: "Ready", type: "string", jsonPath: condition("Ready") },
    { name: "Hosts", type: "string", jsonPath: ".spec.hosts", priority: 1 },
    { name: "Accepted", type: "string", jsonPath: condition("Accepted"), priority: 1 },
    { name: "Resolved", type: "string", jsonPath: condition("ResolvedRefs"), priority: 1 },
    { name: "Synced", type: "string", jsonPath: condition("CredentialsSynced") },
    { name: "Programmed", type: "string", jsonPath: condition("Programmed") },
    { name: "Routed", type: "integer", jsonPath: ".status.pods.routed", priority: 1 },
    { name: "Stale", type: "integer", jsonPath: ".status.pods.stale" },
    { name: "Age", type: "date", jsonPath: ".metadata.creationTimestamp" },
  ],
};

/** `spec` of a HostedAPIServer, as the API server stores it. */
export type HostedAPIServerSpec = Static<typeof spec>;
/** `status` of a HostedAPIServer. */
export type HostedAPIServerStatus = Static<typeof status>;
/** `spec.certificates`. */
export type CertificatesSpec = Static<typeof certificates>;
/** `spec.tunnel`. */
export type TunnelSpec = Static<typeof tunnel>;
/** A reference to a certificate and its key. */
export type KeyPairRef = Static<ReturnType<typeof keyPair>>;
/** A reference to a CA bundle. */
export type CABundleRef = Static<ReturnType<typeof caBundle>>;
/** A reference to the front-proxy CA. */
export type IssuerRef = Static<typeof issuer>;
/** A reference to an InternalGateway. */
export type GatewayRef = Static<ReturnType<typeof gatewayRef>>;
/** An entry of `status.certificates`. */
export type CertificateStatus = Static<typeof certificateStatus>;

/** A hosted kube-apiserver; lives in the control-plane namespace. */
export interface HostedAPIServer {
  readonly apiVersion: string;
  readonly kind: "HostedAPIServer";
  readonly metadata: ObjectMeta;
  readonly spec: HostedAPIServerSpec;
  readonly status?: HostedAPIServerStatus;
}
